"""Drives the switches of buckets: looks at a bucket, does what its phase asks for, judges, goes on.

Level-triggered: whoever dies leaves nothing that the next look would not do again. Any number may
drive; each step is a compare-and-set on the switch, and what is done before it may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from common.clock import Clock, Stillness
from common.endpoints.wire import Timeouts
from common.errors import Conflict, ConvoyError, Refused, Transient
from common.lifecycle.buckets import Event, Phase
from common.store.base import Store
from common.store.gateways import Gateways
from common.store.pages import Pages
from common.store.switches import Switch, Switches
from consumer.buckets import copying, janitor, listing, preflight, replay, verifying
from consumer.buckets.cutting import cut
from consumer.buckets.fence import Fence
from consumer.buckets.preflight import Looked
from consumer.buckets.sides import Sides
from consumer.trans.buckets.routing import Side
from producer.buckets.barrier import waiting, writes
from producer.buckets.decide import HOLDING_FROM_THE_START, Facts, Turn, decide

log = structlog.get_logger(__name__)
TRIES = 8  # of pages with failures, before a person has to look
PAGES = 4  # copied between two looks


@dataclass(frozen=True, slots=True)
class Spans:
    """How long to wait for what."""

    lease: timedelta = timedelta(seconds=60)  # of a gateway
    quiet: timedelta = timedelta(minutes=30)  # without a write, and it counts as quiet
    tracking: timedelta = timedelta(minutes=60)  # longer than this no quiet is waited for
    hold: timedelta = timedelta(seconds=10)  # that writes may be held
    settle: timedelta = timedelta(minutes=5)  # after which no request of a copier lives any more


@dataclass(slots=True)
class Driver:
    """Looks after buckets. Its judgement of time begins with itself."""

    store: Store
    spans: Spans = field(default_factory=Spans)
    limits: Timeouts = field(default_factory=Timeouts)
    clock: Clock = field(default_factory=Clock)
    by: str = "driver"
    opens: bool = True  # the copying begins by itself after the redirect
    stop: Callable[[], bool] = lambda: False
    _still: Stillness = field(init=False)
    _entered: dict[tuple[str, int], float] = field(default_factory=dict)
    _tries: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._still = Stillness(self.clock)

    def start(self, bucket: str, *, dry: bool = False) -> Looked:
        """Begin the switch of a bucket, unless something stands against it; `dry`: only look."""
        switches = Switches(self.store, self.clock)
        switch = switches.get(bucket)
        with_ = self._sides(switch)
        try:
            found = preflight.look(with_, self._fence(switch))
        finally:
            with_.close()
        if not found.findings and not dry:
            can = {"exclusive": found.exclusive, "matches": found.matches, "joins": found.joins}
            switches.learn(bucket, **can)
            switches.advance(switches.get(bucket), Event.START, by=self.by)
        return found

    def roll_back(self, bucket: str, *, why: str = "") -> Switch:
        """Begin the way back."""
        switches = Switches(self.store, self.clock)
        switch = switches.get(bucket)
        if switch.phase is Phase.QUIESCING:  # first users go on, on old
            switch = switches.advance(switch, Event.BUSY, by=self.by, why=why, holding=True)
        if switch.phase is Phase.TRACKING:
            if switch.holding:
                self._fence(switch).lift(Side.OLD)
            return switches.advance(switch, Event.WITHDRAW, by=self.by, why=why)
        return switches.advance(switch, Event.ROLL_BACK, by=self.by, why=why)

    def look(self, bucket: str) -> Switch:
        """One look: the work of the phase, the facts, and the next step if one is due."""
        switches = Switches(self.store, self.clock)
        switch = switches.get(bucket)
        if switch.phase is Phase.NORMAL:
            raise Refused(f"the switch of {bucket} has not begun", hint="start it first")
        sides = self._sides(switch)
        try:
            facts = self._worked(switch, sides, self._facts(switch))
        except ConvoyError as error:
            switches.note(bucket, str(error))
            log.warning("switch.waits", bucket=bucket, phase=switch.phase, why=str(error))
            facts = replace(self._facts(switch), confirmed=False)
        finally:
            sides.close()
        return self._applied(switches, switch, decide(facts))

    def _applied(self, switches: Switches, switch: Switch, due: Event | Turn | None) -> Switch:
        try:
            if isinstance(due, Turn):
                moved = switches.turn(switch, holding=due is Turn.HOLD, by=self.by)
            elif due is not None:
                holding = due in HOLDING_FROM_THE_START
                moved = switches.advance(switch, due, by=self.by, holding=holding)
            else:
                return switch
        except Conflict:
            return switches.get(switch.id)
        log.info("switch.advanced", bucket=moved.id, phase=moved.phase, holding=moved.holding)
        return moved

    # -- facts ----------------------------------------------------------------------------------

    def _facts(self, switch: Switch) -> Facts:
        gateways, spans = list(Gateways(self.store).all()), self.spans
        since = self._since(switch)
        wrote = writes(switch.id, gateways)
        quiet = self._still.of(("wrote", switch.id, switch.epoch), wrote) >= spans.quiet
        absent = waiting(switch, gateways, self._still, spans.lease)
        return Facts(
            phase=switch.phase,
            holding=switch.holding,
            confirmed=bool(gateways) and not absent,
            quiet=quiet or since >= spans.tracking,
            overdue=since >= spans.hold,
            opened=self.opens,
            settled=since >= spans.settle,
        )

    def _since(self, switch: Switch) -> timedelta:
        """For how long we have seen the bucket in this epoch."""
        now = self.clock.tick()
        return timedelta(seconds=now - self._entered.setdefault((switch.id, switch.epoch), now))

    # -- work -----------------------------------------------------------------------------------

    def _worked(self, switch: Switch, sides: Sides, facts: Facts) -> Facts:
        """Do what this phase asks for, now that its gateways have confirmed."""
        if (switch.phase, switch.holding) == (Phase.TRACKING, True):
            self._fence(switch).lift(Side.OLD)
            return replace(facts, lifted=True)
        if not facts.confirmed:
            return facts
        return (self._last_step if switch.holding else self._step)(switch, sides, facts)

    def _step(self, switch: Switch, sides: Sides, facts: Facts) -> Facts:
        """While users read and write (but in quiescing)."""
        match switch.phase:
            case Phase.QUIESCING:
                self._fence(switch).shut(Side.OLD)
                cut(sides.old)
                return replace(facts, fenced=True)
            case Phase.REDIRECTED:
                self._fence(switch).prove(Side.OLD)
            case Phase.COPYING:
                return replace(facts, copied=self._copy(sides))
            case Phase.VERIFYING:
                self._fence(switch).prove(Side.OLD)
                return replace(facts, verified=self._verify(sides))
            case Phase.ROLLING_BACK:
                replay.replay(sides, self.stop, shut=False)
                return replace(facts, replayed=not self.stop())
        return facts

    def _last_step(self, switch: Switch, sides: Sides, facts: Facts) -> Facts:
        """While writes are held."""
        match switch.phase:
            case Phase.DONE:
                janitor.sweep(sides)
                return replace(facts, swept=True)
            case Phase.ROLLING_BACK:
                self._fence(switch).shut(Side.NEW)
                left = replay.replay(sides, self.stop, shut=True)
                return replace(facts, replayed=left == 0)
            case Phase.ROLLED_BACK:
                self._fence(switch).lift(Side.OLD)
                return replace(facts, lifted=True)
        return facts

    def _copy(self, sides: Sides) -> bool:
        """A few pages; True when all are done."""
        pages = Pages(self.store)
        if not listing.plan(sides, pages, self.stop):
            return False
        for page in pages.waiting(sides.bucket, PAGES):
            copying.copy_page(sides, pages, page, self.stop)
        progress = pages.progress(sides.bucket)
        if progress.failed and not progress.open:
            self._again(sides.bucket, pages)
        return not progress.open and not progress.failed

    def _again(self, bucket: str, pages: Pages) -> None:
        """Most failures pass by themselves; what does not is said by name, and users go on."""
        tried = self._tries[bucket] = self._tries.get(bucket, 0) + 1
        key, why = pages.failures(bucket)[0]
        if tried <= TRIES:
            pages.again(bucket)
        raise Transient(f"{key}: {why}")

    def _verify(self, sides: Sides) -> bool | None:
        pages = Pages(self.store)
        verdict = verifying.verify(sides, pages, self.stop)
        if verdict is None:
            return None
        if not verdict.right:
            log.warning("switch.differs", bucket=sides.bucket, wrong=verdict.wrong[:5])
            pages.drop(sides.bucket)  # it is listed again; what is right is skipped
        return verdict.right

    def _sides(self, switch: Switch) -> Sides:
        tenant = Switches(self.store).tenant(switch.tenant)
        return Sides.of(self.store, tenant, switch, self.limits)

    def _fence(self, switch: Switch) -> Fence:
        switches = Switches(self.store)
        callers = tuple(c for c in switches.callers() if c.tenant == switch.tenant)
        return Fence(switches.tenant(switch.tenant), switch.id, callers, self.limits)
