"""The name by which an export of a gate is asked for: which disk, as which mount, by what right."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import NamedTuple

from common.errors import Refused

FENCE = "fence"


class Pass(NamedTuple):
    """What an export's name says: which disk, as which mount; or to fence an epoch off."""

    disk: str
    mount: int | None = None
    fence: bool = False
    token: str = ""

    @classmethod
    def read(cls, name: str) -> Pass:
        disk, *rest = name.split("@")
        if not rest:
            return cls(checked(disk))
        if len(rest) != 3 or rest[0] not in ("mount", FENCE) or not rest[1].isdecimal():
            raise Refused(f"{name!r} is no name of an export", hint="ask the catalogue for it")
        return cls(checked(disk), int(rest[1]), rest[0] == FENCE, rest[2])

    def __str__(self) -> str:
        if self.mount is None:
            return self.disk
        return f"{self.disk}@{FENCE if self.fence else 'mount'}@{self.mount}@{self.token}"


def token(secret: str, disk: str, epoch: int) -> str:
    """What proves that the catalogue granted this epoch of this disk."""
    return hmac.new(secret.encode(), f"{disk}@{epoch}".encode(), sha256).hexdigest()[:32]


def checked(disk: str) -> str:
    """A disk's name is a file's name, too."""
    if not disk or disk.startswith(".") or not set(disk) <= _NAMED or len(disk) > 200:
        raise Refused(f"{disk!r} cannot be the name of a disk", hint="letters, digits, -_.+")
    return disk


_NAMED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+")
