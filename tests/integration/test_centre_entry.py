"""Who comes into the control centre, and what they may do there: asked of a real server."""

from __future__ import annotations

import json
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.centre.users import FILE, Role, Users
from tests.certificates import self_signed
from tests.guest import API, Guest
from tests.scenery import Scenery, ground_of, scenery
from tests.servers.centre import PASSWORD, Serving, centre
from tests.terminal import Terminal
from tests.waiting import eventually

pytestmark = pytest.mark.xdist_group("centre")
METHODS = ("get", "post", "put", "patch", "delete")
NOBODY = "users-0000000000"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Scenery]]:
    home = tmp_path_factory.mktemp("centre")
    with ground_of(home) as ground:
        there = scenery(ground)
    with centre(home, CONVOY_STATE_URL="", CONVOY_BROKER_URL="") as serving:
        yield serving, there


@pytest.fixture(scope="module")
def serving(seen: tuple[Serving, Scenery]) -> Serving:
    return seen[0]


@pytest.fixture(scope="module")
def there(seen: tuple[Serving, Scenery]) -> Scenery:
    return seen[1]


@pytest.fixture(scope="module")
def sessions(serving: Serving) -> dict[str, Guest]:
    """One session each, shared: the number of log-ins is limited."""
    return {name: logged_in(serving, name) for name in ("vera", "ann", "otto")}


def logged_in(serving: Serving, name: str, password: str = PASSWORD) -> Guest:
    guest = Guest(serving.url)
    reply = guest.log_in(name, password)
    assert reply.status == 204, reply
    return guest


