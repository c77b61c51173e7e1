"""The environment of everything that a host runs: the file `env` in the home, and nothing else.

So what cron starts, what systemd starts and what a person starts is the same. The file holds the
addresses with their passwords: one that others may read is refused. Lines are NAME=VALUE, `#`
begins a comment, there is no quoting but one pair of quotes around a value; systemd reads it too.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from common.errors import Denied, Missing, Refused
from common.settings import Settings
from ops.host.files import replace
from ops.local import ROOT

FILE = "env"
PREFIX = "CONVOY_"
OWN = ("CONVOY_HOME", "CONVOY_PRESENCE")  # of the host and of the process, never of the file
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
NOTHING = "="  # no variable's name begins so
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def load(home: Path) -> dict[str, str]:
    """The whole environment of a post of this home."""
    found = parse(_private(home / FILE), str(home / FILE))
    for name in OWN:
        found.pop(name, None)
    return _ground() | found | {"CONVOY_HOME": str(home.absolute())}


def settings(home: Path) -> Settings:
    """The settings that the posts of this home have, whatever our own environment says."""
    found = {k: v for k, v in load(home).items() if k.startswith(PREFIX)}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in found.items()}
    return Settings(_env_prefix=NOTHING, **fields)


def keep(home: Path, environ: Mapping[str, str]) -> bool:
    """Write down our own settings if the home has none yet; did we?"""
    found = {k: v for k, v in environ.items() if k.startswith(PREFIX) and k not in OWN}
    if (home / FILE).exists() or not {"CONVOY_BROKER_URL", "CONVOY_STATE_URL"} <= found.keys():
        return False
    write(home, "".join(f"{name}={value}\n" for name, value in sorted(found.items())))
    return True


def write(home: Path, text: str) -> None:
    """Put a new file there; Refused if it cannot be read back."""
    parse(text, FILE)
    replace(home / FILE, text)


def parse(text: str, what: str) -> dict[str, str]:
    """The variables of a file; Refused, naming the line, if one is no such thing."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (bare := line.strip()) or bare.startswith("#"):
            continue
        match = _LINE.fullmatch(bare)
        if match is None or "\0" in bare:  # the line itself may hold a password
            raise Refused(f"{what}: line {number} is not NAME=VALUE", hint="mend that line")
        found[match[1]] = _bare(match[2])
    return found


def _bare(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _private(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except FileNotFoundError:
        raise Missing(
            f"{path} is not there: nothing says where broker and store are",
            hint="`fab deploy --settings FILE`, or `convoy host start` with the CONVOY_ variables",
        ) from None
    except (OSError, ValueError) as error:
        raise Denied(f"{path} cannot be read: {error}", hint="let its owner read it") from error
    if mode & 0o077:
        raise Denied(
            f"{path} may be read by others (mode {mode & 0o777:o}), and it holds passwords",
            hint=f"chmod 600 {path}",
        )
    return text


def _ground() -> dict[str, str]:
    """What every program may expect, and a checkout's own code if we are one."""
    found = {"PATH": PATHS, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    try:
        person = pwd.getpwuid(os.getuid())
        found |= {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name}
    except KeyError:  # no such user in the password file
        found |= {"HOME": "/"}
    if (ROOT / "pyproject.toml").exists():
        found["PYTHONPATH"] = str(ROOT)
    return found
