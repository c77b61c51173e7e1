"""Everything that may go wrong with a disk that is being moved."""

from __future__ import annotations

from collections.abc import Iterator

from consumer.trans.disks.exclusion import SOURCE
from tests.props.disk_wires import Step, Wires, changed
from tests.props.disk_world import (
    NEW,
    OLD,
    SIDES,
    TRANS,
    Guest,
    T,
    World,
)


class Faults(Wires):
    """One fault at a time."""

    def _faults(self, world: World) -> Iterator[Step]:
        some, trans, guest = self.of_scenario, world.trans, world.guest
        if some.may("crash") and trans:
            yield "Trans dies", self._die(world)
        if some.may("host") and trans:
            yield "host dies", self._die(world)._replace(guest=guest._replace(to="", open=()))
        if guest.to and some.may("drop"):
            yield "guest is cut off", self._drop(world, guest._replace(to=""))
        if guest.to and some.may("reset"):
            yield "guest is reset", self._drop(world, guest._replace(to="", open=()))
        if some.may("gone") and trans and not trans.judge[3] & SOURCE and guest.open:
            yield "Trans waits no longer for old", self._judged(world, "gone")
        for side, name in enumerate((OLD, NEW)):
            if some.may("cut", side) and trans and trans.judge[3] & SIDES[side]:
                yield f"Trans loses {name}", self._lose(world, side)
            if some.may("power", side):
                for left in world.sides[side].after_loss:
                    yield f"power of {name} fails, {left} stays", self._power(world, side, left)

    def _drop(self, world: World, cut: Guest) -> World:
        guest, world = world.guest, world._replace(guest=cut)
        return self._judged(world, "ended", guest.session) if guest.to == TRANS else world

    def _power(self, world: World, side: int, left: tuple[int, ...]) -> World:
        disk = world.sides[side]._replace(now=left, after_loss=frozenset([left]), alive=False)
        world = changed(world, side, disk)
        guest = world.guest
        if guest.to == (OLD, NEW)[side]:
            guest = guest._replace(to="")
        if world.record.set == (OLD, NEW)[side]:
            shaken = guest.shaken | set(guest.open)
            guest = guest._replace(legal=guest.kept, shaken=shaken)
        return world._replace(guest=guest)

    def _die(self, world: World) -> World:
        guest = world.guest
        if guest.to == TRANS:
            guest = guest._replace(to="")
        return world._replace(trans=None, guest=guest)

    def _lose(self, world: World, side: int) -> World:
        assert world.trans
        returns = list(world.trans.returns)
        returns[side] += 1
        held = world.trans.copying
        trans = world.trans._replace(returns=(returns[0], returns[1]))
        world = self._judged(world._replace(trans=trans), "lost", SIDES[side])
        for k, step, _ in held:
            if side == T or not step:  # else what it sent may still arrive: it goes on holding
                world = self._end_copy(world, k, same=False)
        return world
