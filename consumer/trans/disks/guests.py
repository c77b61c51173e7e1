"""The guest's connections. The handshake is held until the disk can be served, never refused.

A request is checked before anything is done with it; what does not fit the disk is answered with
an error and goes no further. Replies of a session that has ended go nowhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

from common.endpoints.nbd import wire
from common.endpoints.nbd.answering import Answering
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.serving import wrong
from common.endpoints.nbd.stream import Stream
from common.endpoints.nbd.wire import Command, malformed
from common.errors import Transient
from consumer.trans.disks.loop import Data, End, Loop

GLANCE = 0.005  # seconds between two looks whether the guest may come in


class Served(Protocol):
    """The disk behind the guests; called in the loop."""

    offer: Offer | None

    def welcome(self) -> int:
        """A new session, or 0 while none may begin."""

    def came(self, guest: Guest) -> None: ...
    def requested(self, guest: Guest, command: Command, payload: Data | None) -> None: ...
    def ended(self, session: int) -> None: ...


class Guest:
    """One connection of the guest, in the loop."""

    def __init__(self, loop: Loop, stream: Stream, session: int, disk: Served) -> None:
        assert disk.offer
        self.session, self._disk, self._offer = session, disk, disk.offer
        self._stream = stream  # keeps the socket
        self._over = False
        self._end = End(loop, stream.detach(), self._parse, self._gone)

    def answer(self, cookie: int, error: int = 0, data: Data | None = None) -> None:
        head = wire.REPLY.pack(wire.SIMPLE, error, cookie)
        if data is not None and not error:
            self._end.send(head, data)
        else:
            self._end.send(head)

    def pause(self) -> None:
        self._end.pause()

    def resume(self) -> None:
        self._end.resume()

    def drop(self) -> None:
        """The guest is to come back, and will be sent elsewhere."""
        self._end.flush()
        self._end.close()
        self._gone()

    def _parse(self, view: memoryview) -> int:
        size = wire.COMMAND.size
        if len(view) < size:
            return 0
        magic, *fields = wire.COMMAND.unpack_from(view)
        command = Command(*fields)
        if magic != wire.REQUEST:
            raise malformed("a request that is none")
        if command.type == wire.CMD_DISC:
            self._end.close()
            self._gone()
            return size
        if command.type == wire.CMD_WRITE:
            if command.length > wire.PAYLOAD_MOST:
                raise malformed("a write that is too long")
            if command.length:
                payload = bytearray(command.length)
                self._end.fill(memoryview(payload), lambda: self._ask(command, payload))
                return size
        self._ask(command, None)
        return size

    def _ask(self, command: Command, payload: bytearray | None) -> None:
        if error := wrong(command, self._offer):
            self.answer(command.cookie, error)
        else:
            self._disk.requested(self, command, payload)

    def _gone(self) -> None:
        if not self._over:
            self._over = True
            self._disk.ended(self.session)


class Door:
    """Where guests come in: a thread for each handshake (`common.endpoints.nbd.listener`)."""

    def __init__(self, loop: Loop, disk: Served) -> None:
        self._loop, self._disk = loop, disk
        self._over = threading.Event()

    def close(self) -> None:
        """Hold nobody any longer."""
        self._over.set()

    def serve(self, stream: Stream) -> None:
        """One connection, from its first word; returns when it has ended."""
        waiting = Waiting(self)
        ended = threading.Event()
        try:
            agreed = Answering(stream, waiting, None, plain=True).run()
            if agreed is None or not waiting.session:
                return
            session = waiting.session
            waiting.session = 0
            self._loop.call(lambda: self._come(stream, session, ended))
            while not ended.wait(0.5) and not self._over.is_set():
                pass
        finally:
            if session := waiting.session:
                self._loop.call(lambda: self._disk.ended(session))

    def _come(self, stream: Stream, session: int, ended: threading.Event) -> None:
        guest = Guest(self._loop, stream, session, Ending(self._disk, ended))
        self._disk.came(guest)

    def hold(self) -> int:
        """Wait until a session may begin."""
        found: list[int] = []
        while not self._over.is_set():
            asked = threading.Event()

            def ask(asked: threading.Event = asked) -> None:
                if session := self._disk.welcome():
                    found.append(session)
                asked.set()

            self._loop.call(ask)
            while not asked.wait(1):
                if self._over.is_set():
                    raise Transient("the disk is served no more")
            if found:
                return found[0]
            self._over.wait(GLANCE)
        raise Transient("the disk is served no more")

    def offer(self) -> Offer:
        while not self._over.is_set():
            if self._disk.offer:
                return self._disk.offer
            self._over.wait(GLANCE)
        raise Transient("the disk is served no more")


class Ending:
    """The disk, and who waits for the end of one of its connections."""

    def __init__(self, disk: Served, ended_: threading.Event) -> None:
        self._disk, self._ended = disk, ended_
        self.offer = disk.offer

    def welcome(self) -> int:
        return self._disk.welcome()

    def came(self, guest: Guest) -> None:
        self._disk.came(guest)

    def requested(self, guest: Guest, command: Command, payload: Data | None) -> None:
        self._disk.requested(guest, command, payload)

    def ended(self, session: int) -> None:
        self._disk.ended(session)
        self._ended.set()


class Waiting:
    """The one export of a disk's socket, whatever name is asked for."""

    def __init__(self, door: Door) -> None:
        self._door, self.session = door, 0

    def listed(self) -> Iterable[tuple[str, str]]:
        return [("", "")]

    def look(self, name: str) -> Offer:  # noqa: ARG002
        return self._door.offer()

    def open(self, name: str) -> Chosen:  # noqa: ARG002
        offer = self._door.offer()
        self.session = self._door.hold()
        return Chosen(offer)


class Chosen:
    """The disk, whose requests go through the loop."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer

    def close(self) -> None: ...