def described(guest: Guest) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every route that the description names: method, path, operation."""
    for path, item in guest.get("/openapi.json").json["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method.upper(), path, operation


def changing(guest: Guest) -> Iterator[tuple[str, str]]:
    """Every route that changes something, for a migration that is there or not."""
    for method, path, _ in described(guest):
        if method != "GET" and path != f"{API}/session":
            yield method, path.replace("{id}", NOBODY)


def lines(guest: Guest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = guest.get("/audit", limit=500).json["rows"]
    return found


def test_nothing_but_health_and_the_log_in_is_open_to_nobody(
    serving: Serving, sessions: dict[str, Guest]
) -> None:
    stranger, open_ = Guest(serving.url), set()
    routes = list(described(sessions["vera"]))
    for method, path, _ in routes:
        reply = stranger.ask(method, path.replace("{id}", NOBODY), None if method == "GET" else {})
        if reply.status != 401:
            open_.add((method, path, reply.status))
    assert open_ == {("GET", "/healthz", 200)}  # and an empty log-in is a wrong one
    assert len(routes) > 20


@pytest.mark.parametrize(
    "path",
    [f"{API}/nothing", f"{API}/", "/api/", f"{API}/migrations/", f"{API}/session/", "/api/v2/x"],
)
def test_whatever_lies_below_the_api_is_closed_even_if_it_is_not_there(
    serving: Serving, sessions: dict[str, Guest], path: str
) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS", "PATCH"):
        assert Guest(serving.url).ask(method, path).status == 401
    assert sessions["otto"].ask("GET", path).status == 404


def test_every_route_says_in_the_description_that_it_wants_a_log_in(
    sessions: dict[str, Guest],
) -> None:
    found = sessions["vera"].get("/openapi.json").json
    assert found["security"] == [{"token": []}, {"session": []}]
    open_ = {
        (method, path)
        for method, path, op in described(sessions["vera"])
        if op.get("security") == []
    }
    assert open_ == {("GET", "/healthz"), ("POST", f"{API}/session")}


def test_health_says_whether_the_store_answers_and_nothing_else(serving: Serving) -> None:
    reply = Guest(serving.url).ask("GET", "/healthz")
    assert (reply.status, reply.json) == (200, {"ok": True, "store": "ok"})


def test_a_viewer_changes_nothing_and_the_trail_says_that_it_was_tried(
    sessions: dict[str, Guest], there: Scenery
) -> None:
    vera = sessions["vera"]
    before = vera.get(f"/migrations/{there.moving.id}").json
    for method, path in changing(vera):
        reply = vera.ask(method, path.replace(NOBODY, there.moving.id), {"why": "x"})
        assert (reply.status, reply.code) == (403, "forbidden"), (method, path)
    after = vera.get(f"/migrations/{there.moving.id}").json
    assert (after["phase"], after["hold"], after["limits"]) == (
        before["phase"], before["hold"], before["limits"],
    )  # fmt: skip
    denied = [line for line in lines(vera) if line["outcome"] == "denied"]
    assert f"POST {API}/migrations/{there.moving.id}/cancel" in {line["what"] for line in denied}
    assert {line["by"] for line in denied} >= {"vera@centre"}


def test_an_operator_acts_but_approves_nothing(sessions: dict[str, Guest], there: Scenery) -> None:
    ann, id = sessions["ann"], there.paused.id
    assert ann.post(f"/migrations/{id}/limits", {"limits": {"requests": "9/s"}}).status == 200
    for word in ("approve", "advance"):
        reply = ann.post(f"/migrations/{id}/{word}", {"confirm": id})
        assert (reply.status, reply.code) == (403, "forbidden")


def test_an_approver_is_told_that_there_is_no_gate(
    sessions: dict[str, Guest], there: Scenery
) -> None:
    for word in ("approve", "advance"):
        reply = sessions["otto"].post(f"/migrations/{there.moving.id}/{word}")
        assert (reply.status, reply.code) == (409, "no_gate")
        assert "no gate" in reply.json["error"]["what"]


def test_nobody_approves_what_they_asked_for(sessions: dict[str, Guest], tmp_path: Path) -> None:
    otto, (old, new) = sessions["otto"], (tmp_path / "old", tmp_path / "new")
    (old / "ann").mkdir(parents=True)
    new.mkdir()
    made = otto.post("/migrations", {"source": str(old), "target": str(new), "dry_run": False}).json
    reply = otto.post(f"/migrations/{made['id']}/approve")
    assert (reply.status, reply.code) == (403, "four_eyes")


def test_a_request_that_carries_only_the_cookie_changes_nothing(
    serving: Serving, sessions: dict[str, Guest], there: Scenery
) -> None:
    ann = sessions["ann"]
    path = f"/migrations/{there.moving.id}/pause"
    for csrf in ("", "x", ann.csrf[:-1], sessions["otto"].csrf):
        forged = Guest(serving.url, cookie=ann.cookie, csrf=csrf)
        reply = forged.post(path)
        assert (reply.status, reply.code) == (403, "csrf")
    assert ann.get(f"/migrations/{there.moving.id}").json["hold"] is None


def test_the_log_in_is_not_for_the_pages_of_others(serving: Serving) -> None:
    body = json.dumps({"user": "ann", "password": PASSWORD}).encode()
    guest, path = Guest(serving.url), f"{API}/session"
    foreign = guest.ask("POST", path, body, {"Origin": "http://evil.example"})
    assert (foreign.status, foreign.code) == (403, "csrf")
    form = guest.ask("POST", path, body, {"Content-Type": "text/plain"})
    assert (form.status, form.code) == (422, "invalid")
    assert "set-cookie" not in {**foreign.headers, **form.headers}


def test_the_cookie_is_for_this_site_and_for_no_script(serving: Serving) -> None:
    reply = Guest(serving.url).post("/session", {"user": "vera", "password": PASSWORD})
    cookie = reply.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


def test_logging_out_ends_the_session_and_its_stream(serving: Serving) -> None:
    guest = logged_in(serving, "vera")
    with guest.listening() as ear:
        assert guest.delete("/session").status == 204
        assert ear.next() == ("", None)
    assert guest.get("/session").status == 401


def test_a_program_comes_in_with_a_token_and_needs_no_csrf(
    serving: Serving, there: Scenery
) -> None:
    token = Users(serving.home / FILE).add("robot", Role.OPERATOR, token=True)
    robot = Guest(serving.url, token=token)
    assert robot.get("/session").json == {
        "user": "robot", "role": "operator", "csrf": "", "expires": None,
    }  # fmt: skip
    reply = robot.post(f"/migrations/{there.done.id}/pause")
    assert (reply.status, reply.code) == (409, "over")
    for wrong in (token[:-1], "convoy_", "", "x" * 500):
        assert Guest(serving.url, token=wrong or " ").get("/session").status == 401
    by_form = Guest(serving.url)
    assert by_form.post("/session", {"token": token}).status == 204


def test_who_is_removed_is_out_at_once(serving: Serving) -> None:
    users = Users(serving.home / FILE)
    users.add("temp", Role.APPROVER, password=PASSWORD)
    guest = logged_in(serving, "temp")
    with guest.listening() as ear:
        users.remove("temp")
        assert guest.get("/migrations").status == 401
        assert ear.next() == ("", None)
    users.add("temp", Role.VIEWER, password=PASSWORD)  # another record: the old session stays over
    assert guest.get("/session").status == 401


def test_a_file_of_users_that_others_may_read_lets_nobody_in(
    serving: Serving, sessions: dict[str, Guest]
) -> None:
    path = serving.home / FILE
    path.chmod(0o640)
    try:
        reply = sessions["vera"].get("/migrations")
        assert (reply.status, reply.code) == (503, "away")
        assert str(serving.home) not in str(reply.json)  # that is in the log
        stranger = Guest(serving.url).post("/session", {"user": "vera", "password": PASSWORD})
        assert (stranger.status, stranger.code) == (503, "away")
    finally:
        path.chmod(0o600)
    assert sessions["vera"].get("/migrations").status == 200
    assert "chmod 600" in (serving.home / "centre.log").read_text()


def test_too_many_wrong_passwords_close_the_door_for_a_while(serving: Serving) -> None:
    guest = Guest(serving.url)
    Users(serving.home / FILE).add("mallory", Role.VIEWER, password=PASSWORD)
    replies = [guest.post("/session", {"user": "mallory", "password": "x"}) for _ in range(11)]
    assert [reply.status for reply in replies] == [401] * 10 + [429]
    right = guest.post("/session", {"user": "mallory", "password": PASSWORD})
    assert (right.status, right.code) == (429, "too_often")
    assert 0 < int(right.headers["retry-after"]) <= 300


def test_no_answer_tells_a_wrong_name_from_a_wrong_password(serving: Serving) -> None:
    guest = Guest(serving.url)
    wrong = [
        guest.post("/session", {"user": user, "password": "wrong"}).json
        for user in ("vera", "nobody")
    ]
    assert wrong[0] == wrong[1]


def test_every_answer_tells_the_browser_to_trust_nothing_else(
    serving: Serving, sessions: dict[str, Guest]
) -> None:
    for path in ("/", "/healthz", f"{API}/migrations", f"{API}/nothing", "/nothing"):
        reply = sessions["vera"].ask("GET", path)
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "server" not in reply.headers
        assert reply.headers["cache-control"] in ("no-store", "no-cache")


@pytest.mark.parametrize(
    "path",
    [
        "/../users.py",
        "/%2e%2e/users.py",
        "/..%2fusers.py",
        "/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "//etc/passwd",
        "/page/../../app.py",
        "/index.html%00.png",
        "/..\\users.py",
        "/%ff%fe",
    ],
)
def test_no_path_leads_out_of_the_pages_folder(serving: Serving, path: str) -> None:
    reply = Guest(serving.url).ask("GET", path)
    assert reply.status in (400, 404)
    assert b"import" not in reply.body and b"root:" not in reply.body


def test_nothing_in_a_request_becomes_a_header_of_the_answer(serving: Serving) -> None:
    with socket.create_connection(_place(serving), timeout=30) as line:
        line.sendall(
            b"GET /api/v1/migrations/x%0d%0aX-Injected:%20yes HTTP/1.1\r\nHost: x\r\n"
            b"Last-Event-ID: 1\rX-Injected: yes\r\nConnection: close\r\n\r\n"
        )
        with line.makefile("rb") as reader:
            answer = reader.read()
    assert b"x-injected" not in answer.lower()


def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(
    serving: Serving, sessions: dict[str, Guest], there: Scenery
) -> None:
    ann, path = sessions["ann"], f"{API}/migrations/{there.moving.id}/pause"
    said = ann.ask("POST", path, b'{"why": "' + b"x" * 70_000 + b'"}')
    assert (said.status, said.code) == (413, "too_large")
    chunks = b"".join(b"8000\r\n" + b"x" * 0x8000 + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: {ann.cookie}\r\nX-CSRF-Token: {ann.csrf}\r\n"
    )
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(_place(serving), timeout=30) as line:
        line.sendall(head.encode() + chunks)
        with line.makefile("rb") as reader:
            assert b" 413 " in reader.readline()


def test_no_secret_is_in_an_answer_a_log_the_process_list_or_the_store(
    serving: Serving, sessions: dict[str, Guest]
) -> None:
    token = Users(serving.home / FILE).add("quiet", Role.VIEWER, token=True)
    secret = "do not tell this to anybody"
    guest = Guest(serving.url, token=token)
    assert Guest(serving.url).post("/session", {"user": "vera", "password": secret}).status == 401
    told = [guest.get(path).body for path in ("/session", "/audit", "/hosts", "/migrations")]
    told += [Guest(serving.url).post("/session", {"user": secret, "x": secret}).body]
    told += [(serving.home / "centre.log").read_bytes(), (serving.home / FILE).read_bytes()]
    told += [
        Path(f"/proc/{serving.child.pid}/{what}").read_bytes() for what in ("cmdline", "environ")
    ]
    store = sqlite3.connect(f"file:{serving.home}/state.db?mode=ro", uri=True)
    told += ["\n".join(store.iterdump()).encode()]
    store.close()
    hidden = [token, PASSWORD, secret, *(g.csrf for g in sessions.values())]
    hidden += [g.cookie.partition("=")[2] for g in sessions.values()]
    assert [text for text in hidden for where in told if text.encode() in where] == []


def test_beyond_this_machine_it_is_heard_with_tls_only(tmp_path: Path) -> None:
    person = Terminal(tmp_path)
    refused = person.called("serve", "--listen", "0.0.0.0:0")
    assert (refused.code, "passwords would travel in clear" in refused.err) == (2, True)
    assert "--tls-cert" in refused.err


def test_with_tls_the_cookie_travels_nowhere_else(tmp_path: Path) -> None:
    both = self_signed(tmp_path / "both.pem")
    both.chmod(0o600)
    tls = {"CONVOY_CENTRE_TLS_CERT": str(both), "CONVOY_CENTRE_TLS_KEY": str(both)}
    with centre(tmp_path / "home", listen="0.0.0.0:0", **tls) as serving:
        context = ssl.create_default_context(cafile=str(both))
        url = serving.url.replace("0.0.0.0", "localhost")
        guest = Guest(url, context=context)
        reply = guest.post("/session", {"user": "vera", "password": PASSWORD})
        assert reply.headers["set-cookie"].startswith("__Host-convoy_session=")
        assert "Secure" in reply.headers["set-cookie"]
        assert "strict-transport-security" in reply.headers


def test_users_are_added_listed_and_removed_from_a_terminal(tmp_path: Path) -> None:
    person = Terminal(tmp_path)
    words = ("serve", "user", "add", "ann", "--role", "operator", "--password-stdin")
    added = person.run(*words, given=b"three unrelated words\n")
    assert (added.code, added.out) == (0, "")
    assert person.told("serve", "user", "list") == [{"user": "ann", "role": "operator"}]
    again = person.run(*words, given=b"three unrelated words\n")
    assert (again.code, "there is a user ann" in again.err) == (2, True)
    short = person.run(
        "serve", "user", "add", "bob", "--role", "viewer", "--password-stdin", given=b"short\n"
    )
    assert (short.code, "12 to 1024" in short.err) == (2, True)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert person.called("serve", "user", "remove", "ann").code == 0
    assert person.told("serve", "user", "list") == []


def test_without_users_it_does_not_even_listen(tmp_path: Path) -> None:
    done = Terminal(tmp_path).run("serve", "--listen", "127.0.0.1:0")
    assert (done.code, "convoy serve user add" in done.err) == (2, True)


def test_a_session_ends_with_the_process(tmp_path: Path) -> None:
    with centre(tmp_path) as serving:
        guest = logged_in(serving, "vera")
        assert eventually(lambda: guest.get("/migrations").status == 200)
    with centre(tmp_path) as again:
        guest.url = again.url
        assert guest.get("/session").status == 401


def _place(serving: Serving) -> tuple[str, int]:
    host, _, port = serving.url.rpartition("/")[2].partition(":")
    return host, int(port)
