"""Makes users whose trees look like those of real people, odd names and all; the same each time.

Writes below the folder it is given, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

USERS = 300
BEGAN = 1_500_000_000_000_000_000  # ns; modification times lie in the five years after
YEARS = 5 * 365 * 86_400 * 1_000_000_000
FIRST = ("ada", "ben", "chen", "dora", "emil", "fatima", "goran", "hana", "ines", "juri", "kofi")
LAST = ("berg", "diaz", "fox", "grau", "hahn", "ito", "kaya", "lund", "moreau", "novak", "okafor")
ODD_USERS = ("#hash", "müller", "o'neill", "two words", "田中", "-rf", "x", "UPPER", "100%")
FOLDERS = (
    "Documents",
    "Documents/taxes",
    "Mail",
    "Pictures",
    "Pictures/2019 summer",
    "src",
    ".ssh",
)
STEMS = ("notes", "report", "IMG", "draft", "invoice", "letter", "todo", "backup", "data", "x")
ENDINGS = (".txt", ".jpg", ".pdf", ".md", ".json", "", ".tar.gz", ".doc")
ODD_NAMES = (
    b"new\nline",
    b"caf\xe9 in latin-1",
    b" leading and trailing ",
    "smile \N{GRINNING FACE}".encode(),
    b"-option",
    b"*?[glob]",
    b"quote'\"`$(true)",
    b"n" * 255,
)


@dataclass(slots=True)
class Planted:
    """What was made."""

    users: list[str]
    files: int = 0  # names of files, hard links among them
    links: int = 0
    folders: int = 0
    bytes: int = 0

    @property
    def items(self) -> int:
        return self.files + self.links


def names(rng: Random) -> list[str]:
    """The users' IDs."""
    plain = [f"{first}.{last}" for first in FIRST for last in LAST]
    plain += [f"s{number:05d}" for number in range(USERS)]
    chosen = [*ODD_USERS, *plain][:USERS]
    rng.shuffle(chosen)
    return chosen


def plant(root: str, *, seed: int = 1) -> Planted:
    """Make all users below `root`."""
    rng = Random(seed)
    made = Planted(names(rng))
    for number, user in enumerate(made.users):
        home = os.path.join(os.fsencode(root), user.encode())
        gardener = Gardener(home, rng, made)
        gardener.grow(files=400 if number == 7 else rng.randint(4, 14))
        if number % 5 == 0:
            gardener.oddities()
        if number % 100 == 0:
            gardener.bulky()
        gardener.date()
    return made


@dataclass(slots=True)
class Gardener:
    """Grows one user's tree."""

    home: bytes
    rng: Random
    made: Planted

    def grow(self, files: int) -> None:
        """Ordinary folders and files, a few links among them."""
        folders = [b"", *(f.encode() for f in self.rng.sample(FOLDERS, 3))]
        for folder in folders:
            os.makedirs(self._at(folder), exist_ok=True)
        for number in range(files):
            stem, ending = self.rng.choice(STEMS), self.rng.choice(ENDINGS)
            name = os.path.join(self.rng.choice(folders), f"{stem}-{number}{ending}".encode())
            size = int(self.rng.paretovariate(0.9) * 300)
            self.write(name, self.rng.randbytes(min(size, 200_000)))
            if number % 9 == 4:
                self._link(os.path.basename(name), name + b".link")
        self._chmod()

    def oddities(self) -> None:
        """One of everything that is easily lost or mistaken."""
        os.makedirs(self._at(b"odd/empty/even deeper"))
        for name in ODD_NAMES:
            self.write(b"odd/" + name, name)
        self.write(b"odd/nothing", b"")
        self.write(b"odd/one", b"one file, three names\n")
        for other in (b"odd/two", b"three"):
            os.link(self._at(b"odd/one"), self._at(other))
            self.made.files += 1
            self.made.bytes += len(b"one file, three names\n")
        self._link(b"/nowhere/at all", b"odd/dangling")
        self._link(b"../../../etc/passwd", b"odd/points outside")
        os.chmod(self._at(b"odd/one"), 0o440)
        os.chmod(self._at(b"odd/empty"), 0o555)

    def bulky(self) -> None:
        """A large file, and one that is mostly hole."""
        self.write(b"film.mkv", self.rng.randbytes(1 << 20) * 4)
        self.write(b"disk.img", b"boot")
        with open(self._at(b"disk.img"), "r+b") as image:
            image.truncate(16 << 20)
            image.seek(12 << 20)
            image.write(b"data in the middle of nowhere")
        self.made.bytes += (16 << 20) - 4

    def write(self, name: bytes, data: bytes) -> None:
        """A file."""
        with open(self._at(name), "wb") as out:
            out.write(data)
        self.made.files += 1
        self.made.bytes += len(data)

    def date(self) -> None:
        """Give everything a time of its own, what is in a folder before the folder."""
        for folder, below, files in os.walk(self.home, topdown=False):
            self.made.folders += 1
            for name in sorted([*files, *below, b"."]):
                at = BEGAN + self.rng.randrange(YEARS)
                os.utime(os.path.join(folder, name), ns=(at, at), follow_symlinks=False)

    def _link(self, to: bytes, name: bytes) -> None:
        os.symlink(to, self._at(name))
        self.made.links += 1

    def _chmod(self) -> None:
        for name in sorted(os.listdir(self.home))[:2]:
            path = self._at(name)
            if os.path.isfile(path) and not os.path.islink(path):
                os.chmod(path, self.rng.choice((0o600, 0o640, 0o755, 0o444)))

    def _at(self, name: bytes) -> bytes:
        return os.path.join(self.home, name)


def files_of(root: str, user: str) -> Iterator[bytes]:
    """The paths of a user's ordinary files with something in them, in order."""
    for folder, below, files in os.walk(os.path.join(os.fsencode(root), user.encode())):
        below.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            if not os.path.islink(path) and found.st_nlink == 1 and found.st_size > 100:
                yield path
