"""The process of a data node: `python -m consumer.trans.partitions --help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

import structlog

from common.errors import ConvoyError
from common.store.connect import connect
from consumer.trans.partitions.node import Node
from consumer.trans.partitions.server import Server

log = structlog.get_logger(__name__)


def main() -> None:
    """Serve until told to end."""
    given = _parser().parse_args()
    host, _, port = given.listen.rpartition(":")
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    store = connect(given.store)
    patience = timedelta(seconds=given.patience)
    node = Node(given.listen, given.disk, given.state, store, patience=patience)
    server = Server(node, host, int(port))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"data node: {given.listen}\n")
    sys.stdout.flush()
    while not over.wait(given.beat):
        try:
            node.turn()
        except ConvoyError as error:  # the store is away: nothing is changed meanwhile
            log.warning("node.turn", why=str(error))
    server.shutdown()
    node.close()
    store.close()
    os._exit(0)  # a thread that waits for a disk that hangs would be waited for


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve the partitions that lie on these disks.")
    parser.add_argument("--listen", required=True, help="address, which is also its name")
    parser.add_argument("--disk", type=Path, action="append", required=True)
    parser.add_argument("--state", type=Path, required=True, help="a folder on another disk")
    parser.add_argument("--store", required=True, help="address of the store")
    parser.add_argument("--beat", type=float, default=1.0, help="seconds between two rounds")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds for a disk to answer")
    return parser


if __name__ == "__main__":
    main()
