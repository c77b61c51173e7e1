"""What only the store of one machine promises: about its file, the disk, and its indexes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.errors import Permanent, Refused, Transient
from common.store import links, sqlite
from common.store.base import Shape, Where, above, among, at_most
from common.store.connect import connect
from common.store.schema import SHAPES
from common.store.search import Search
from common.store.sqlite import SqliteStore, Table

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "place" / "state.db")


@pytest.fixture
def store(path: str) -> Iterator[SqliteStore]:
    ours = SqliteStore(path)
    yield ours
    ours.close()


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def query(path: str, text: str) -> list[tuple[Any, ...]]:
    """Ask the file itself, past the driver."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def test_the_file_and_its_directory_are_for_this_user_only(path: str, store: SqliteStore) -> None:
    store.collection("events").insert({"id": "e"})
    files = {name: mode(Path(path).with_name(name)) for name in os.listdir(os.path.dirname(path))}
    assert files == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert mode(os.path.dirname(path)) == 0o700


def test_a_directory_that_was_there_stays_as_it_was(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SqliteStore(str(tmp_path / "state.db")).close()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "state.db") == 0o600


@pytest.mark.parametrize("name", ["with space", "50%", "what?", "hash#1", "Ünïcode", "a&b=c;"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / f"{name}.db"
    store = SqliteStore(str(file))
    store.collection("events").insert({"id": "e"})
    store.close()
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_store_means_the_same_file_from_wherever_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("state.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store._links.let_go()  # as before a fork
    assert store.collection("events").insert({"id": "e"})
    store.close()


@pytest.mark.parametrize("nowhere", ["", ":memory:"])
def test_what_is_no_file_is_refused(nowhere: str) -> None:
    with pytest.raises(Refused, match="no path"):
        SqliteStore(nowhere)


def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(b"These are somebody's holiday notes.\n" * 300)
    before = file.read_bytes()
    with pytest.raises(Permanent, match="garbage") as told:
        SqliteStore(str(file))
    assert "move it away" in told.value.hint
    assert file.read_bytes() == before


def test_a_damaged_file_is_told_as_damaged(path: str) -> None:
    store = SqliteStore(path)
    store.collection("events").insert_many([{"id": f"{n}", "at": n} for n in range(5000)])
    store.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 50)  # behind what says which tables there are
        file.write(b"\xa5" * 4096 * 40)
    store = SqliteStore(path)
    with pytest.raises(Permanent) as told:
        list(store.collection("events").find({}))
    assert "restore" in told.value.hint
    store.close()


def test_a_file_of_another_format_is_refused(path: str) -> None:
    SqliteStore(path).close()
    query(path, "PRAGMA user_version = 99")
    with pytest.raises(Permanent, match="format 99"):
        SqliteStore(path)


def test_a_sqlite_that_is_too_old_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "OLDEST", (99, 0))
    with pytest.raises(Permanent, match="too old"):
        SqliteStore(path)
    assert not os.path.exists(path)


_HUMBLE = """
import os, sys
from common.errors import ConvoyError
from common.store.connect import connect
if os.geteuid() == 0:
    os.setuid(int(sys.argv[2]))
try:
    store = connect(sys.argv[1])
    store.collection("events").insert({"id": "e"})
except ConvoyError as error:
    print(type(error).__name__, "|", error, "|", error.hint)
"""


def _as_nobody(url: str) -> str:
    """What opening and writing says to a user without rights."""
    argv = [sys.executable, "-c", _HUMBLE, url, str(NOBODY)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def open_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that other users may enter."""
    place = Path("/tmp") / f"convoy-{os.getpid()}-{tmp_path_factory.mktemp('x').name}"
    place.mkdir(mode=0o755)
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


def test_a_file_that_may_only_be_read_is_denied(open_place: Path) -> None:
    file = open_place / "state.db"
    SqliteStore(str(file)).close()
    file.chmod(0o444)
    open_place.chmod(0o755 if os.geteuid() == 0 else 0o555)
    said = _as_nobody(f"sqlite://{file}")
    assert said.startswith(("Denied", "Permanent"))
    assert str(file) in said
    assert "directory" in said


def test_a_place_that_may_not_be_written_is_denied(open_place: Path) -> None:
    open_place.chmod(0o555)
    said = _as_nobody(f"sqlite://{open_place}/deeper/state.db")
    assert said.startswith("Denied")
    assert "Permission denied" in said


_FULL = """
import os, sys
from common.errors import Transient
from common.store.connect import connect
home, told = sys.argv[1], 0
store = connect(f"sqlite://{home}/state.db")
events = store.collection("events")
ballast = os.open(f"{home}/ballast", os.O_CREAT | os.O_WRONLY)
os.write(ballast, bytes(1 << 20))
try:
    while events.insert_many([{"id": f"{told}-{n}", "text": "x" * 500} for n in range(20)]):
        told += 1
except Transient as error:
    print("first", error, "|", error.hint)
try:
    events.change({"id": "0-0"}, set={"text": "y" * 2_000_000})
    print("no error")
except Transient as error:
    print("second", error, "|", error.hint)
assert events.count({}) == told * 20, (events.count({}), told)
os.ftruncate(ballast, 0)
assert events.insert_many([{"id": f"{told}-{n}", "text": "x" * 500} for n in range(20)]) == 20
store.close()
store = connect(f"sqlite://{home}/state.db")
assert store.collection("events").count({}) == told * 20 + 20
print("third", told > 10)
"""


def test_a_full_disk_loses_nothing_and_is_a_passing_trouble(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    mount = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "-m", "sh", "-c", mount, "sh", str(tmp_path / "full"), sys.executable, _FULL]
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a disk of our own needs `unshare -m`")
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    first, second, third = done.stdout.splitlines() or ["", "", done.stderr]
    assert first.startswith("first") and "free space" in first
    assert second.startswith("second") and "free space" in second
    assert third == "third True"


def test_a_file_that_another_process_holds_is_waited_for_then_told(
    path: str, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "PATIENCE", 0.05)
    events = store.collection("events")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._links.let_go()  # so that the next connection has the short patience
    with pytest.raises(Transient, match="locked"):
        events.insert({"id": "e"})
    with pytest.raises(Transient, match="locked"):
        events.insert_many([{"id": "e"}])
    assert events.count({}) == 0  # readers do not wait
    other.execute("ROLLBACK")
    other.close()
    assert events.insert({"id": "e"})


def test_nothing_is_held_open_between_two_pages(path: str, store: SqliteStore) -> None:
    events = store.collection("events")
    events.insert_many([{"id": f"{n}", "at": n, "migration": "m"} for n in range(1000)])
    answer = events.find({"migration": "m"}, order=("at",))
    for _ in range(600):
        next(answer)
    events.insert({"id": "meanwhile", "at": 5})
    assert query(path, "PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
    assert len(list(answer)) == 400


def test_what_must_survive_a_power_cut_waits_for_the_disk(path: str) -> None:
    def level(store: SqliteStore) -> int:
        with store._links.link("test") as link:
            return int(link.rows("PRAGMA synchronous")[0][0])

    quick, durable = SqliteStore(path), SqliteStore(path, durable=True)
    assert (level(quick), level(durable)) == (1, 2)
    quick.collection("events").insert_many([{"id": "a"}])
    durable.collection("events").insert_many([{"id": "b"}])
    assert (level(quick), level(durable)) == (1, 2)
    quick.close()
    durable.close()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_batch_is_on_the_disk_before_it_is_acknowledged(path: str, tmp_path: Path) -> None:
    program = """
import os, sys
from common.store.connect import connect
events = connect(f"sqlite://{sys.argv[1]}").collection("events")
events.count({})
for n in range(5):
    os.write(1, b"batch %d" % n)
    events.insert_many([{"id": f"{n}"}])
"""
    log = tmp_path / "calls"
    argv = ["strace", "-f", "-o", str(log), "-e", "trace=fdatasync,fsync,write"]
    argv += [sys.executable, "-c", program, path]
    traced = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    if traced.returncode and b"batch 0" not in traced.stdout:
        pytest.skip("strace may not trace here")
    parts = log.read_text().split('"batch ')
    assert len(parts) == 6
    assert all("sync(" in part for part in parts[1:])


def test_an_index_that_is_declared_later_is_made_from_what_is_there(path: str) -> None:
    plain: Mapping[str, Shape] = {"things": Shape()}
    store = SqliteStore(path, shapes=plain)
    values = [1, 1.5, True, None, "text", 1_700_000_000.123456]
    docs = [{"id": f"{n}", "rank": value} for n, value in enumerate(values)]
    store.collection("things").insert_many([*docs, {"id": "missing"}])
    store.close()
    for shape in (Shape(indexes=(("rank",),)), Shape(indexes=(("rank",), ("state", "rank")))):
        store = SqliteStore(path, shapes={"things": shape})
        things = store.collection("things")
        for doc in docs:
            assert doc in list(things.find({"rank": doc["rank"]}))
        assert things.insert({"id": f"{len(shape.indexes)}-more", "rank": 7, "state": "new"})
        store.close()
    assert _differing(path, "things", "rank") == 0


def test_the_columns_say_what_the_documents_say(path: str, store: SqliteStore) -> None:
    units = store.collection("units")
    units.insert_many([_unit(n) for n in range(100)])
    for n in range(0, 100, 3):
        units.change({"id": f"u{n}"}, set={"due_at": None, "state": "running"}, inc={"epoch": 1})
    units.change_many({"state": "running"}, set={"group": "g", "state": 1}, inc={"generation": 2})
    units.change_many({"state": "queued"}, inc={"due_at": 0.1, "generation": -0.5})
    units.change({"id": "new", "state": True}, set={"group": "x"}, inc={"due_at": 3}, upsert=True)
    fields = {field for key in SHAPES["units"].indexes for field in key}
    assert {field: _differing(path, "units", field) for field in fields} == dict.fromkeys(fields, 0)


def _unit(n: int) -> dict[str, Any]:
    where = {"id": f"u{n}", "migration": "m", "generation": 1, "group": "", "state": "queued"}
    return where | {"due_at": n / 7, "key": f"k{n}", "epoch": 1}


def _differing(path: str, table: str, field: str) -> int:
    """In how many rows column and body disagree, by SQLite's own reading of the body."""
    kind, value = f"json_type(body, '$.{field}')", f"json_extract(body, '$.{field}')"
    plain = f"f_{field} IS {value} OR abs(f_{field} - {value}) < 1e-6"
    true = f"{kind} = 'true' AND f_{field} IS x'01'"
    false = f"{kind} = 'false' AND f_{field} IS x'00'"
    text = f"SELECT count(*) FROM {table} WHERE NOT (({plain}) OR ({true}) OR ({false}))"
    return int(query(path, text)[0][0])


PLANS: list[tuple[Where, tuple[str, ...]]] = [
    ({"migration": "m", "generation": 1, "due_at": at_most(5.0)}, ("due_at",)),
    ({"migration": "m", "generation": 1, "due_at": above(5.0)}, ()),
    ({"migration": "m", "generation": 1}, ("due_at",)),
    ({"state": "running"}, ()),
    ({"migration": "m", "generation": 1, "group": among(["a", "b"])}, ()),
    ({}, ("id",)),
    ({"id": above("x")}, ("id",)),
]


@pytest.mark.parametrize(("where", "order"), PLANS, ids=range(len(PLANS)))
def test_what_is_asked_for_often_is_found_by_an_index_and_never_sorted(
    store: SqliteStore, where: Where, order: tuple[str, ...]
) -> None:
    units = store.collection("units")
    search = Search(units._links, units._layout, where, order, ())
    plan = _plan(units, *search._query(search._where, ", body", 64))
    assert "USING INDEX" in plan
    if order:
        assert "TEMP B-TREE" not in plan


def test_rows_whose_numbers_are_known_are_found_by_them(store: SqliteStore) -> None:
    units = store.collection("units")
    clause = units._layout.where({"state": "queued", "migration": "m", "generation": 1})
    text = f"SELECT body FROM {units._layout.by_row} WHERE seq IN (1, 2) AND {clause.text}"
    assert "INTEGER PRIMARY KEY" in _plan(units, text, clause.values)


def _plan(table: Table, text: str, values: tuple[Any, ...]) -> str:
    with table._links.link("explain") as link:
        return "; ".join(row[3] for row in link.rows(f"EXPLAIN QUERY PLAN {text}", values))


def test_a_connection_that_met_an_error_is_not_used_again(store: SqliteStore) -> None:
    for fault, kind in (("nonsense", Permanent), ("", KeyError)):
        with pytest.raises(kind):
            _fail_within_a_transaction(store, fault)
        assert store.collection("events").insert({"id": f"after {fault}"})


def _fail_within_a_transaction(store: SqliteStore, fault: str) -> None:
    with store._links.link("test") as link, link.transaction():
        link.run(fault or "SELECT 1")
        raise KeyError(fault)


def test_no_connection_crosses_a_fork(store: SqliteStore) -> None:
    store.collection("events").insert({"id": "e"})
    assert store._links._idle
    child = os.fork()
    if child == 0:
        os._exit(len(store._links._idle))
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert store.collection("events").count({}) == 1


def test_a_connection_of_another_process_is_left_alone(store: SqliteStore) -> None:
    events = store.collection("events")
    events.insert({"id": "e"})
    [link] = store._links._idle
    link.pid = os.getppid()  # as if it had slipped through a fork
    assert events.count({}) == 1
    assert link not in store._links._idle
    assert link in links._LEFT_BEHIND
    links._LEFT_BEHIND.remove(link)
    link.connection.close()


def test_the_address_names_the_file(path: str) -> None:
    for url in (f"sqlite://{path}", f"sqlite:///{path}"):
        store = connect(url, durable=True)
        assert isinstance(store, SqliteStore)
        store.close()
    assert os.path.exists(path)
