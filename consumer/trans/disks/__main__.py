"""The processes of a site, each for one disk or one set; they end with SIGTERM.

    python -m consumer.trans.disks gate --set ID --folder PATH     a set of raw files
    python -m consumer.trans.disks proxy --disk ID --socket PATH   the guest's end of a disk
    python -m consumer.trans.disks trans --disk ID --socket PATH   a disk's task; 0 if it switched

The catalogue is the store of the settings; the write-intent log of a Trans lies in the home.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from common.endpoints.nbd.listener import Listener, bound
from common.endpoints.nbd.serving import serve as serve_nbd
from common.errors import ConvoyError
from common.settings import Settings
from common.store.access import Access
from common.store.connect import connect
from common.telemetry import logs
from consumer.boot import arm
from consumer.trans.disks import shelf
from consumer.trans.disks.gateproxy import GateProxy
from consumer.trans.disks.loop import in_thread
from consumer.trans.disks.mover import Proof
from consumer.trans.disks.trans import End, Post, place, serve


def main() -> None:
    """Serve until told to end, or until there is nothing more to do."""
    parser = argparse.ArgumentParser(prog="python -m consumer.trans.disks")
    parser.add_argument("role", choices=["gate", "proxy", "trans"])
    for name in ("--set", "--folder", "--disk", "--socket"):
        parser.add_argument(name, default="")
    parser.add_argument("--iodepth", type=int, default=1)
    parser.add_argument("--proof", type=Proof, default=Proof.MD5)
    given = parser.parse_args()
    settings, over = Settings(), threading.Event()
    logs.configure()
    arm(settings)

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        over.set()
        if given.role == "trans":
            sys.exit(1)  # the next one goes on from the log

    signal.signal(signal.SIGTERM, end)
    access = Access(connect(settings.state(), durable=True))
    try:
        if given.role == "gate":
            gate(access, given.set, given.folder, over)
        elif given.role == "proxy":
            proxy(access, given.disk, given.socket, over)
        else:
            home = str(settings.home / "disks")
            post = Post(home, given.socket, given.iodepth, given.proof)
            sys.exit(0 if serve(access, given.disk, post, over) is End.SWITCHED else 1)
    except ConvoyError as error:
        sys.exit(f"convoy: {error}\n  {error.hint}")


def gate(access: Access, set: str, folder: str, over: threading.Event) -> None:
    """The gate of one set."""
    made, files = shelf.gate(access, set, folder)
    where = place(access.set(set).gate, "")
    at = where.path or (where.host, where.port)
    listener = Listener(bound(at), lambda stream: serve_nbd(stream, made.at(stream)))
    keeper = in_thread("reclaim", lambda: files.attend(over))
    over.wait()
    listener.close()
    keeper.join()
    made.close()


def proxy(access: Access, disk: str, socket: str, over: threading.Event) -> None:
    """The proxy of one disk, on the host of its guest."""
    made = GateProxy(access, disk)
    listener = Listener(bound(socket), made.serve)
    over.wait()
    made.close()
    listener.close()


if __name__ == "__main__":
    main()
