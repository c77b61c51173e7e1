"""`python -m consumer.trans.disks --disk ID --socket PATH`: one Trans for one disk's task.

The catalogue is the store of the settings; the write-intent log lies in the home. Ends when the
task does: 0 if the disk was switched, 1 if it stays where it was.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from common.errors import ConvoyError
from common.settings import Settings
from common.store.access import Access
from common.store.connect import connect
from common.telemetry import logs
from consumer.boot import arm
from consumer.trans.disks.mover import Proof
from consumer.trans.disks.trans import End, Post, serve


def main() -> None:
    """Serve until the task is over."""
    parser = argparse.ArgumentParser(prog="python -m consumer.trans.disks")
    parser.add_argument("--disk", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--iodepth", type=int, default=1)
    parser.add_argument("--proof", type=Proof, default=Proof.MD5)
    given = parser.parse_args()
    settings, stop = Settings(), threading.Event()
    logs.configure()
    arm(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    store = connect(settings.state(), durable=True)
    post = Post(str(settings.home / "disks"), given.socket, given.iodepth, given.proof)
    try:
        end = serve(Access(store), given.disk, post, stop)
    except ConvoyError as error:
        sys.exit(f"convoy: {error}\n  {error.hint}")
    sys.exit(0 if end is End.SWITCHED else 1)


if __name__ == "__main__":
    main()
