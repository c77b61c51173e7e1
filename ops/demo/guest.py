"""A guest as a virtual machine is one: it writes and reads all the time, keeps count of what must
be there, and when its connection ends it comes back and asks again for what was not answered."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta

from common.endpoints.nbd import wire
from common.endpoints.nbd.client import Client
from common.endpoints.nbd.stream import Address
from common.errors import ConvoyError, Transient

BLOCK = 4096
PATIENCE = timedelta(seconds=20)


class Guest:
    """Runs in a thread until it is told to stop; then `wrong` says what was not as it must be."""

    def __init__(
        self, where: Address, blocks: int, seed: int, *, depth: int = 4, resends: bool = True
    ) -> None:
        self._where, self._blocks, self._random = where, blocks, random.Random(seed)
        self._depth, self._resends = depth, resends
        self.unsure: dict[int, set[int]] = {}  # writes that were not answered, nor asked again
        self.holds: dict[int, int] = {}  # block: the number of its last acknowledged write
        self.wrong: list[str] = []
        self.writes = self.reads = self.returns = 0
        self.longest = 0.0  # seconds without an answer
        self._last = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Guest:
        self._thread.start()
        return self

    def stop(self, within: float = 60) -> None:
        """After the requests in hand."""
        self._stop.set()
        self._thread.join(within)
        if self._thread.is_alive():
            raise Transient("the guest waits for an answer", hint="look at the logs")

    def image(self, block: int) -> bytes:
        """What must be in a block."""
        return content(block, self.holds.get(block, 0))

    def mistakes(self, data: bytes) -> list[str]:
        """Every block of a disk's file that is not what it must be."""
        found = []
        for block in range(self._blocks):
            held = data[block * BLOCK : (block + 1) * BLOCK]
            may = self.unsure.get(block, {self.holds.get(block, 0)})
            if held not in [content(block, number) for number in may]:
                number = int.from_bytes(held[8:16], "big")
                found.append(f"block {block} holds {number}, not one of {may}")
        return found

    def _run(self) -> None:
        try:
            self._live()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what was wrong)
            self.wrong.append(f"{type(error).__name__}: {error}")

    def _live(self) -> None:
        client = self._come()
        while not self._stop.is_set():
            blocks = self._random.sample(range(self._blocks), self._depth)
            todo = {block: self._draw() for block in blocks}
            began = time.monotonic()
            while todo:
                try:
                    self._ask(client, todo)
                except Transient:
                    client.close()
                    self.returns += 1
                    if not self._resends:
                        self._forget(todo)
                    client = self._come()
            self.longest = max(self.longest, time.monotonic() - began)
        client.flush()
        client.close()

    def _draw(self) -> int:
        """The number to write, or 0 to read."""
        if self._random.random() < 0.4:
            return 0
        self._last += 1
        return self._last

    def _come(self) -> Client:
        deadline = time.monotonic() + 60
        while True:
            try:
                return Client.open(self._where, silence=PATIENCE)
            except ConvoyError:
                if time.monotonic() > deadline:
                    raise
                self._stop.wait(0.01)

    def _ask(self, client: Client, todo: dict[int, int]) -> None:
        """Everything at once, then all answers, in any order."""
        sent: dict[int, tuple[int, bytearray]] = {}
        for block, number in todo.items():
            into = bytearray(BLOCK)
            if number:
                data = content(block, number)
                cookie = client.send(wire.CMD_WRITE, block * BLOCK, BLOCK, data=data)
            else:
                cookie = client.send_read(block * BLOCK, memoryview(into))
            sent[cookie] = block, into
        while sent:
            reply = client.reply()
            block, into = sent.pop(reply.cookie)
            number = todo.pop(block)
            if reply.error:
                self.wrong.append(f"error {reply.error} at block {block}")
            elif number:
                self.holds[block] = number
                self.unsure.pop(block, None)
                self.writes += 1
            else:
                self.reads += 1
                self._compare(block, bytes(into))

    def _forget(self, todo: dict[int, int]) -> None:
        """As one that was reset: what was not answered was written, or was not."""
        for block, number in todo.items():
            if number:
                self.unsure.setdefault(block, {self.holds.get(block, 0)}).add(number)
        todo.clear()

    def _compare(self, block: int, found: bytes) -> None:
        number = int.from_bytes(found[8:16], "big")
        if number in self.unsure.get(block, ()):  # from now on it is that one
            self.holds[block] = number
            del self.unsure[block]
        if found != self.image(block):
            expected = self.holds.get(block, 0)
            self.wrong.append(f"block {block} holds write {number} instead of {expected}")


def content(block: int, number: int) -> bytes:
    """A block that says which it is and who wrote it; 0 is what lay there at first."""
    head = block.to_bytes(8, "big") + number.to_bytes(8, "big")
    return head * (BLOCK // 16) if number else bytes(BLOCK)
