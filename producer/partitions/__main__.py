"""The process of a controller: `python -m producer.partitions --help`."""

from __future__ import annotations

import argparse
import signal
import threading
from datetime import timedelta

import structlog

from common.errors import ConvoyError
from common.failpoints import arm
from common.store.connect import connect
from producer.partitions.controller import Controller, Settings
from producer.partitions.facts import Knobs

log = structlog.get_logger(__name__)


def main() -> None:
    """Judge until told to end."""
    given = _parser().parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    for name, _, act in (text.partition("=") for text in given.failpoint):
        arm(name, act)
    store = connect(given.store)
    settings = Settings(
        silence=timedelta(seconds=given.silence),
        repair=timedelta(seconds=given.repair),
        tokens=given.tokens,
        heals=given.heal,
        evacuates=given.evacuate,
    )
    controller = Controller(
        store, settings=settings, knobs=Knobs(least_free_bytes=given.least_free)
    )
    while not over.wait(given.beat):
        try:
            controller.turn()
        except ConvoyError as error:  # the store is away: nothing is changed meanwhile
            log.warning("controller.turn", why=str(error))
    store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Judge the moves of partitions, one by one.")
    parser.add_argument("--store", required=True, help="address of the store")
    parser.add_argument("--beat", type=float, default=5.0, help="seconds between two rounds")
    parser.add_argument("--silence", type=float, default=18.0, help="seconds until a node is dead")
    parser.add_argument("--repair", type=float, default=7200.0, help="seconds without progress")
    parser.add_argument("--tokens", type=int, default=10, help="per nodeset and disk; 0: no limit")
    parser.add_argument("--least-free", type=int, default=10 << 30, help="bytes, on a target")
    parser.add_argument("--heal", action="store_true", help="add what replicas are lacking")
    parser.add_argument("--evacuate", action="store_true", help="leave disks that err")
    parser.add_argument("--failpoint", action="append", default=[], help="for tests")
    return parser


if __name__ == "__main__":
    main()
