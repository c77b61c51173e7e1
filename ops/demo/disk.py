"""The demonstration of disks: one moves between two sets while its guest writes, and its Trans is
killed on the way. Every process is our own, every file below one folder, nothing is left running.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.endpoints.nbd.client import look
from common.endpoints.nbd.stream import Address
from common.errors import ConvoyError, Transient
from common.lifecycle.disks import Status
from common.store.access import Access
from common.store.connect import connect
from ops.demo.guest import BLOCK, Guest
from ops.demo.story import Proof
from ops.processes import Child, Family

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
SIZE, USED = 256 * MIB, 64 * MIB  # of the disk; of what the guest uses of it
DISK = "volume-1"
DIES_AT = 150  # slices copied
QEMU = "qemu-storage-daemon"
WITHIN = 60.0


@dataclass(slots=True)
class DiskStory:
    """One telling. `say` is for the person."""

    root: Path
    say: Callable[[str], object]
    proofs: list[Proof] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Did everything come out as it must?"""
        return bool(self.proofs) and all(proof.holds for proof in self.proofs)

    def tell(self) -> None:
        """From two empty sets to the last proof."""
        store = connect(f"sqlite://{self.root}/state.db")
        try:
            with Family() as family:
                self._tell(family, Access(store))
        finally:
            store.close()

    def _tell(self, family: Family, access: Access) -> None:
        self._sets(family, access)
        with self._guest(family) as guest:
            self._before(guest, access)
            self._move(family, access, guest)
            old = self._copy(access, "old").read_bytes()
            self.say("\nThe guest goes on, on the new set:")
            self._wrote(guest, 200)
        self._expect("the guest never saw an error or anything old", [], guest.wrong)
        wrong = guest.mistakes(self._copy(access, "new").read_bytes())
        self._expect("block by block, the new set holds what it wrote", [], wrong)
        same = self._copy(access, "old").read_bytes() == old
        self._expect("not a byte was written to the old set since the switch", True, same)
        self.say(f"  the guest made {guest.writes:,} writes and {guest.reads:,} reads,")
        self.say(f"  and waited {guest.longest:.1f} s at most (for the Trans that was killed)")

    def _sets(self, family: Family, access: Access) -> None:
        self.say(f"Two sets, and a disk of {SIZE // MIB} MiB in the one called old")
        for name in ("old", "new"):
            os.makedirs(self.root / name)
            access.add_set(name, str(self.root / f"{name}.sock"))
        access.add_disk(DISK, "old", SIZE)
        for name in ("old", "new"):
            self._process(family, f"gate-{name}", "gate", set=name, folder=self.root / name)
        self._process(family, "proxy", "proxy", disk=DISK, socket=self.root / "guest.sock")
        lc = access.disk(DISK).lc
        self._ready(lambda: look(Address(lc, path=str(self.root / "old.sock"))))
        self._ready(lambda: look(Address("", path=str(self.root / "guest.sock"))))

    @contextmanager
    def _guest(self, family: Family) -> Iterator[Guest]:
        where = Address("disk", path=str(self.root / "guest.sock"))
        if binary := shutil.which(QEMU):
            where = self._qemu(family, binary)
            self.say("A guest that writes all the time, through QEMU's block layer")
        else:
            self.say(f"A guest that writes all the time (no {QEMU} here: it speaks NBD itself)")
        guest = Guest(where, USED // BLOCK, 1).start()
        try:
            yield guest
        finally:
            guest.stop(WITHIN)

    def _qemu(self, family: Family, binary: str) -> Address:
        place = self.root / "qemu.sock"
        disk = f"driver=nbd,node-name=n,server.type=unix,server.path={self.root}/guest.sock"
        argv = [binary, "--blockdev", f"{disk},export=disk,reconnect-delay=60"]
        argv += ["--nbd-server", f"addr.type=unix,addr.path={place}"]
        argv += ["--export", "type=nbd,id=e,node-name=n,writable=on,name=disk"]
        family.spawn("qemu", argv, env=os.environ, log=self.root / "qemu.log")
        where = Address("disk", path=str(place))
        self._ready(lambda: look(where))
        return where

    def _before(self, guest: Guest, access: Access) -> None:
        self._wrote(guest, 500)
        self.say(f"  {guest.writes:,} writes so far")
        task = access.create(DISK, "new")
        self.say(f"\nThe disk is to move to the set called new: task {task.id}")

    def _move(self, family: Family, access: Access, guest: Guest) -> None:
        first = self._trans(family, "trans-1", f"trans.copied=kill:{DIES_AT}")
        self._until(lambda: not first.alive)
        self.say(f"  Trans is killed with -9 while it copies slice {DIES_AT} of {SIZE // MIB}")
        self._expect("it died of that", -9, first.code)
        self._expect("the disk is still in the old set", "old", access.disk(DISK).set)
        began, writes = time.monotonic(), guest.writes
        second = self._trans(family, "trans-2", "")
        self._until(lambda: not second.alive)
        took = time.monotonic() - began
        self.say(f"  the next Trans goes on from the write-intent log, and switches ({took:.1f} s)")
        self._expect("it says that the disk was switched", 0, second.code)
        task = access.settle(DISK)
        self._expect("so says the catalogue", Status.MIGRATED.value, task.status.value)
        self._expect("the disk is in the new set", "new", access.disk(DISK).set)
        self._wrote(guest, 1)
        self._expect("the guest came back by itself and goes on", True, guest.writes > writes)

    def _trans(self, family: Family, name: str, failpoints: str) -> Child:
        place = self.root / f"{name}.sock"
        return self._process(family, name, "trans", failpoints, disk=DISK, socket=place)

    def _process(
        self, family: Family, name: str, role: str, failpoints: str = "", **options: str | Path
    ) -> Child:
        argv: list[str | Path] = [sys.executable, "-m", "consumer.trans.disks", role]
        for option, value in options.items():
            argv += [f"--{option}", value]
        env = {**os.environ, "CONVOY_STATE_URL": f"sqlite://{self.root}/state.db"}
        env |= {"CONVOY_HOME": str(self.root), "CONVOY_FAILPOINTS": failpoints}
        if (ROOT / "pyproject.toml").exists():
            env["PYTHONPATH"] = str(ROOT)
        return family.spawn(name, argv, env=env, log=self.root / f"{name}.log")

    def _copy(self, access: Access, set: str) -> Path:
        [lc] = [str(copy["lc"]) for copy in access.copies(DISK) if copy["set"] == set]
        return self.root / set / lc

    def _wrote(self, guest: Guest, more: int) -> None:
        until = guest.writes + more
        self._until(lambda: guest.writes > until or bool(guest.wrong))

    def _ready(self, ask: Callable[[], object]) -> None:
        def answers() -> bool:
            try:
                ask()
            except ConvoyError:
                return False
            return True

        self._until(answers)

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not true():
            if time.monotonic() > deadline:
                raise Transient("the demonstration stands still", hint="look at the logs (--keep)")
            time.sleep(0.02)

    def _expect(self, what: str, expected: object, found: object) -> None:
        proof = Proof(what, expected, found)
        self.proofs.append(proof)
        self.say(f"  {'ok ' if proof.holds else 'NOT'} {what}")
        if not proof.holds:
            self.say(f"      expected {str(expected)[:300]}")
            self.say(f"      found    {str(found)[:300]}")
