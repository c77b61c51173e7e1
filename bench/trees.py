"""Makes users' trees to move: the same for the same numbers, sizes spread as real ones are."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

PER_DIRECTORY = 50
LONG_AGO = 1_600_000_000  # a fixed age: the trees are the same at every making


@dataclass(frozen=True, slots=True)
class Forest:
    """Users with a number of files each, of about `size` bytes."""

    users: int
    files: int  # per user
    size: int
    even: bool = False  # every file exactly `size`

    @property
    def items(self) -> int:
        return self.users * self.files

    def names(self) -> list[str]:
        """The users."""
        return [f"u{number:04}" for number in range(self.users)]

    def plant(self, root: Path) -> int:
        """Make it under `root`; how many bytes."""
        drawn = random.Random(f"{self.users} {self.files} {self.size}")
        pool = drawn.randbytes(1 << 20)
        total = 0
        for user in self.names():
            for number in range(self.files):
                path = root / user / f"d{number // PER_DIRECTORY:03}" / f"file {number:05}.dat"
                if number % PER_DIRECTORY == 0:
                    path.parent.mkdir(parents=True)
                total += _write(path, self._size(drawn), pool, drawn)
        return total

    def _size(self, drawn: random.Random) -> int:
        if self.even:
            return self.size
        # lognormal: most are small, a few are large; the mean is `size`
        return int(min(drawn.lognormvariate(0, 1) / 1.6487 * self.size, self.size * 20))


def _write(path: Path, size: int, pool: bytes, drawn: random.Random) -> int:
    left = size
    with path.open("wb") as out:
        out.write(drawn.randbytes(min(left, 16)))  # no two files are alike
        left -= min(left, 16)
        while left > 0:
            start = drawn.randrange(len(pool) // 2)
            left -= out.write(pool[start : start + min(left, len(pool) // 2)])
    os.utime(path, (LONG_AGO, LONG_AGO + drawn.randrange(10**7)))
    return size


def warmed(root: Path) -> None:
    """Read everything once, so that nobody pays for the first look."""
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
