"""The demonstration itself: move, kill, damage, change, run again, verify; each step with what
must come out and what did. Leaves nothing running and nothing on the disk but what it is asked to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.quantities import show_size
from common.settings import Settings
from ops import journey
from ops.demo import mischief, trees
from ops.demo.compare import differences
from ops.desk import Desk, desk, who
from ops.journey import Display, Errand
from ops.local import Fleet, Local
from ops.report import Report
from ops.verification import verification
from producer.intake import Order

# leases of seconds instead of a minute, so that what a death costs is seen while one looks on
WISHES = {
    "lease": "2s",
    "backoff": "200ms",
    "backoff_most": "2s",
    "resend": "2s",
    "sweep": "200ms",
    "attempts": "50",
}
INTRUDER = "../mallory"  # a line of the list that would lead out of every user's place
DAMAGED, CHANGED, FOREIGN = 3, 5, 2  # how many files


@dataclass(frozen=True, slots=True)
class Proof:
    """Something that must be so, and what was found."""

    what: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        return bool(self.expected == self.found)


@dataclass(slots=True)
class Story:
    """One telling. `say` is for the person, `display` for progress."""

    root: Path
    say: Callable[[str], object]
    display: Display
    consumers: int = 0
    proofs: list[Proof] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    @property
    def old(self) -> str:
        return str(self.root / "old")

    @property
    def new(self) -> str:
        return str(self.root / "new")

    @property
    def holds(self) -> bool:
        """Did everything come out as it must?"""
        return bool(self.proofs) and all(proof.holds for proof in self.proofs)

    def tell(self) -> None:
        """From the first file to the last proof."""
        made = self._plant()
        settings = Settings.model_validate({"home": self.root / "home", **WISHES})
        with Local(settings, consumers=self.consumers) as local, desk(local.settings) as here:
            fleet = Fleet(local.settings, tend=local.tend, ours=True)
            self._first(made, here, fleet)
            harmed = self._harm(made)
            self._second(made, harmed, here, fleet)
            self._third(made, harmed, here, fleet)
            self._verify(made, here, fleet)

    def _plant(self) -> trees.Planted:
        self.say(f"Making {trees.USERS} users with trees as real people have them, in {self.old}")
        os.makedirs(self.old)
        os.makedirs(self.new)
        made = trees.plant(self.old)
        counts = f"{made.files:,} files, {made.links:,} links, {made.folders:,} folders"
        self.say(f"  {counts}, {show_size(made.bytes)}; odd names, hard links and holes among them")
        return made

    def _first(self, made: trees.Planted, here: Desk, fleet: Fleet) -> None:
        self.say("\nFirst run, while somebody kills processes with -9:")
        saboteur = mischief.Saboteur(here, lambda text: self.say(f"  {text}"))
        found = self._run(made.users, here, fleet, display=Both(self.display, saboteur))
        self._expect("processes were killed on the way", len(saboteur.at), len(saboteur.killed))
        self._expect("it is complete all the same", True, found["complete"])
        self._expect("every item moved, each counted once", made.items, found["items"]["moved"])
        self._expect("an independent walk finds no difference", {}, differences(self.old, self.new))

    def _harm(self, made: trees.Planted) -> Harm:
        self.say("\nNow things happen to both sides:")
        users = sorted(made.users)
        paths = [next(trees.files_of(self.old, user)) for user in users[20 : 20 + 11]]
        harm = Harm(paths[:3], paths[3:8], paths[8:10], paths[10])
        for path in harm.damaged:
            mischief.damage(self._there(path))
        self.say(f"  target: one bit flips in {DAMAGED} files, their times unchanged")
        for path in harm.foreign:
            mischief.overwrite(self._there(path), b"somebody else wrote this\n")
        self.say(f"  target: somebody else writes {FOREIGN} files")
        for path in harm.changed:
            mischief.overwrite(path, b"a newer version of " + os.path.basename(path))
        self.say(f"  source: {CHANGED} files change, as live files do")
        os.remove(harm.deleted)
        self.say("  source: a file is deleted (absence is no order to delete on the target)")
        self.say(f"  list: somebody adds the user {INTRUDER!r}")
        return harm

    def _second(self, made: trees.Planted, harm: Harm, here: Desk, fleet: Fleet) -> None:
        self.say("\nSecond run, the same command:")
        found = self._run([*made.users, INTRUDER], here, fleet)
        reported = sorted(f["item"] for f in found["failures"] if f["unit"])
        self._expect("the damaged files were mended", DAMAGED, found["items"]["mended"])
        self._expect("only what changed was moved", CHANGED, found["items"]["moved"])
        self._expect("what others wrote is kept and reported", self._items(harm.foreign), reported)
        self._expect("the line that leads outside is refused", 1, found["refused"])
        self._expect("so it does not say complete", False, found["complete"])
        expected = {self._path(path) for path in (*harm.foreign, harm.deleted)}
        self._expect("nothing else differs", expected, self._differing())
        self._expect("nothing was written outside", ["home", "new", "old"], self._rooms())

    def _third(self, made: trees.Planted, harm: Harm, here: Desk, fleet: Fleet) -> None:
        self.say("\nThird run, with --overwrite and --check manifest:")
        options = {"check": "manifest", "overwrite": True}
        found = self._run(made.users, here, fleet, options)
        self._expect("the source won", FOREIGN, found["items"]["moved"])
        self._expect("it is complete", True, found["complete"])
        self._expect("only the deleted file differs", {self._path(harm.deleted)}, self._differing())

    def _verify(self, made: trees.Planted, here: Desk, fleet: Fleet) -> None:
        self.say("\nLast, every user is read again on both sides:")
        migration = here.find(self.reports[-1]["id"])
        errand = verification(migration, by=who())
        found = self._travel(errand, here, fleet, self.display)
        items = made.items - 1  # one was deleted
        self._expect("both sides agree, item by item", items, found["verified"]["agree"])
        self._expect("and differ nowhere", 0, found["verified"]["differ"])

    def _run(
        self,
        users: list[str],
        here: Desk,
        fleet: Fleet,
        options: dict[str, Any] | None = None,
        *,
        display: Display | None = None,
    ) -> Report:
        order = Order(self.old, self.new, by=who(), options=options or {"check": "md5"})
        errand = Errand(order, lambda _: users)
        return self._travel(errand, here, fleet, display or self.display)

    def _travel(self, errand: Errand, here: Desk, fleet: Fleet, display: Display) -> Report:
        accepted = journey.accept(errand, here, display, tend=fleet.tend)
        found = journey.finish(accepted.migration.id, here, fleet, display)
        assert found is not None  # our own fleet never goes away
        self.reports.append(found)
        return found

    def _expect(self, what: str, expected: Any, found: Any) -> None:
        proof = Proof(what, expected, found)
        self.proofs.append(proof)
        shown = f" ({found:,})" if type(found) is int and found else ""
        self.say(f"  {'ok ' if proof.holds else 'NOT'} {what}{shown}")
        if not proof.holds:
            self.say(f"      expected {_brief(expected)}")
            self.say(f"      found    {_brief(found)}")

    def _differing(self) -> set[str]:
        """What differs in more than its time: whoever writes into a folder changes that."""
        return {p for p, why in differences(self.old, self.new).items() if why != "time"}

    def _there(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.new), os.path.relpath(path, os.fsencode(self.old)))

    def _path(self, path: bytes) -> str:
        return os.fsdecode(os.path.relpath(path, os.fsencode(self.old)))

    def _items(self, paths: list[bytes]) -> list[str]:
        return sorted(self._path(path).partition("/")[2] for path in paths)

    def _rooms(self) -> list[str]:
        return sorted(os.listdir(self.root))


@dataclass(frozen=True, slots=True)
class Harm:
    """Which files something happened to, as paths at the source."""

    damaged: list[bytes]
    changed: list[bytes]
    foreign: list[bytes]
    deleted: bytes


@dataclass(frozen=True, slots=True)
class Both:
    """Progress for a person and for the saboteur."""

    person: Display
    saboteur: mischief.Saboteur

    def show(self, seen: Any) -> None:
        self.person.show(seen)
        self.saboteur.show(seen)

    def note(self, text: str) -> None:
        self.person.note(text)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}..."
