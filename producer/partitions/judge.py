"""What is to be done next about one partition: one act, from its record and what was last seen.

An act is one compare-and-set, one change of a token document, or one order that its receiver checks
by epoch. Nothing is remembered between two judgements: whoever judges after a crash goes on from
the record. Where the view may be old, only acts that an old view makes harmless are taken.
"""

from __future__ import annotations

from common.lifecycle.partitions.partition import Event, Restore, Status, Step, Type
from common.lifecycle.partitions.record import Record, advanced, amended, membership
from producer.partitions.facts import (
    Act,
    Adopt,
    Knobs,
    Release,
    Retire,
    Take,
    View,
    Wait,
    Write,
)
from producer.partitions.target import chosen, keys


class Judge:
    """The rules of a partition's move."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self.knobs = knobs or Knobs()

    def act(self, record: Record, view: View) -> Act:
        """The next act, or why there is none now."""
        for upkeep in (self.told, self.elected, self.tidied, self.swept):
            if act := upkeep(record, view):
                return act
        if record.claims and not record.entitled:
            return self.released(record, view)
        match record.status:
            case Status.MARKED:
                return self.marked(record, view)
            case Status.PREPARE:
                return self.prepared(record, view)
            case Status.RUNNING:
                return self.running(record, view)
            case Status.FAILED if self._worth(record):
                return self.again(record)
            case Status.SUCCESS:
                return Write(advanced(record, Event.FORGET, **_blank(record)))
        if record.restore is not Restore.STOP:
            return Write(amended(record, restore=Restore.STOP))
        return Wait("nothing is to be done")

    # upkeep, whatever the status

    def told(self, record: Record, view: View) -> Act | None:
        """A copy that does not know the configuration is told; the primary tells the rest, too."""
        for host in (*record.hosts, *record.learners):
            seen = view.of(host)
            make = host in record.learners and seen.epoch == 0
            if seen.well and (make or 0 < seen.epoch < record.epoch):
                return Adopt(host, record.config, make)
        return None

    def elected(self, record: Record, view: View) -> Act | None:
        """A host takes the place of a primary that is lost. Every host has all that counts."""
        primary = view.of(record.primary)
        if primary.well and primary.epoch:
            return None
        if new := next((h for h in view.good(record) if h != record.primary), None):
            return Write(amended(record, **membership(record, primary=new)))
        return None

    def tidied(self, record: Record, view: View) -> Act | None:
        """A copy that the record does not know of is put aside, not removed."""
        known = {*record.hosts, *record.learners}
        for host, seen in sorted(view.seen.items()):
            if host not in known and seen.well and 0 < seen.epoch < record.epoch:
                return Retire(host, record.epoch)
        return None

    def swept(self, record: Record, view: View) -> Act | None:
        """A token that somebody took late, when it was not claimed any more."""
        for key, tokens in view.tokens.items():
            for entry in tokens.held:
                mine = entry[0] == record.id
                if mine and (entry[1] != record.attempt or key not in record.claims):
                    return Release(key, entry)
        return None

    def released(self, record: Record, view: View) -> Act:
        """Tokens first, then the claims to them: so none is ever forgotten."""
        entry = (record.id, record.attempt)
        for key in record.claims:
            if key in view.tokens and view.tokens[key].has(entry):
                return Release(key, entry)
        return Write(amended(record, claims=()))

    # one status each

    def marked(self, record: Record, view: View) -> Act:
        if over := self.pointless(record, view):
            return over
        if record.type is Type.AUTO and not self.knobs.auto:
            return Write(self.failed(record, "automatic decommission was switched off", last=True))
        if record.target:
            return self.claimed(record, view)
        found = chosen(record, view, self.knobs)
        if found is None:
            return Write(self.retried(record, "no target is left"))
        if found.lacking:
            return Wait(f"no token is free: {', '.join(found.lacking)}")
        claims = keys(record, found.candidate)
        fields = {"target": found.candidate.host, "claims": claims, "attempt": record.attempt + 1}
        return Write(advanced(record, Event.AGAIN, **fields))

    def claimed(self, record: Record, view: View) -> Act:
        """All tokens or none: who waits for one does not hold another."""
        entry = (record.id, record.attempt)
        for key in record.claims:
            tokens = view.tokens.get(key)
            if tokens is None or not tokens.has(entry):
                if tokens is None or tokens.free:
                    return Take(key, entry)
                return Write(advanced(record, Event.AGAIN, target=""))
        return Write(advanced(record, Event.PREPARE))

    def prepared(self, record: Record, view: View) -> Act:
        """Add before remove, at every number of replicas."""
        if over := self.pointless(record, view):
            return over
        if not view.good(record):
            return Write(self.retried(record, "no good copy says that it is there"))
        if not view.of(record.target).well:
            return Write(self.retried(record, f"{record.target} is not well"))
        learners = membership(record, learners=(record.target,))
        return Write(advanced(record, Event.START, step=Step.COPY, **learners))

    def running(self, record: Record, view: View) -> Act:
        if record.step is Step.COPY:
            return self.copying(record, view)
        if record.step is Step.JOINED:
            return self.joined(record, view)
        # what is left of the source was put aside by `tidied`, if it lives
        return Write(advanced(record, Event.FINISH, step=Step.NONE))

    def copying(self, record: Record, view: View) -> Act:
        """Until the primary attests that nothing is missing; then, and only then, it joins."""
        if record.complete:
            hosts = membership(record, hosts=(*record.hosts, record.target), learners=())
            return Write(amended(record, step=Step.JOINED, **hosts))
        target = view.of(record.target)
        if not target.alive or not target.sound or view.overdue:
            return Write(self.failed(record, f"{record.target} did not come to hold everything"))
        return Wait("it is being copied")

    def joined(self, record: Record, view: View) -> Act:
        if not record.source or record.source not in record.hosts:
            return Write(amended(record, step=Step.LEFT))
        if record.target not in record.hosts:
            return Write(self.failed(record, f"{record.target} was lost after it had joined"))
        rest = tuple(host for host in record.hosts if host != record.source)
        good = [host for host in view.good(record) if host in rest]
        if record.primary == record.source:
            return self.handed(record, good)
        if len(good) >= record.replicas:
            return self.leave(record, rest)
        if len(rest) >= record.replicas:
            return Wait("not every other replica says that it is well")
        if good and not view.of(record.source).sound:
            return self.leave(record, rest)
        why = "another replica was lost: the new one took its place, the source needs another"
        return Write(self.retried(record, why))

    def handed(self, record: Record, good: list[str]) -> Act:
        """The source writes no more before it leaves."""
        if not good:
            return Wait("no other replica says that it is well")
        return Write(amended(record, **membership(record, primary=good[0])))

    def leave(self, record: Record, rest: tuple[str, ...]) -> Act:
        return Write(amended(record, step=Step.LEFT, **membership(record, hosts=rest)))

    # ends of an attempt

    def pointless(self, record: Record, view: View) -> Act | None:
        gone = record.source and record.source not in record.hosts
        if not view.exists or (gone and len(record.hosts) >= record.replicas):
            return Write(advanced(record, Event.FINISH))
        return None

    def failed(self, record: Record, why: str, *, last: bool = False) -> Record:
        """Rolled back in the same write: the target is a learner no more."""
        rollbacks = self.knobs.rollbacks if last else record.rollbacks
        fields = unlearned(record) | {"why": why, "rollbacks": rollbacks}
        return advanced(record, Event.FAIL, step=Step.NONE, **fields)

    def again(self, record: Record) -> Act:
        """Another target after a failure."""
        fields = {"target": "", "retries": 0, "rollbacks": record.rollbacks + 1}
        excluded = {*record.excluded, record.target} - {"", record.specified}
        return Write(advanced(record, Event.AGAIN, excluded=tuple(sorted(excluded)), **fields))

    def retried(self, record: Record, why: str) -> Record:
        """Another attempt, or the end when there were enough."""
        if record.retries + 1 >= self.knobs.retries:
            return self.failed(record, why, last=True)
        fields = {"retries": record.retries + 1, "why": why, "step": Step.NONE}
        return advanced(record, Event.AGAIN, target="", **fields)

    def _worth(self, record: Record) -> bool:
        return record.rollbacks < self.knobs.rollbacks


def unlearned(record: Record) -> dict[str, object]:
    """Nobody learns any more, as fields; nothing where nobody did."""
    return membership(record, learners=()) if record.learners else {}


def _blank(record: Record) -> dict[str, object]:
    """What a finished decommission leaves behind: nothing."""
    fresh = Record(record.id, record.replicas, record.hosts, record.primary)
    kept = {"id", "replicas", "hosts", "primary", "learners", "epoch", "version", "generation"}
    kept |= {"attested", "attempt", "status", "claims"}
    return {name: value for name, value in fresh._asdict().items() if name not in kept}
