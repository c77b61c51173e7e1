"""Where a race takes place: folders, forests and a store, and contestants that know them.

Our fleet is started anew for every run of the contestant "fleet up", before the timing, so that
it costs the other contestants nothing while they run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import agreement, goals, ours
from bench.peers import Commands, sync
from bench.rounds import COMMAND, FLEET, Contestant
from bench.sides import Folder, Prefix, Side, Store
from bench.spending import Spent, run
from bench.trees import Forest, warmed

Make = Callable[[Side], Commands]


@dataclass(slots=True)
class Lab:
    """One scratch folder and everything in it."""

    work: Path
    store: Store | None = None
    fresh: Callable[[], object] = lambda: None  # called after every clearing of the store
    _made: dict[str, int] = field(default_factory=dict)

    @property
    def env(self) -> Mapping[str, str]:
        return self.store.env() if self.store else {}

    def forest(self, name: str, forest: Forest) -> tuple[Folder, int]:
        """A planted forest, read once; and its bytes. Made at first use."""
        root = self.work / f"source-{name}"
        if name not in self._made:
            self._made[name] = forest.plant(root)
            warmed(root)
        return Folder(root), self._made[name]

    def folder(self, name: str) -> Folder:
        """A folder that is not there yet."""
        return Folder(self.work / name)

    def prefix(self, name: str) -> Prefix:
        """A place in the store."""
        assert self.store is not None
        return Prefix(self.store, name, self.store.client())

    def peer(
        self, name: str, source: Side, place: Callable[[str], Side], make: Make, *, sample: int
    ) -> Contestant:
        """Another tool that copies `source` to a fresh place."""

        def target(number: int) -> Side:
            return place(f"target-{re.sub('[ ,]+', '-', name)}-{number}")

        def act(to: Side, _: Path) -> Spent:
            return run(make(to), self.env)

        return self._copying(name, source, target, act, sample=sample)

    def durable(
        self, name: str, source: Side, make: Callable[[Folder], Commands], *, sample: int
    ) -> Contestant:
        """Another tool that copies `source` to a fresh folder, and the sync that makes it last:
        we are not done before, so neither is it."""

        def target(number: int) -> Side:
            return self.folder(f"target-{re.sub('[ ,]+', '-', name)}-{number}")

        def act(to: Side, _: Path) -> Spent:
            assert isinstance(to, Folder)
            copied, synced = run(make(to), self.env), run(sync(to.path))
            return Spent(copied.seconds + synced.seconds, copied.cpu + synced.cpu)

        return self._copying(goals.synced(name), source, target, act, sample=sample)

    def convoys(
        self, source: Side, place: Callable[[str], Side], *options: str, sample: int
    ) -> list[Contestant]:
        """Ours, both ways, copying `source` to a fresh place."""

        def target(number: int) -> Side:
            return place(f"target-convoy-{number}")

        def cold(to: Side, home: Path) -> Spent:
            return ours.command(source.ours(), to.ours(), home, self.env, *options)

        def warm(to: Side, home: Path) -> Spent:
            with ours.fleet(home, self.env) as fleet:
                return fleet.move(source.ours(), to.ours())

        return [
            self._copying(COMMAND, source, target, cold, sample=sample),
            self._copying(FLEET, source, target, warm, sample=sample),
        ]

    def _copying(
        self,
        name: str,
        source: Side,
        target: Callable[[int], Side],
        act: Callable[[Side, Path], Spent],
        *,
        sample: int,
    ) -> Contestant:
        home = self.work / "home"

        def check(number: int) -> None:
            alike(name, source, target(number), sample=sample)

        def clear(number: int) -> None:
            target(number).clear()
            shutil.rmtree(home, ignore_errors=True)
            if isinstance(target(number), Prefix):
                self.fresh()

        return Contestant(name, lambda number: act(target(number), home), check, clear)

    def again(self, source: Side, place: Callable[[str], Side], check: str) -> list[Contestant]:
        """Ours, both ways, over targets that are right already; with the manifests of that."""
        found = []
        for name, label in ((COMMAND, "command"), (FLEET, "fleet")):
            to, home = place(f"done-{label}"), self.work / f"home-{label}"
            ours.command(source.ours(), to.ours(), home, self.env)
            found.append(Contestant(name, _again(name, source, to, home, check, self.env)))
        return found


def _again(
    name: str, source: Side, to: Side, home: Path, check: str, env: Mapping[str, str]
) -> Callable[[int], Spent]:
    def cold(_: int) -> Spent:
        return ours.command(source.ours(), to.ours(), home, env, "--check", check)

    def warm(_: int) -> Spent:
        with ours.fleet(home, env) as fleet:
            return fleet.move(source.ours(), to.ours(), check=check)

    return cold if name == COMMAND else warm


def alike(who: str, source: Side, target: Side, *, sample: int) -> None:
    """Both sides agree."""
    agreement.require(
        who,
        source.sizes(),
        target.sizes(),
        same=lambda path: source.digest(path) == target.digest(path),
        sample=sample,
    )
