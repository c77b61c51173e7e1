"""What is shipped to hosts: the wheel, built once, its dependencies if asked, and the settings.

A version is named by its number and by what is in it, so that the same wheel is never shipped,
built or installed twice, and two different ones are never taken for each other.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from common.errors import Denied, Missing, Permanent, Refused
from ops.fleet import arrive
from ops.fleet.line import digest
from ops.host import environment
from ops.local import ROOT

PROGRAM = Path(arrive.__file__)
_EXTRA = re.compile(r""";\s*extra == ['"]([\w-]+)['"]""")
WHEELS = "wheels"  # the folder of shipped dependencies beside the order


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that goes to every host. `settings` may differ by a host's name only."""

    wheel: Path
    wheelhouse: tuple[Path, ...] = ()
    environment: str = ""  # on the hosts: one that has the dependencies already
    settings: str = ""
    extras: tuple[str, ...] = ()  # of the wheel: for roles that need more than a consumer
    _digests: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in (self.wheel, *self.wheelhouse, PROGRAM):
            self._digests[path] = digest(path)

    @property
    def version(self) -> str:
        """The name of the version on the hosts."""
        number = self.wheel.name.split("-")[1]
        return f"{number}-{self._digests[self.wheel][:8]}"

    @property
    def layer(self) -> str:
        """The name of the set of dependencies."""
        wheels = sorted(self._digests[path] for path in self.wheelhouse)
        return hashlib.sha256(json.dumps([self.requires, wheels]).encode()).hexdigest()[:12]

    @property
    def requires(self) -> list[str]:
        """What the wheel needs, as it says itself."""
        with zipfile.ZipFile(self.wheel) as archive:
            [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
            said = email.message_from_bytes(archive.read(name))
        if unknown := set(self.extras) - set(known := said.get_all("Provides-Extra") or []):
            raise Refused(
                f"the wheel has no extra {', '.join(sorted(unknown))}",
                hint=f"it has: {', '.join(sorted(known))}",
            )
        return sorted(filter(None, map(self._needed, said.get_all("Requires-Dist") or [])))

    def _needed(self, line: str) -> str:
        """A line of what the wheel needs; "" if only an extra that was not asked for does."""
        if (found := _EXTRA.search(line)) is None:
            return line
        return line[: found.start()].strip() if found[1] in self.extras else ""

    @property
    def folder(self) -> str:
        """Where it is put on a host, below the home."""
        return f"incoming/{self.version}-{self.layer}"

    def files(self) -> Iterator[tuple[Path, str]]:
        """Every file, and its name in the folder."""
        yield PROGRAM, PROGRAM.name
        yield self.wheel, self.wheel.name
        for path in self.wheelhouse:
            yield path, f"{WHEELS}/{path.name}"

    @property
    def bytes(self) -> int:
        """How much that is."""
        return sum(path.stat().st_size for path, _ in self.files())

    def order(self, *, env: str) -> str:
        """What the host is to do with it; `env` is the name of the settings shipped, if any."""
        found = {
            "version": self.version,
            "wheel": self.wheel.name,
            "files": {name: self._digests[path] for path, name in self.files()},
            "layer": self.layer,
            "requires": self.requires,
            "wheelhouse": WHEELS if self.wheelhouse else "",
            "environment": self.environment,
            "env": env,
        }
        return json.dumps(found)

    def env(self, host: str) -> str:
        """The settings of one host."""
        return self.settings.replace("{host}", host)


@contextmanager
def bundle(
    *,
    wheel: str = "",
    wheelhouse: str = "",
    environment_: str = "",
    settings: str = "",
    extras: str = "",
) -> Iterator[Bundle]:
    """The bundle, the wheel built from this checkout unless one is given."""
    with TemporaryDirectory(prefix="convoy-wheel-") as scratch:
        path = Path(wheel) if wheel else build(Path(scratch))
        if not path.name.endswith(".whl") or not path.exists():
            raise Missing(f"{path} is no wheel", hint="give one, or run this in a checkout")
        wanted = tuple(filter(None, map(str.strip, extras.split(","))))
        yield Bundle(path, _house(wheelhouse), environment_, _settings(settings), wanted)


def build(into: Path) -> Path:
    """Build the wheel of this checkout."""
    if not (ROOT / "pyproject.toml").exists():
        raise Missing("this is no checkout", hint="give the wheel: --wheel FILE")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Permanent(
            f"the wheel could not be built: {done.stderr.strip()[-500:]}",
            hint="pip install 'convoy[fleet]', or give a wheel: --wheel FILE",
        )
    [built] = into.glob("*.whl")
    return built


def _house(folder: str) -> tuple[Path, ...]:
    if not folder:
        return ()
    found = tuple(sorted(Path(folder).glob("*.whl")))
    if not found:
        raise Missing(f"{folder} holds no wheels", hint="pip download -d FOLDER convoy-*.whl")
    return found


def _settings(file: str) -> str:
    """The text of a settings file: it holds passwords, and it must be readable on the host."""
    if not file:
        return ""
    path = Path(file)
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except OSError as error:
        raise Missing(f"{path} cannot be read: {error.strerror}", hint="check the name") from error
    if mode & 0o077:
        raise Denied(f"{path} may be read by others, and it holds passwords", hint="chmod 600 it")
    found = environment.parse(text, str(path))
    if wanting := {"CONVOY_BROKER_URL", "CONVOY_STATE_URL"} - found.keys():
        raise Refused(f"{path} does not set {', '.join(sorted(wanting))}", hint="add them")
    return text
