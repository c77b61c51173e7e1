"""Sessions end, log-ins are counted, roles are ordered: on a clock that tests turn."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from common.errors import Conflict, Corrupt, Denied, Missing, Refused
from ops.centre import sessions as rooms
from ops.centre.attempts import Attempts
from ops.centre.gate import needed
from ops.centre.place import loopback, parsed, place
from ops.centre.sessions import Sessions
from ops.centre.users import Role, User, Users
from tests.factories import Turned

ANN = User("ann", Role.OPERATOR, "1")
IDLE, ABSOLUTE = timedelta(minutes=30), timedelta(hours=12)
GOOD = "three unrelated words"


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
def sessions(turned: Turned) -> Sessions:
    return Sessions(turned.clock(), idle=IDLE, absolute=ABSOLUTE)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "users")


def test_a_session_ends_when_nothing_is_done(sessions: Sessions, turned: Turned) -> None:
    secret, _ = sessions.open(ANN)
    turned.turn(IDLE - timedelta(seconds=1))
    assert sessions.of(secret, use=True)
    turned.turn(IDLE - timedelta(seconds=1))
    assert sessions.of(secret, use=False)  # what the page asks by itself keeps nothing alive
    turned.turn(timedelta(seconds=1))
    assert sessions.of(secret, use=True) is None
    assert len(sessions) == 0


def test_a_session_ends_however_much_is_done(sessions: Sessions, turned: Turned) -> None:
    secret, session = sessions.open(ANN)
    for _ in range(47):
        turned.turn(timedelta(minutes=15))
        assert sessions.of(secret, use=True)
    assert sessions.left(session) == 15 * 60
    turned.turn(timedelta(minutes=15))
    assert sessions.of(secret, use=True) is None


def test_what_is_left_of_a_session_is_the_nearer_of_both_ends(
    sessions: Sessions, turned: Turned
) -> None:
    _, session = sessions.open(ANN)
    assert sessions.left(session) == 30 * 60
    turned.turn(timedelta(minutes=40))
    assert sessions.left(session) == 0


def test_nobody_has_more_sessions_than_a_few_and_all_together_not_more_than_many(
    sessions: Sessions,
) -> None:
    first, _ = sessions.open(ANN)
    for _ in range(rooms.MOST_OF_ONE):
        sessions.open(ANN)
    assert sessions.of(first, use=True) is None
    for number in range(rooms.MOST + 50):
        sessions.open(User(f"user{number}", Role.VIEWER, ""))
    assert len(sessions) == rooms.MOST


def test_a_closed_session_and_a_made_up_one_are_nobodys(sessions: Sessions) -> None:
    secret, session = sessions.open(ANN)
    assert session.csrf != secret
    sessions.close(secret)
    for made_up in (secret, "", "x", "\ud800"):
        assert sessions.of(made_up, use=True) is None


def test_so_many_tries_within_a_while_and_then_one_for_each_that_is_long_ago(
    turned: Turned,
) -> None:
    tries = Attempts(turned.clock(), most=3, within=timedelta(minutes=5))
    for _ in range(3):
        assert tries.take("ann") == 0
        turned.turn(timedelta(minutes=1))
    assert tries.take("ann") == 120
    assert tries.take("bob") == 0
    turned.turn(timedelta(minutes=2))
    assert tries.take("ann") == 0
    assert tries.take("ann") > 0


def test_a_right_password_does_not_count(turned: Turned) -> None:
    tries = Attempts(turned.clock(), most=2, within=timedelta(minutes=5))
    for _ in range(20):
        assert tries.take("ann") == 0
        tries.forgive("ann")
    assert len(tries) == 0
    tries.forgive("nobody")


def test_ever_new_names_do_not_fill_the_memory(turned: Turned) -> None:
    tries = Attempts(turned.clock(), most=2, within=timedelta(minutes=5), keys=100)
    for number in range(1000):
        tries.take(f"user{number}")
    assert len(tries) <= 101


def test_many_tries_at_once_gain_nothing(turned: Turned) -> None:
    tries = Attempts(turned.clock(), most=10, within=timedelta(minutes=5))
    allowed: list[float] = []
    threads = [
        threading.Thread(target=lambda: allowed.append(tries.take("ann"))) for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed.count(0.0) == 10


def test_each_role_may_do_what_those_before_it_may() -> None:
    may = {(role, wanted): role.may(wanted) for role in Role for wanted in Role}
    assert [may[Role.VIEWER, wanted] for wanted in Role] == [True, False, False]
    assert [may[Role.OPERATOR, wanted] for wanted in Role] == [True, True, False]
    assert [may[Role.APPROVER, wanted] for wanted in Role] == [True, True, True]


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/api/v1/anything", Role.VIEWER),
        ("POST", "/api/v1/session", None),
        ("DELETE", "/api/v1/session", Role.VIEWER),
        ("POST", "/api/v1/migrations", Role.OPERATOR),
        ("POST", "/api/v1/migrations/x/approve", Role.APPROVER),
        ("POST", "/api/v1/migrations/x/advance", Role.APPROVER),
        ("BREW", "/api/v1/unheard/of", Role.OPERATOR),
        ("POST", "/api/v1/session/", Role.OPERATOR),
    ],
)
def test_what_changes_something_wants_an_operator_unless_it_is_said_otherwise(
    method: str, path: str, role: Role | None
) -> None:
    assert needed(method, path) is role


def test_a_password_is_known_again_and_never_written_down(users: Users) -> None:
    users.add("ann", Role.OPERATOR, password=GOOD)
    ann = users.by_password("ann", GOOD)
    assert ann and (ann.name, ann.role) == ("ann", Role.OPERATOR)
    assert users.by_password("ann", GOOD + " ") is None
    assert users.by_password("bob", GOOD) is None
    assert GOOD not in users.path.read_text()


def test_a_token_is_no_password_and_a_password_no_token(users: Users) -> None:
    token = users.add("robot", Role.VIEWER, token=True)
    users.add("ann", Role.OPERATOR, password=GOOD)
    robot = users.by_token(token)
    assert robot and robot.name == "robot"
    assert users.by_password("robot", token) is None
    assert users.by_password("robot", "") is None
    assert users.by_token(GOOD) is None
    assert users.by_token("") is None
    assert token not in users.path.read_text()


def test_a_change_of_the_file_is_seen_at_once(users: Users) -> None:
    users.add("ann", Role.OPERATOR, password=GOOD)
    before = users.find("ann")
    Users(users.path).remove("ann")
    assert users.find("ann") is None
    Users(users.path).add("ann", Role.OPERATOR, password=GOOD)
    after = users.find("ann")
    assert before and after and before.stamp != after.stamp


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "a\n", "é", "-x"])
def test_names_that_mean_something_elsewhere_are_refused(users: Users, name: str) -> None:
    with pytest.raises(Refused):
        users.add(name, Role.VIEWER, token=True)


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_passwords_that_are_too_short_or_endless_are_refused(users: Users, password: str) -> None:
    with pytest.raises(Refused):
        users.add("ann", Role.VIEWER, password=password)


def test_nobody_is_added_twice_and_nobody_removed_who_is_not_there(users: Users) -> None:
    users.add("ann", Role.VIEWER, password=GOOD)
    with pytest.raises(Conflict):
        users.add("ann", Role.APPROVER, token=True)
    with pytest.raises(Missing):
        users.remove("bob")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "\xff",
        '{"users": {"ann": {"role": "king", "password": "", "token": ""}}}',
        '{"users": {"ann": {"role": "viewer"}}}',
        '{"users": {"ann": {"role": "viewer", "password": "plain text", "token": ""}}}',
        '{"users": {"ann": {"role": "viewer", "password": "scrypt$99$8$1$x$y", "token": ""}}}',
        '{"users": {"ann": {"role": "viewer", "password": 7, "token": ""}}}',
        '{"users": {"ann": {"role": "viewer", "password": "", "token": "convoy_plain"}}}',
    ],
)
def test_a_file_that_is_not_ours_lets_nobody_in(users: Users, text: str) -> None:
    users.path.write_text(text)
    users.path.chmod(0o600)
    with pytest.raises(Corrupt):
        users.find("ann")


def test_a_file_that_others_may_read_or_that_is_gone_lets_nobody_in(users: Users) -> None:
    with pytest.raises(Missing):
        users.find("ann")
    users.add("ann", Role.VIEWER, password=GOOD)
    users.path.chmod(0o604)
    with pytest.raises(Denied):
        users.by_password("ann", GOOD)


def test_two_who_add_at_once_are_both_there(users: Users) -> None:
    threads = [
        threading.Thread(
            target=Users(users.path).add, args=(f"u{n}", Role.VIEWER), kwargs={"token": True}
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [user.name for user in users.everyone()] == [f"u{n}" for n in range(8)]


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:0", "localhost:8480", "127.9.9.9:1"])
def test_this_machine_may_listen_to_itself_without_tls(text: str) -> None:
    found = place(text, cert=None, key=None)
    assert (found.host, found.port) == parsed(text)
    assert found.url.startswith("http://")


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "host.example:80"])
def test_beyond_it_wants_tls_unless_told_otherwise(text: str) -> None:
    with pytest.raises(Refused, match="in clear"):
        place(text, cert=None, key=None)
    assert place(text, cert=None, key=None, insecure=True).host


@pytest.mark.parametrize("text", ["", "80", ":80", "host:", "host:99999", "host:-1", "host:８０"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        place(text, cert=None, key=None)


def test_names_are_not_believed_to_be_this_machine() -> None:
    assert loopback("localhost")
    assert not loopback("localhost.example")
    assert not loopback("127.0.0.1.example")


def test_tls_wants_both_files_and_a_key_that_is_ours_alone(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    with pytest.raises(Refused):
        place("127.0.0.1:1", cert=cert, key=None)
    with pytest.raises(Denied):
        place("127.0.0.1:1", cert=cert, key=key)
    for path in (cert, key):
        path.write_text("nonsense")
    key.chmod(0o644)
    with pytest.raises(Denied, match="read by others"):
        place("127.0.0.1:1", cert=cert, key=key)
    key.chmod(0o600)
    with pytest.raises(Denied, match="TLS"):
        place("127.0.0.1:1", cert=cert, key=key)
