"""The look at the whole fleet that all viewers share: renewed once a second while somebody looks.

Only records that changed are read again, all of them once a minute; units are counted for
migrations that are not at an end, and for those at an end once, when somebody wants to see them.
Counting takes a part of each second and no more, so that a large fleet is counted in turns.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import structlog

from common.clock import Clock, Stillness
from common.errors import ConvoyError, Transient
from common.model import Sums
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.migrations import Brief, Migrations
from ops.centre import crew, rows
from ops.centre.looks import QUICK
from ops.centre.news import MIGRATIONS, News
from ops.centre.rows import Counted, Row
from ops.centre.tracked import Tracked
from ops.desk import Desk, addressed
from ops.watching import Sample, Window

EVERY = 1.0  # seconds between two looks
FRESH = 2.0  # an answer may be so old
LINGER = 10.0  # how long nobody must have asked before nothing is looked at any more
WHOLE = 60.0  # seconds between two readings of all records
SLACK = 60.0  # clocks of two machines may differ by so much
COUNTING = 0.2  # seconds of each look that go to counting units
SHARE = 9  # of a migration's time goes to other things for each one that counting its units takes
REST = 5.0  # at most, after a look that took long
PATIENCE = 15.0  # an answer waits so long for the first look
log = structlog.get_logger(__name__)


class Survey:
    """The shared look. For many threads; one of its own does the looking."""

    def __init__(self, settings: Settings, news: News, clock: Clock) -> None:
        self.settings, self.clock, self.news = settings, clock, news
        self.version = 0  # rises with each look
        self.trouble: ConvoyError | None = None
        self.consumers: list[Row] = []
        self._store: Store | None = None
        self._tracked: dict[str, Tracked] = {}
        self._wished: set[str] = set()
        self._orders: dict[str, tuple[int, list[Row]]] = {}
        self._signs = Stillness(clock)
        self._first_sign: float | None = None
        self._asked = -LINGER
        self._at = -LINGER  # when the last look began
        self._good = 0.0  # for how long an answer may be that old: longer where looks take long
        self._whole = -WHOLE
        self._wall = 0.0
        self._over = False
        self._turn = threading.Condition()
        self._counting = threading.Lock()
        self._watchers = 0
        self._thread = threading.Thread(target=self._run, name="survey", daemon=True)

    def start(self) -> None:
        """Look once, so that the first who asks need not wait for it; then as somebody asks."""
        self._asked = self.clock.tick()
        self._thread.start()

    def stop(self) -> None:
        with self._turn:
            self._over = True
            self._turn.notify_all()
        if self._thread.is_alive():
            self._thread.join(10)
        if self._store:
            self._store.close()

    def watch(self, by: int) -> None:
        """Somebody begins (1) or ends (-1) to listen to what changes."""
        with self._turn:
            self._watchers += by
            self._asked = self.clock.tick()
            self._turn.notify_all()

    def desk(self) -> Desk:
        """A desk to look from; it changes nothing, and tells nobody."""
        known = addressed(self.settings)
        with self._turn:
            if self._store is None:
                self._store = connect(known.state())
        return Desk(known, self._store, None, self.clock, "centre")

    def fresh(self) -> Survey:
        """The look as of a moment ago; raises what kept us from looking."""
        until = self.clock.tick() + PATIENCE
        with self._turn:
            self._asked = self.clock.tick()
            self._turn.notify_all()
            if self.clock.tick() - self._at < PATIENCE:
                self._clear()  # a store that is away is not waited for by everybody
            while self.clock.tick() - self._at > self._good and not self._over:
                if self.clock.tick() >= until:
                    raise Transient("the store has not answered yet", hint="try again in a while")
                self._turn.wait(0.5)
        self._clear()
        return self

    def _clear(self) -> None:
        """Raise what kept the last look from being taken; the same error is never raised twice,
        or it would grow each time."""
        if (trouble := self.trouble) is not None:
            raise Transient(str(trouble), hint=trouble.hint)

    def ordered(self, order: str) -> list[Row]:
        """All rows in an order, sorted once for everybody."""
        known = self._orders.get(order)
        if known is None or known[0] != self.version:
            version = self.version
            known = (version, rows.ordered([t.row for t in list(self._tracked.values())], order))
            self._orders[order] = known
        return known[1]

    def states(self) -> dict[str, int]:
        """How many migrations are in which state."""
        return dict(Counter(tracked.row["state"] for tracked in list(self._tracked.values())))

    def jobs(self, id: str, generation: int) -> Mapping[str, Sums] | None:
        """What was counted last of a generation; None if nothing was."""
        tracked = self._tracked.get(id)
        counted = tracked.counted if tracked else None
        return counted.jobs if counted and counted.generation == generation else None

    def row(self, id: str) -> Row | None:
        tracked = self._tracked.get(id)
        return tracked.row if tracked else None

    def counted(self, some: Iterable[Row], most: float = 0.05) -> list[Row]:
        """These rows, with units counted as far as `most` seconds allow."""
        until, here = self.clock.tick() + most, None
        found = []
        for each in some:
            tracked = self._tracked.get(each["id"])
            if tracked and tracked.uncounted:
                if tracked.brief.planned <= QUICK and self.clock.tick() < until:
                    here = here or self.desk()
                    self._count(tracked, here)
                else:
                    self._wished.add(tracked.brief.id)  # the next look counts it
            found.append(tracked.row if tracked else each)
        return found

    def _run(self) -> None:
        while True:
            with self._turn:
                while not self._over and not self.wanted():
                    self._turn.wait()
                if self._over:
                    return
            began = self.clock.tick()
            for part in (self._read, self._count_due):  # who waits for rows waits for no counting
                self._look(part)
                self._looked(began)
            with self._turn:
                spent = self.clock.tick() - began
                self._good = max(FRESH, spent * 3) + EVERY
                self._turn.wait_for(lambda: self._over, max(EVERY - spent, min(spent, REST)))

    def _looked(self, began: float) -> None:
        with self._turn:
            self._at = began if self.trouble is None else self.clock.tick()
            self.version += 1
            self._turn.notify_all()

    def wanted(self) -> bool:
        """Does somebody look, or did a moment ago?"""
        return self._watchers > 0 or self.clock.tick() - self._asked < LINGER

    def _look(self, part: Callable[[Desk], set[str]]) -> None:
        """One part of a look, and the news of those whose row it changed."""
        try:
            changed = part(self.desk())
            self.news.tell(MIGRATIONS, [t.row for id in changed if (t := self._tracked.get(id))])
            self.trouble = None
        except ConvoyError as error:
            self._fail(error)
        except Exception:  # the next look may go better; viewers are told
            log.exception("centre.fault")
            self._fail(Transient("the look at the fleet failed", hint="see the centre's log"))

    def _read(self, here: Desk) -> set[str]:
        self._consumers(here)
        return self._records(here.migrations)

    def _fail(self, error: ConvoyError) -> None:
        if self.trouble is None:
            log.warning("store.away", why=str(error))
        self.trouble = error

    def _records(self, migrations: Migrations) -> set[str]:
        """Read what changed since the last look; the IDs of those whose row did."""
        tick, wall = self.clock.tick(), self.clock.wall()
        rested = tick - self._at > LINGER  # somebody waits for this look: what changed comes first
        whole = tick - self._whole >= WHOLE and not (rested and self.version)
        found = migrations.briefs(touched=None if whole else min(self._wall, wall) - SLACK)
        seen, changed = set(), set()
        for brief in found:
            seen.add(brief.id)
            tracked = self._tracked.get(brief.id)
            if tracked is None:
                self._tracked[brief.id] = Tracked(brief, rows.row(brief, None))
            elif tracked.brief == brief:
                continue
            else:
                self._renew(tracked, brief)
            changed.add(brief.id)
        if whole:
            self._whole = tick
            for gone in self._tracked.keys() - seen:
                del self._tracked[gone]
        self._wall = wall
        return changed

    def _renew(self, tracked: Tracked, brief: Brief) -> None:
        if tracked.brief.generation != brief.generation:
            tracked.window, tracked.counted = Window(), None
        if tracked.brief.over != brief.over:
            tracked.due = 0.0  # once more, for good
        tracked.brief = brief
        tracked.row = rows.row(brief, tracked.counted)

    def _consumers(self, here: Desk) -> None:
        now = self.clock.tick()
        self._first_sign = now if self._first_sign is None else self._first_sign
        docs = here.consumers.all()
        found = crew.rows(
            docs,
            here.unit_looks.holders(),
            {doc["id"]: self._signs.of(doc["id"], doc["beat"]) for doc in docs},
            lease=here.settings.lease,
            wall=self.clock.wall(),
            known=now - self._first_sign,
        )
        self._signs.keep({doc["id"] for doc in docs})
        before = {row["name"]: crew.stable(row) for row in self.consumers}
        self.consumers = found
        self.news.tell(
            "consumers", [row for row in found if before.get(row["name"]) != crew.stable(row)]
        )
        gone = before.keys() - {row["name"] for row in found}
        self.news.tell("consumers", [{"name": name, "gone": True} for name in sorted(gone)])

    def _count_due(self, here: Desk) -> set[str]:
        """Count units of those whose turn it is, the longest uncounted first."""
        now = self.clock.tick()
        until = now + COUNTING
        wished = {id for id in list(self._wished) if id in self._tracked}
        self._wished.clear()
        active = [
            t
            for t in self._tracked.values()
            if not t.brief.over or (t.due == 0.0 and t.counted) or t.brief.id in wished
        ]
        changed = set()
        for tracked in sorted((t for t in active if t.due <= now), key=lambda t: t.due):
            if self.clock.tick() >= until:
                break
            before = tracked.row
            self._count(tracked, here)
            if tracked.row != before:
                changed.add(tracked.brief.id)
        return changed

    def _count(self, tracked: Tracked, here: Desk) -> None:
        with self._counting:
            began, brief = self.clock.tick(), tracked.brief
            counted = Counted.of(brief, here.units.by_job(brief))
            at = self.clock.tick()
            sample = Sample(began, counted.sums.done, counted.items, counted.bytes)
            tracked.window.add(sample)
            rates = (0.0, 0.0, 0.0) if brief.over else tracked.window.rates()
            if tracked.brief is brief:
                tracked.counted = replace(counted, rates=rates)
                tracked.row = rows.row(brief, tracked.counted)
                tracked.due = at + max(EVERY / 2, (at - began) * SHARE)
