"""Have all gateways confirmed an epoch? Only those that live are waited for; whether one lives is
judged by its counter and our own monotonic clock, never by a time that it tells."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from common.clock import Stillness
from common.store.gateways import Gateway
from common.store.switches import Switch


def waiting(
    switch: Switch, gateways: Iterable[Gateway], still: Stillness, lease: timedelta
) -> list[str]:
    """The gateways that are still to be waited for, by name. One that was never seen before, or
    that says nothing of the bucket, is among them until its lease is over."""
    return [
        gateway.id
        for gateway in gateways
        if still.of(gateway.id, gateway.beat) < lease
        and gateway.seen.get(switch.id, 0) < switch.epoch
    ]


def writes(bucket: str, gateways: Iterable[Gateway]) -> tuple[tuple[str, int], ...]:
    """How often each gateway has written to a bucket: it is quiet while this stands still."""
    return tuple(sorted((g.id, g.wrote.get(bucket, 0)) for g in gateways))
