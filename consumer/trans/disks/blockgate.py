"""BlockGate: serves the disks of a set, each to one writer at a time, the latest that came.

A writer logs in under a name that carries its mount and the token that the catalogue gave for it
(`Pass`). A later mount is let in when everything of the earlier ones has ended: what they had
sent is carried out or gone, their connections are cut, and the new mount is written down, so
that the gate's own death lets nobody back in. Readers come by a pass of their own. Servers that
know nothing of mounts (qemu-nbd, nbdkit) are used through a gate and by nobody else.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from common.endpoints.nbd.admission import Admission, epoch_of, last
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.export import Export, told
from common.endpoints.nbd.passes import FENCE, READ, Pass, token
from common.endpoints.nbd.stream import Bytes, Stream
from common.endpoints.nbd.wire import Extent
from common.errors import Conflict, Corrupt, Denied, Missing, Stale


class Backing(NamedTuple):
    """How a disk of the set is opened, for writing or only for reading."""

    writable: Callable[[], Export]
    readable: Callable[[], Export]


@dataclass(slots=True)
class Door:
    """The one way into one disk."""

    path: str  # where its admission is written down
    admission: Admission = field(default_factory=Admission)
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _inside: dict[Stream, int] = field(default_factory=dict)  # writers' connections, by mount
    _busy: dict[int, int] = field(default_factory=dict)  # requests under way, by mount

    def __post_init__(self) -> None:
        self.admission = _recalled(self.path)

    def enter(self, mount: int, stream: Stream) -> None:
        """Let a writer in, once whoever was there before is out."""
        with self._turn:
            admission = self.admission.login(mount)
            if admission != self.admission:
                self._admit(admission)
            self._drain()  # somebody else of our mount may have cut them, and still waits
            self._inside[stream] = mount

    def fence(self, epoch: int) -> None:
        """Let nobody of this epoch write any more. Late orders do nothing."""
        with self._turn:
            self._admit(self.admission.fence(last(epoch)))
            self._drain()

    def leave(self, stream: Stream) -> None:
        with self._turn:
            self._inside.pop(stream, None)

    @contextmanager
    def use(self, mount: int) -> Iterator[None]:
        """Carry out one request of a mount; Stale if it is over."""
        with self._turn:
            if not self.admission.takes(mount):
                raise Stale(f"mount {mount} is over", hint="whoever holds the disk now goes on")
            self._busy[mount] = self._busy.get(mount, 0) + 1
        try:
            yield
        finally:
            with self._turn:
                self._busy[mount] -= 1
                if not self._busy[mount]:
                    del self._busy[mount]
                    self._turn.notify_all()

    def _admit(self, admission: Admission) -> None:
        """Written down first: were it forgotten, an earlier writer could come back. Then cut:
        from here on `use` takes nothing of the earlier ones."""
        _noted(self.path, admission)
        self.admission = admission
        for stream, mount in list(self._inside.items()):
            if not admission.takes(mount):
                stream.end()
                del self._inside[stream]

    def _drain(self) -> None:
        while any(not self.admission.takes(mount) for mount in self._busy):
            self._turn.wait()


class Guarded:
    """A writer's view of a disk: every request passes the door."""

    def __init__(self, inner: Export, door: Door, mount: int, stream: Stream) -> None:
        self._inner, self._door, self._mount, self._stream = inner, door, mount, stream
        self.offer = inner.offer

    def read(self, offset: int, length: int) -> Bytes:
        with self._door.use(self._mount):
            return self._inner.read(offset, length)

    def write(self, offset: int, data: Bytes, *, fua: bool) -> None:
        with self._door.use(self._mount):
            self._inner.write(offset, data, fua=fua)

    def zero(self, offset: int, length: int, *, hole: bool, fua: bool) -> None:
        with self._door.use(self._mount):
            self._inner.zero(offset, length, hole=hole, fua=fua)

    def trim(self, offset: int, length: int, *, fua: bool) -> None:
        with self._door.use(self._mount):
            self._inner.trim(offset, length, fua=fua)

    def flush(self) -> None:
        with self._door.use(self._mount):
            self._inner.flush()

    def extents(self, offset: int, length: int) -> Iterable[Extent]:
        with self._door.use(self._mount):
            return list(self._inner.extents(offset, length))

    def close(self) -> None:
        self._door.leave(self._stream)
        self._inner.close()


class BlockGate:
    """All disks of one set; `at(stream)` is what one connection sees of them."""

    def __init__(self, state: str, secret: str, find: Callable[[str], Backing]) -> None:
        with told(state):
            os.makedirs(state, mode=0o700, exist_ok=True)
            self._held = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._held)
            raise Conflict(f"{state}: another gate serves this set", hint="end it first") from exc
        self._state, self._secret, self._find = state, secret, find
        self._doors: dict[str, Door] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let another gate serve the set."""
        os.close(self._held)

    def at(self, stream: Stream) -> Connection:
        return Connection(self, stream)

    def door(self, disk: str) -> Door:
        """The one door of a disk in this process."""
        with self._lock:
            if disk not in self._doors:
                self._doors[disk] = Door(os.path.join(self._state, f"{disk}.mount"))
            return self._doors[disk]

    def offer(self, name: str) -> Offer:
        """What a disk is, to whoever asks."""
        wanted = Pass.read(name)
        export = self._find(wanted.disk).readable()
        export.close()
        return export.offer._replace(name=name)

    def open(self, name: str, stream: Stream) -> Export:
        """Log in: as a writer, as a reader, or to fence an epoch off and then read."""
        wanted = Pass.read(name)
        epoch = epoch_of(wanted.mount)
        right = token(self._secret, wanted.disk, epoch)
        if not hmac.compare_digest(right.encode(), wanted.token.encode()):
            raise Denied(f"no right to open {wanted.disk}", hint="ask the catalogue")
        backing = self._find(wanted.disk)
        if wanted.kind == READ:
            return backing.readable()
        door = self.door(wanted.disk)
        if wanted.kind == FENCE:
            door.fence(epoch)
            return backing.readable()
        inner = backing.writable()
        try:
            door.enter(wanted.mount, stream)
        except BaseException:
            inner.close()
            raise
        return Guarded(inner, door, wanted.mount, stream)


class Connection:
    """The exports of a set (`common.endpoints.nbd.export.Exports`) as one connection sees them."""

    def __init__(self, gate: BlockGate, stream: Stream) -> None:
        self._gate, self._stream = gate, stream

    def listed(self) -> Iterable[tuple[str, str]]:
        """Which disks there are is the catalogue's to say."""
        return []

    def look(self, name: str) -> Offer:
        return self._gate.offer(name)

    def open(self, name: str) -> Export:
        return self._gate.open(name, self._stream)


def _recalled(path: str) -> Admission:
    try:
        with told(path), open(path, encoding="ascii") as file:
            number, _, fenced = file.read().strip().partition(" ")
    except Missing:
        return Admission()
    if not number.isdecimal() or fenced not in ("", FENCE):
        raise Corrupt(f"{path} cannot be read", hint="restore it; without it a zombie may write")
    return Admission(int(number), bool(fenced))


def _noted(path: str, admission: Admission) -> None:
    text = f"{admission.mount} {FENCE if admission.fenced else ''}\n"
    with told(path):
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
