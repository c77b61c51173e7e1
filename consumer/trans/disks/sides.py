"""Our data connection to one set: opened by a thread, used by the loop, opened again when lost.

Whoever comes back comes with a higher mount: the gate lets it in only when nothing of the lost
connection can be carried out any more. What a set answers is passed on; what it says that is no
answer loses it.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from common.endpoints.nbd import wire
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.client import Client
from common.endpoints.nbd.stream import Address
from common.endpoints.nbd.wire import Command, malformed
from common.errors import ConvoyError
from consumer.trans.disks.loop import Data, End, Loop, in_thread

log = structlog.get_logger(__name__)
AGAIN = 0.2  # seconds between two tries to come back
SILENCE = 30.0  # seconds that a set may owe an answer

Login = Callable[[int], Address]  # the address of a set, for the nth time that we come


class Told(Protocol):
    """Who hears what a set says."""

    def opened(self, side: int, offer: Offer) -> None: ...
    def answered(self, id: int, side: int, error: int, data: bytearray | None) -> None: ...
    def lost(self, side: int) -> None: ...


class Line:
    """One side. All but the thread that logs in runs in the loop."""

    def __init__(self, loop: Loop, side: int, login: Login, told: Told) -> None:
        self.side, self.returns = side, 0
        self._loop, self._login, self._told = loop, login, told
        self._end: End | None = None
        self._sent: dict[int, tuple[int, float]] = {}  # how long the answer is, and since when
        self._over = threading.Event()
        self._arrived: Client | None = None

    def address(self) -> Address:
        """Where the mover finds this side, as the same mount."""
        return self._login(self.returns)

    def open(self) -> None:
        in_thread(f"login-{self.side}", self._log_in)

    def close(self) -> None:
        """For good."""
        self._over.set()
        if self._end:
            self._end.close()
            self._end = None
        elif self._arrived:  # the loop has ended before it heard of it
            self._arrived.close()

    def stay_out(self) -> None:
        """Do not come back if this connection is lost."""
        self._over.set()

    def send(self, command: Command, payload: Data | None) -> None:
        """Send a request; its cookie is the id by which the answer is told."""
        if self._end is None:
            return  # lost within this very turn: it is asked again, or was given up
        length = command.length if command.type == wire.CMD_READ else 0
        self._sent[command.cookie] = length, time.monotonic()
        if payload is None:
            self._end.send(command.packed())
        else:
            self._end.send(command.packed(), payload)

    def lose(self) -> None:
        """Take it for lost, and come back. Once for each connection."""
        if self._end is None:
            return
        self._end.close()
        self._gone()

    def look(self) -> None:
        """Lose it if it owes an answer for too long."""
        oldest = min((since for _, since in self._sent.values()), default=time.monotonic())
        if time.monotonic() - oldest > SILENCE:
            log.warning("side.silent", side=self.side)
            self.lose()

    def _gone(self) -> None:
        self._end = None
        self._sent.clear()
        self.returns += 1
        log.warning("side.lost", side=self.side, returns=self.returns)
        self._told.lost(self.side)
        if not self._over.is_set():
            self.open()

    def _log_in(self) -> None:
        while not self._over.is_set():
            try:
                client = Client.open(self._login(self.returns))
            except ConvoyError as error:
                log.warning("side.away", side=self.side, why=str(error))
                self._over.wait(AGAIN)
                continue
            self._arrived = client
            if self._over.is_set():
                client.close()
            self._loop.call(partial(self._opened, client))
            return

    def _opened(self, client: Client) -> None:
        if self._over.is_set():
            client.close()
            return
        self._end = End(self._loop, client.detach(), self._parse, self._gone)
        self._told.opened(self.side, client.offer)

    def _parse(self, view: memoryview) -> int:
        if len(view) < wire.REPLY.size:
            return 0
        magic, error, id_ = wire.REPLY.unpack_from(view)
        if magic != wire.SIMPLE or id_ not in self._sent:
            raise malformed("an answer that is none")
        length, _ = self._sent.pop(id_)
        if error == wire.ESHUTDOWN:
            raise malformed("our mount is over")  # it loses us, and we learn why from the catalogue
        if length and not error:
            data = bytearray(length)
            assert self._end
            self._end.fill(memoryview(data), lambda: self._told.answered(id_, self.side, 0, data))
        else:
            self._told.answered(id_, self.side, error or 0, None)
        return wire.REPLY.size


def number(error: int) -> int:
    """What the guest is told."""
    return error if error in wire.KNOWN else errno.EIO
