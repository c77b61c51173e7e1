"""BlockGateProxy: the guest's end of a disk, on its host. Sends it to where the disk is served.

Every login asks the catalogue: a task is active, then to its Trans; none is, then to the gate of
the disk's set, with an epoch that the catalogue grants for this very login. A guest is never
refused and never let go to a place that is over: its handshake is held until there is one. What
follows is passed on, byte for byte.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import structlog

from common.endpoints.nbd.admission import mount
from common.endpoints.nbd.answering import Answering
from common.endpoints.nbd.asking import Offer
from common.endpoints.nbd.client import Client, look
from common.endpoints.nbd.passes import mounting
from common.endpoints.nbd.stream import FOREVER, Address, Stream
from common.errors import Conflict, ConvoyError, Transient
from common.lifecycle import disks
from common.store.access import Access
from consumer.trans.disks.trans import place

log = structlog.get_logger(__name__)
GLANCE = 0.02  # seconds between two tries to get the guest in
ROUND = 0.5  # seconds between two looks whether the guest is still where it belongs
PIECE = 256 << 10
PATIENCE = timedelta(seconds=5)  # with one place, then the catalogue is asked again


class GateProxy:
    """One disk's proxy; `serve` one connection of its guest."""

    def __init__(self, access: Access, extern_id: str) -> None:
        self._access, self._extern_id = access, extern_id
        self._over = threading.Event()

    def close(self) -> None:
        """Hold nobody any longer."""
        self._over.set()

    def serve(self, stream: Stream) -> None:
        agreed = Answering(stream, Held(self), None, plain=True).run()
        if agreed is None or agreed.export is None:
            return
        client, ended = agreed.export.client, threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(agreed.export.epoch, client, stream, ended), daemon=True
        )
        watcher.start()
        try:
            stream.patience(FOREVER)
            client.patience(FOREVER)
            relay(stream.detach(), client.detach())
        finally:
            ended.set()
            watcher.join()
            client.end()
            client.close()

    def _watch(self, epoch: int, client: Client, stream: Stream, ended: threading.Event) -> None:
        """End a connection to whoever may not write any more: frozen, it would never end it."""
        while not ended.wait(ROUND):
            try:
                over = self._access.disk(self._extern_id).epoch != epoch
            except ConvoyError:  # away; then nobody takes over, either
                continue
            if over:
                client.end()
                stream.end()
                return

    def find(self) -> tuple[Client, int]:
        """Log the guest in, wherever its disk is; waits for as long as it takes. And the epoch
        that it was sent there for."""
        why = ""
        while not self._over.is_set():
            try:
                where, epoch = self.route()
                return Client.open(where, connect=PATIENCE, silence=PATIENCE), epoch
            except ConvoyError as error:
                if why != str(error):
                    why = str(error)
                    log.info("guest.waits", disk=self._extern_id, why=why)
                self._over.wait(GLANCE)
        raise Transient("the proxy ends")

    def look(self) -> Offer:
        """What the disk is, without a right to write to it."""
        record = self._access.disk(self._extern_id)
        return look(place(self._access.set(record.set).gate, record.lc))

    def route(self) -> tuple[Address, int]:
        """Where the disk is served now, by what right, and in which epoch."""
        record = self._access.disk(self._extern_id)
        if record.task:
            task = self._access.task(self._extern_id)
            if task.id != record.task or task.trans_epoch != record.epoch:
                raise Conflict(f"nobody serves task {record.task} yet")
            return place(task.trans_ip, self._extern_id), record.epoch
        record = self._access.change(disks.mounted(self._extern_id))
        known = self._access.set(record.set)
        name = mounting(known.secret, record.lc, mount(record.epoch))
        return place(known.gate, name), record.epoch


class Held:
    """The one export of a proxy, whatever name is asked for."""

    def __init__(self, proxy: GateProxy) -> None:
        self._proxy = proxy

    def listed(self) -> Iterable[tuple[str, str]]:
        return [("", "")]

    def look(self, name: str) -> Offer:  # noqa: ARG002
        return self._proxy.look()

    def open(self, name: str) -> Chosen:  # noqa: ARG002
        return Chosen(*self._proxy.find())


class Chosen:
    """The guest's way to its disk."""

    def __init__(self, client: Client, epoch: int) -> None:
        self.client, self.offer, self.epoch = client, client.offer, epoch

    def close(self) -> None: ...


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass everything on, both ways, until either ends; then both are ended."""
    back = threading.Thread(target=_pour, args=(other, one), daemon=True)
    back.start()
    _pour(one, other)
    back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    buffer = memoryview(bytearray(PIECE))
    with suppress(OSError):
        while many := source.recv_into(buffer):
            target.sendall(buffer[:many])
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
