"""The address of a store: which driver it means, and that its secrets stay out of every error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pymongo import errors

from common.errors import Conflict, ConvoyError, Denied, Permanent, Refused, Transient
from common.store.clients import Server, translated
from common.store.connect import connect
from common.store.mongo import MongoStore
from common.store.sqlite import SqliteStore

SECRET = "s3cr/t+p@ss"
QUOTED = "s3cr%2Ft%2Bp%40ss"


@pytest.mark.parametrize("slashes", ["sqlite://", "sqlite:///", "SQLITE://"])
def test_sqlite_is_a_file(tmp_path: Path, slashes: str) -> None:
    store = connect(f"{slashes}{tmp_path}/a%20b/state.db")
    assert isinstance(store, SqliteStore)
    assert (tmp_path / "a b" / "state.db").exists()
    store.close()


@pytest.mark.parametrize("url", ["mongodb://h/", "mongodb://a:1,b:2/db?w=1", "mongodb+srv://h/db"])
def test_mongo_is_not_contacted_before_it_is_needed(url: str) -> None:
    store = connect(url)
    assert isinstance(store, MongoStore)
    store.collection("units")
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state.db",
        "/var/lib/state.db",
        f"postgres://user:{QUOTED}@host/db",
        f"redis://:{SECRET}@host/4",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/state.db",
        "sqlite:///state.db?mode=memory",
        "mongodb://",
        "mongodb+srv://",
        f"mongodb://user:{SECRET}@host/db",
        f"mongodb://user:{QUOTED}@host:port/db",
        f"mongodb://user:{QUOTED}@host/d b",
        f"mongodb://user:{QUOTED}@",
        f"mongodb+srv://user:{SECRET}@host/db",
        f"mongodb+srv://user:{QUOTED}@/db",
    ],
)
def test_an_address_that_names_no_store_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(Permanent) as told:
        connect(url)
    said = f"{told.value} {told.value.hint} {told.value.__cause__}"
    assert "s3cr" not in said
    assert "p@ss" not in said
    assert told.value.hint


def test_the_address_names_the_database_or_the_default_is_taken() -> None:
    assert Server("mongodb://h/fleet", "convoy").name == "fleet"
    assert Server("mongodb://h/", "convoy").name == "convoy"
    assert Server("mongodb://h", "convoy").name == "convoy"


def test_an_error_names_the_place_and_hides_user_and_password() -> None:
    server = Server(f"mongodb://operator:{QUOTED}@one:1,two:2/fleet", "convoy")
    assert server.place == "mongodb://one:1,two:2/fleet"
    with pytest.raises(Transient) as told, server.talk("change in units"):
        raise errors.AutoReconnect(f"lost {SECRET} and {QUOTED}")
    said = str(told.value)
    assert said == "mongodb://one:1,two:2/fleet: change in units: lost *** and ***"
    assert "operator" not in said
    assert told.value.__suppress_context__


def test_a_server_that_is_not_there_is_a_passing_trouble() -> None:
    quick = "serverSelectionTimeoutMS=50&connectTimeoutMS=50"
    store = connect(f"mongodb://operator:{QUOTED}@127.0.0.1:9/fleet?{quick}")
    with pytest.raises(Transient, match=r"127\.0\.0\.1:9/fleet: get from units") as told:
        store.collection("units").get("u")
    assert "s3cr" not in str(told.value)
    store.close()


def test_a_name_that_no_name_server_knows_is_told_without_its_secrets() -> None:
    store = connect(f"mongodb+srv://operator:{QUOTED}@nowhere.invalid/fleet?connectTimeoutMS=100")
    with pytest.raises(Permanent, match=r"nowhere\.invalid/fleet") as told:
        store.collection("units").get("u")
    assert "s3cr" not in str(told.value)


def _failure(code: int) -> errors.OperationFailure:
    return errors.OperationFailure("no", code)


def _bulk(*write: int, concern: int = 0) -> errors.BulkWriteError:
    details: dict[str, Any] = {"writeErrors": [{"code": code, "index": 0} for code in write]}
    details["writeConcernErrors"] = [{"code": concern}] if concern else []
    return errors.BulkWriteError(details | {"nInserted": 1})


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (errors.AutoReconnect("gone"), Transient),
        (errors.ServerSelectionTimeoutError("none"), Transient),
        (errors.NetworkTimeout("slow"), Transient),
        (errors.NotPrimaryError("moved"), Transient),
        (errors.WTimeoutError("slow", 64), Transient),
        (errors.ExecutionTimeout("slow", 50), Transient),
        (errors.CursorNotFound("old", 43), Transient),
        (errors.WaitQueueTimeoutError("full"), Transient),
        (_failure(112), Transient),
        (_failure(14031), Transient),
        (_bulk(11000, concern=91), Transient),
        (_failure(18), Denied),
        (_failure(13), Denied),
        (_bulk(11000, 13), Denied),
        (errors.DuplicateKeyError("twice", 11000), Conflict),
        (_failure(2), Refused),
        (_failure(14), Refused),
        (errors.DocumentTooLarge("big"), Refused),
        (errors.ConfigurationError("odd"), Permanent),
        (_failure(59), Permanent),
        (_bulk(121), Permanent),
        (errors.InvalidOperation("closed"), Permanent),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_mongo_says_what_to_do(foreign: Exception, ours: type[ConvoyError]) -> None:
    told = translated(foreign, "what happened")
    assert type(told) is ours
    assert "what happened" in str(told)
    assert told.hint or ours is Conflict


def test_a_client_is_opened_again_after_a_fork() -> None:
    server = Server("mongodb://127.0.0.1:9/", "convoy")
    before = server.database().client
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"another" if server.database().client is not before else b"the same")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"another"
    assert server.database().client is before
    os.close(reader)
    os.close(writer)
    server.close()
    with pytest.raises(Permanent, match="closed"):
        server.database()
