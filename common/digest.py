"""Digests: the MD5 proof of an item, and the order-independent sum of many proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

EMPTY = hashlib.md5(usedforsecurity=False).hexdigest()  # of zero bytes
_MODULUS = 1 << 128


def md5(data: bytes | bytearray | memoryview = b"") -> hashlib._Hash:
    """A running MD5: the mandated proof of contents, not a defence against forgery."""
    return hashlib.md5(data, usedforsecurity=False)


def composite(parts: Iterable[str], size: int) -> str:
    """The digest of a file proven in ranges of `size` bytes: `<md5 of the md5s>-<n>@<size>`.

    MD5 cannot be computed in parallel, so a file that several consumers move at once is proven
    range by range; the form follows the multipart ETag, and says the range size so that two
    proofs are compared only when they were cut alike.
    """
    digests = [bytes.fromhex(part) for part in parts]
    return f"{md5(b''.join(digests)).hexdigest()}-{len(digests)}@{size}"


def proof(user: str, path: str, kind: str, size: int, content: str) -> int:
    """One item's share in the digest of its user and migration; contents, place and length."""
    text = f"{user}\0{path}\0{kind}\0{size}\0{content}"
    return int.from_bytes(md5(text.encode("utf-8", "surrogateescape")).digest(), "big")


class Sum:
    """Adds proofs modulo 2^128, so that any order and any partition give the same digest."""

    def __init__(self) -> None:
        self._total = 0
        self._whole = True

    def add(self, share: int) -> None:
        self._total = (self._total + share) % _MODULUS

    def unknown(self) -> None:
        """An item whose contents were not read: there is no digest of the whole any more."""
        self._whole = False

    def merge(self, digest: str) -> None:
        """Add the digest of a part; "" makes the whole unknown."""
        if digest:
            self.add(int(digest, 16))
        else:
            self.unknown()

    def hex(self) -> str:
        """32 hex digits, or "" when some contents are unknown."""
        return f"{self._total:032x}" if self._whole else ""
