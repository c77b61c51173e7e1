"""One copy of a partition on a disk: extents that only grow, and what the copy knows of itself.

Beside each extent lies the list of its chunks (offset, length, MD5), written after the chunk is
durable: so the list says how long the extent is, and whatever lies behind that was never promised.
What is read is compared with the list; bytes that changed on the disk are told, never handed out.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.digest import md5
from common.errors import Conflict, Corrupt, Refused
from common.lifecycle.partitions.record import Config
from consumer.trans.partitions.judge import Copy

META, SUM = "META", ".sum"
NAME = re.compile(r"(?!META$)[A-Za-z0-9-]{1,100}")


class Unsynced(OSError):
    """What was written is not durable, and nobody can say what is on the disk."""


class Chunk(NamedTuple):
    """One append."""

    offset: int
    length: int
    md5: str

    @property
    def end(self) -> int:
        return self.offset + self.length


class Extents:
    """The files of one copy. Used by one thread at a time for changes, by any number to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chunks: dict[str, list[Chunk]] = {}
        for path in sorted(folder.glob(f"*{SUM}")):
            self.chunks[path.name.removesuffix(SUM)] = _listed(path.read_text())

    def length(self, extent: str) -> int:
        chunks = self.chunks.get(extent)
        return chunks[-1].end if chunks else 0

    def append(self, extent: str, offset: int, data: bytes) -> Chunk:
        """Durable when it returns. Said twice is done once; anything but the end is a Conflict."""
        if not NAME.fullmatch(extent):
            raise Refused(f"{extent!r} is no name of an extent", hint="letters, digits and -")
        chunk = Chunk(offset, len(data), md5(data).hexdigest())
        if chunk in self.chunks.get(extent, ()):
            return chunk
        if offset != self.length(extent) or not data:
            raise Conflict(f"{extent} ends at {self.length(extent)}, not at {offset}")
        new = extent not in self.chunks
        _write(self.folder / extent, data, offset, new=new)
        _write(self.folder / f"{extent}{SUM}", _line(chunk), None, new=new)
        if new:
            sync(self.folder)
        self.chunks.setdefault(extent, []).append(chunk)
        return chunk

    def read(self, extent: str, offset: int, length: int) -> bytes:
        """These bytes, as they were written; fewer at the end of the extent."""
        end = min(offset + length, self.length(extent))
        parts = []
        for chunk in self.chunks.get(extent, ()):
            if chunk.offset < end and chunk.end > offset:
                data = self.chunk(extent, chunk)
                parts.append(data[max(0, offset - chunk.offset) : end - chunk.offset])
        return b"".join(parts)

    def chunk(self, extent: str, chunk: Chunk) -> bytes:
        """The bytes of one chunk; Corrupt if they are not what was written."""
        with (self.folder / extent).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), chunk.length, chunk.offset)
        if md5(data).hexdigest() != chunk.md5:
            raise Corrupt(
                f"{self.folder / extent}: bytes from {chunk.offset} are not what was written",
                hint="the copy is repaired from another host; look at the disk",
            )
        return data

    def sound(self, extent: str, chunks: list[Chunk]) -> int:
        """How far the extent is the same as in this list, read from the disk again."""
        end = 0
        for mine, other in zip(self.chunks.get(extent, ()), chunks, strict=False):
            if mine != other:
                break
            try:
                self.chunk(extent, mine)
            except Corrupt:
                break
            end = mine.end
        return end

    def common(self, extent: str, chunks: list[Chunk]) -> int:
        """How far the lists are the same."""
        end = 0
        for mine, other in zip(self.chunks.get(extent, ()), chunks, strict=False):
            if mine != other:
                break
            end = mine.end
        return end

    def cut(self, extent: str, end: int) -> None:
        """Shorten an extent to the end of a chunk: the list first, so that it never says more."""
        kept = [chunk for chunk in self.chunks.get(extent, ()) if chunk.end <= end]
        if extent not in self.chunks or len(kept) == len(self.chunks[extent]):
            return
        _replace(self.folder / f"{extent}{SUM}", b"".join(map(_line, kept)))
        os.truncate(self.folder / extent, kept[-1].end if kept else 0)
        self.chunks[extent] = kept

    # what the copy knows of itself

    def keep(self, copy: Copy) -> None:
        """Durable when it returns."""
        told = {"me": copy.me, "aligned": copy.aligned, **copy.config._asdict()}
        body = json.dumps(told, sort_keys=True)
        whole = {"meta": told, "crc32": zlib.crc32(body.encode())}
        _replace(self.folder / META, json.dumps(whole).encode())

    def known(self) -> Copy:
        """Corrupt if it is not what was kept."""
        try:
            whole = json.loads((self.folder / META).read_bytes())
            told = whole["meta"]
            intact = zlib.crc32(json.dumps(told, sort_keys=True).encode()) == whole["crc32"]
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise Corrupt(f"{self.folder / META}: {error}") from error
        if not intact:
            raise Corrupt(f"{self.folder / META} is not what was written")
        hosts, learners = tuple(told["hosts"]), tuple(told["learners"])
        config = Config(told["epoch"], hosts, told["primary"], learners)
        return Copy(told["me"], config, told["aligned"])


def _listed(text: str) -> list[Chunk]:
    """The whole lines that fit together; a line that was cut off by a death was never promised."""
    found: list[Chunk] = []
    for line in _whole(text):
        offset, length, digest = line.split()
        chunk = Chunk(int(offset), int(length), digest)
        if chunk.offset != (found[-1].end if found else 0):
            raise Corrupt(f"a list of chunks does not fit together at {chunk.offset}")
        found.append(chunk)
    return found


def _whole(text: str) -> Iterator[str]:
    return (line for line in text.splitlines(keepends=True) if line.endswith("\n"))


def _line(chunk: Chunk) -> bytes:
    return f"{chunk.offset} {chunk.length} {chunk.md5}\n".encode()


def _write(path: Path, data: bytes, offset: int | None, *, new: bool) -> None:
    """At an offset, or at the end of the last whole line. What should be there is not made anew."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if new else 0), 0o600)
    try:
        if offset is None:
            offset = _end_of_lines(fd)
        left = memoryview(data)
        while left:
            done = os.pwrite(fd, left, offset)
            left, offset = left[done:], offset + done
        flush(fd)
    finally:
        os.close(fd)


def flush(fd: int) -> None:
    """Make it durable. A failure is final: the kernel may have dropped what it could not write."""
    try:
        os.fsync(fd)
    except OSError as error:
        raise Unsynced(*error.args) from error


def _end_of_lines(fd: int) -> int:
    size = os.fstat(fd).st_size
    tail = os.pread(fd, 200, max(0, size - 200))
    end = size - len(tail) + tail.rfind(b"\n") + 1
    os.ftruncate(fd, end)
    return end


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    _write(fresh, data, 0, new=True)
    fresh.rename(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make what is named in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flush(fd)
    finally:
        os.close(fd)
