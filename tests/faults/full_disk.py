"""A host whose disk fills up while a consumer runs on it: `python -m tests.faults.full_disk`.

Run by a test with the place of a fleet and a small disk to fill. Says `survived` if the consumer
was left alone while the disk was full, and came back when it was killed meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ops.host import environment
from tests.fleet import kill
from tests.kennel import Kennel, kennel
from tests.servers.sshd import ended
from tests.terminal import Terminal
from tests.waiting import eventually


def fill(path: Path) -> None:
    """Write until there is no byte left."""
    with path.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(512))
        except OSError:
            return


def scene(host: Kennel) -> None:
    host.convoy("host", "start", "--count", "1")
    eventually(host.well, within=60)
    first, filler = host.posts()["c01"].who, host.home / "filler"
    fill(filler)
    dog = host.dog()
    until = time.monotonic() + 1.5 * host.fleet.settings.lease.total_seconds()

    def tended(so: Callable[[], bool]) -> bool:
        dog.round()
        return so()

    eventually(lambda: tended(lambda: time.monotonic() > until))
    assert host.well()
    assert host.posts()["c01"].who == first
    assert first is not None
    kill(first.pid)

    def replaced() -> bool:
        now = host.posts().get("c01")
        return host.well() and now is not None and now.who != first

    eventually(lambda: tended(replaced), within=60)
    filler.unlink()
    dog.round()
    assert host.well()


def main(place: Path, full: Path) -> None:
    with kennel(place) as made:
        env = made.person.extra | {"CONVOY_HOME": str(full)}
        environment.keep(full, env)
        try:
            scene(replace(made, home=full, person=Terminal(full, env)))
        finally:
            ended(full)
    sys.stdout.write("survived\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
