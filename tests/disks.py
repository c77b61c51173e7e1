"""Two storage sets with their gates, a catalogue, a proxy for the guest and a Trans, in threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.endpoints.nbd.export import File
from common.endpoints.nbd.listener import Listener, bound
from common.endpoints.nbd.serving import serve as serve_nbd
from common.endpoints.nbd.stream import Address
from common.store.access import Access
from common.store.sqlite import SqliteStore
from consumer.trans.disks.blockgate import Backing, BlockGate
from consumer.trans.disks.gateproxy import GateProxy
from consumer.trans.disks.shelf import Shelf
from consumer.trans.disks.trans import End, Post, serve
from ops.processes import Child, spawn

MIB = 1 << 20
ROOT = Path(__file__).parents[1]
DISK = "vol"


@dataclass
class Site:
    """One disk, in the set `old`."""

    home: Path
    access: Access
    size: int
    ended: list[End] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def guest(self) -> Address:
        """Where the guest's disk is."""
        return Address("vol", path=str(self.home / "guest.sock"))

    def copy(self, set: str) -> Path:
        """The file of the disk's copy in a set; the one that was made last."""
        return max((self.home / set).glob(f"{DISK}.*"), key=lambda p: int(p.suffix[1:]))

    def post(self, **fields: object) -> Post:
        return Post(str(self.home / "logs"), str(self.home / "trans.sock"), **fields)  # type: ignore[arg-type]

    def begin(self, **fields: object) -> threading.Thread:
        """A task to the set `new`, and a Trans that carries it out."""
        self.access.create(DISK, "new")
        return self.go_on(**fields)

    def process(self, name: str, failpoints: str = "", *, iodepth: int = 2) -> Child:
        """A Trans in a process of its own, to be killed."""
        words = ["trans", "--disk", DISK, "--socket", str(self.home / f"{name}.sock")]
        return self.role(name, *words, "--iodepth", str(iodepth), failpoints=failpoints)

    def around(self, name: str) -> Child:
        """A gate (`old`, `new`) or the guest's `proxy` in a process of its own."""
        if name == "proxy":
            return self.role(name, "proxy", "--disk", DISK, "--socket", str(self.guest.path))
        return self.role(name, "gate", "--set", name, "--folder", str(self.home / name))

    def role(self, name: str, *words: str, failpoints: str = "") -> Child:
        argv = [sys.executable, "-m", "consumer.trans.disks", *words]
        env = {**os.environ, "CONVOY_STATE_URL": f"sqlite://{self.home}/state.db"}
        env |= {"CONVOY_HOME": str(self.home), "CONVOY_FAILPOINTS": failpoints}
        return spawn(name, argv, env=env, log=self.home / f"{words[0]}.log", cwd=ROOT)

    def go_on(self, **fields: object) -> threading.Thread:
        thread = threading.Thread(target=self._serve, args=(self.post(**fields),), daemon=True)
        thread.start()
        return thread

    def _serve(self, post: Post) -> None:
        try:
            self.ended.append(serve(self.access, DISK, post, self.stop))
        except BaseException as error:
            self.errors.append(error)
            raise


@contextmanager
def gate(home: Path, access: Access, set: str, kind: type[File] = File) -> Iterator[BlockGate]:
    """A set of raw files behind its gate."""
    folder, known = home / set, access.set(set)
    files = Shelf(access, set, str(folder))

    def find(lc: str) -> Backing:
        found = files.find(lc)
        return found._replace(writable=lambda: kind(str(folder / lc), lc))

    made = BlockGate(str(folder / "state"), known.secret, find)
    listener = Listener(bound(known.gate), lambda stream: serve_nbd(stream, made.at(stream)))
    try:
        yield made
    finally:
        listener.close()
        made.close()


@contextmanager
def proxy(home: Path, access: Access) -> Iterator[GateProxy]:
    made = GateProxy(access, DISK)
    listener = Listener(bound(str(home / "guest.sock")), made.serve)
    try:
        yield made
    finally:
        made.close()
        listener.close()


@contextmanager
def site(
    home: Path,
    size: int = 16 * MIB,
    *,
    old: type[File] = File,
    new: type[File] = File,
    bare: bool = False,
) -> Iterator[Site]:
    """Everything but the Trans, ended with the block; `bare`: without gates and proxy, too."""
    store = SqliteStore(str(home / "state.db"))
    access = Access(store)
    with ExitStack() as stack:
        stack.callback(store.close)
        for name in ("old", "new"):
            os.makedirs(home / name)
            access.add_set(name, str(home / f"{name}.sock"))
        disk = access.add_disk(DISK, "old", size)
        Shelf(access, "old", str(home / "old")).find(disk.lc)
        if not bare:
            for name, kind in (("old", old), ("new", new)):
                stack.enter_context(gate(home, access, name, kind))
            stack.enter_context(proxy(home, access))
        made = Site(home, access, size)
        try:
            yield made
        finally:
            made.stop.set()
