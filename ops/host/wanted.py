"""What a host is to run: one small file per role in the home, replaced as a whole.

Only people change it (`convoy host`, `fab start`); watchdogs obey it. A role without a file has
never been spoken of: it is neither started nor ended. A file that cannot be read is no order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from common.errors import Corrupt, Refused
from ops.host.files import replace
from ops.host.roles import ROLES, Role, role

MOST = 999  # posts of one role on one host


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many posts of a role are to be manned, and whether they are now."""

    role: str
    count: int
    on: bool
    by: str = ""
    at: float = 0.0

    def posts(self) -> list[str]:
        """The names of the posts that are to be manned now."""
        kind = role(self.role)
        return [kind.post(number + 1) for number in range(self.count)] if self.on else []


def read(home: Path, kind: Role) -> Wanted | None:
    """What is wanted of a role; None if nobody ever said."""
    path = _path(home, kind)
    try:
        found = json.loads(path.read_bytes())
        return Wanted(kind.name, int(found["count"]), bool(found["on"]), found["by"], found["at"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Corrupt(
            f"{path} cannot be read: {error}",
            hint=f"say again what is wanted: `convoy host start --role {kind.name}`",
        ) from error


def write(home: Path, wanted: Wanted) -> None:
    """Say what is wanted from now on."""
    if not 0 <= wanted.count <= MOST:
        raise Refused(f"{wanted.count} posts of one role", hint=f"from 0 to {MOST}")
    path = _path(home, role(wanted.role))
    replace(path, json.dumps(asdict(wanted)) + "\n")


def everything(home: Path) -> Iterator[tuple[Role, Wanted | None]]:
    """All roles with what is wanted of them."""
    for kind in ROLES.values():
        yield kind, read(home, kind)


def _path(home: Path, kind: Role) -> Path:
    return home / "wanted" / f"{kind.name}.json"
