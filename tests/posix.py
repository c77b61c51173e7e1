"""Two file systems' worth of users for the tests of the posix endpoint, and rights to lose."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.endpoints.place import Held, Item
from common.endpoints.posix import PosixSource, PosixTarget
from common.endpoints.template import Template
from tests.hauling import Haul, Hauled

NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Site:
    """An old place and a new one, below a directory that anybody may enter."""

    root: Path

    @property
    def old(self) -> Path:
        return self.root / "old" / "alice"

    @property
    def new(self) -> Path:
        return self.root / "new" / "alice"

    def source(self, user: str = "alice") -> PosixSource:
        return PosixSource(Template.parse(f"{self.root}/old"), user)

    def target(self, user: str = "alice", *, token: str = "unit.1") -> PosixTarget:
        return PosixTarget(Template.parse(f"{self.root}/new"), user, token)

    def haul(self, *, token: str = "unit.1", only_new: bool = False) -> Hauled:
        """One pass over alice."""
        source, target = self.source(), self.target(token=token)
        try:
            target.sweep(token.partition(".")[0])
            return Haul(source, target, _absent if only_new else _always).run()
        finally:
            target.close()
            source.close()


def _always(_item: Item, _held: Held | None) -> bool:
    return True


def _absent(_item: Item, held: Held | None) -> bool:
    return held is None


@contextmanager
def site() -> Iterator[Site]:
    """A site with an empty user; removed by a tool that no depth and no name defeats."""
    root = Path(tempfile.mkdtemp(prefix="convoy-test-"))
    try:
        root.chmod(0o755)
        (root / "old" / "alice").mkdir(parents=True)
        (root / "new").mkdir()
        yield Site(root)
    finally:
        try:
            shutil.rmtree(root)
        except (OSError, RecursionError):
            subprocess.run(["chmod", "-R", "u+rwX", str(root)], check=False, capture_output=True)
            subprocess.run(["rm", "-rf", str(root)], check=True)


@contextmanager
def unprivileged(*given: Path) -> Iterator[None]:
    """Without the rights of root; the directories `given` are this poorer user's own."""
    if os.geteuid() != 0:
        yield
        return
    for path in given:
        shutil.chown(path, NOBODY, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
