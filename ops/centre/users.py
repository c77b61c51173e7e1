"""Who may come in: a file of people with their roles, hashed passwords and hashed tokens.

Mode 0600, never the store. Passwords are hashed by scrypt with a salt each; tokens are drawn by
us, too long to be guessed, and kept as SHA-256. The file is read again whenever it was replaced;
one that cannot be read, or that others can, lets nobody in.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.errors import Conflict, Corrupt, Denied, Missing, Refused
from ops.host.files import replace

FILE = "centre.users"  # in the home, unless the settings say otherwise
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHORTEST, LONGEST = 12, 1024  # characters of a password
MARK = "convoy_"  # tokens begin so, for those who search for secrets in the wrong places
LOG_N, R, P = 15, 8, 1  # of scrypt: 32 MiB and about a tenth of a second
MOST_MEMORY = 64 << 20
_PASSWORD = re.compile(r"|scrypt\$1[0-6]\$8\$1\$[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]+")
_TOKEN = re.compile(r"|[0-9a-f]{64}")


class Role(StrEnum):
    """What somebody may do; each may do all that those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"

    def may(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may come in. `stamp` changes whenever anything about them does."""

    name: str
    role: Role
    stamp: str


class Users:
    """The people of one file. For many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._records: Mapping[str, Mapping[str, Any]] = {}

    def find(self, name: str) -> User | None:
        """This person as the file says now."""
        record = self._current().get(name)
        return _user(name, record) if record else None

    def everyone(self) -> list[User]:
        return [_user(name, record) for name, record in sorted(self._current().items())]

    def by_password(self, name: str, password: str) -> User | None:
        """Who this is; takes as long for a name that nobody has."""
        record = self._current().get(name) or {}
        kept = str(record.get("password") or _NOBODY)
        right = _matches(password, kept)
        return _user(name, record) if right and record.get("password") else None

    def by_token(self, token: str) -> User | None:
        """Whose token this is."""
        hashed, found = _hashed(token), None
        for name, record in self._current().items():
            if hmac.compare_digest(str(record.get("token") or ""), hashed):
                found = _user(name, record)
        return found

    def add(self, name: str, role: Role, *, password: str = "", token: bool = False) -> str:
        """Add somebody with a password, or with a token, which is returned; Conflict if known."""
        if not NAME.fullmatch(name):
            raise Refused(f"{name!r} is no name of a user", hint="letters, digits, . _ - only")
        if not token and not SHORTEST <= len(password) <= LONGEST:
            raise Refused(
                f"the password has {len(password)} characters",
                hint=f"{SHORTEST} to {LONGEST}; three unrelated words are good",
            )
        drawn = MARK + secrets.token_urlsafe(32) if token else ""
        record = {"role": role.value, "password": "", "token": _hashed(drawn) if drawn else ""}
        if not token:
            record["password"] = _kept(password)
        with self._changing() as records:
            if name in records:
                raise Conflict(f"there is a user {name}", hint=f"`convoy serve user remove {name}`")
            records[name] = record
        return drawn

    def remove(self, name: str) -> None:
        """Let somebody in no more; sessions end at once. Missing if there is nobody."""
        with self._changing() as records:
            if records.pop(name, None) is None:
                raise Missing(f"there is no user {name!r}", hint="`convoy serve user list`")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Denied(f"{self.path} cannot be changed: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = dict(self._current()) if self.path.exists() else {}
            yield records
            replace(self.path, json.dumps({"users": records}, indent=1) + "\n")
        finally:
            os.close(lock)

    def _current(self) -> Mapping[str, Mapping[str, Any]]:
        with self._lock:
            try:
                there = self.path.stat()
            except FileNotFoundError:
                raise Missing(
                    f"{self.path} is not there: nobody may come in",
                    hint="`convoy serve user add NAME --role operator`",
                ) from None
            except OSError as error:
                raise Denied(f"{self.path} cannot be read: {error.strerror}") from error
            seen = (there.st_ino, there.st_mtime_ns, there.st_size, there.st_mode)
            if seen != self._seen:
                self._records, self._seen = _read(self.path, there.st_mode), seen
            return self._records


def _read(path: Path, mode: int) -> Mapping[str, Mapping[str, Any]]:
    if mode & 0o077:
        raise Denied(f"{path} may be read by others", hint=f"chmod 600 {path}")
    try:
        found = json.loads(path.read_bytes())["users"]
        for record in found.values():
            _checked(record)
    except OSError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Corrupt(f"{path} is no file of users", hint="remove it and add users anew") from None
    return dict(found)


def _checked(record: Mapping[str, Any]) -> None:
    """ValueError and the like unless it is as we write it."""
    Role(record["role"])
    if not (_PASSWORD.fullmatch(record["password"]) and _TOKEN.fullmatch(record["token"])):
        raise ValueError("a hash that is not ours")


def _user(name: str, record: Mapping[str, Any]) -> User:
    stamp = _hashed(json.dumps(record, sort_keys=True))
    return User(name, Role(record["role"]), stamp)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _kept(password: str) -> str:
    salt = secrets.token_bytes(16)
    shown = base64.b64encode(salt).decode()
    return f"scrypt${LOG_N}${R}${P}${shown}${_scrypt(password, salt, LOG_N, R, P)}"


def _matches(password: str, kept: str) -> bool:
    _, log_n, r, p, salt, wanted = kept.split("$")
    found = _scrypt(password[:LONGEST], base64.b64decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(found, wanted)


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> str:
    text = password.encode("utf-8", "surrogatepass")
    key = hashlib.scrypt(text, salt=salt, n=1 << log_n, r=r, p=p, maxmem=MOST_MEMORY)
    return base64.b64encode(key).decode()


_NOBODY = f"scrypt${LOG_N}${R}${P}${base64.b64encode(bytes(16)).decode()}$"
