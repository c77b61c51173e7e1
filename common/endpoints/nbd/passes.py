"""The name by which an export of a gate is asked for: which disk, as which mount, by what right."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import NamedTuple

from common.endpoints.nbd.admission import epoch_of, last
from common.errors import Refused

MOUNT, FENCE, READ = "mount", "fence", "read"


class Pass(NamedTuple):
    """What an export's name says: which disk, and to mount it, to read it, or to fence an epoch
    off. Without a kind it gives no right but to ask what the disk is."""

    disk: str
    mount: int = 0
    kind: str = ""
    token: str = ""

    @classmethod
    def read(cls, name: str) -> Pass:
        disk, *rest = name.split("@")
        if not rest:
            return cls(checked(disk))
        if len(rest) != 3 or rest[0] not in (MOUNT, FENCE, READ) or not rest[1].isdecimal():
            raise Refused(f"{name!r} is no name of an export", hint="ask the catalogue for it")
        return cls(checked(disk), int(rest[1]), rest[0], rest[2])

    def __str__(self) -> str:
        return f"{self.disk}@{self.kind}@{self.mount}@{self.token}" if self.kind else self.disk


def token(secret: str, disk: str, epoch: int) -> str:
    """What proves that the catalogue granted this epoch of this disk."""
    return hmac.new(secret.encode(), f"{disk}@{epoch}".encode(), sha256).hexdigest()[:32]


def checked(disk: str) -> str:
    """A disk's name is a file's name, too."""
    if not disk or disk.startswith(".") or not set(disk) <= _NAMED or len(disk) > 200:
        raise Refused(f"{disk!r} cannot be the name of a disk", hint="letters, digits, -_.+")
    return disk


_NAMED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+")


def mounting(secret: str, disk: str, number: int) -> str:
    """The name for a writer; `number` is its mount."""
    return str(Pass(disk, number, MOUNT, token(secret, disk, epoch_of(number))))


def fencing(secret: str, disk: str, epoch: int) -> str:
    """The name that fences all of an epoch off, when it is asked for."""
    return str(Pass(disk, last(epoch), FENCE, token(secret, disk, epoch)))


def reading(secret: str, disk: str) -> str:
    """The name for a reader, who disturbs nobody."""
    return str(Pass(disk, 0, READ, token(secret, disk, 0)))
