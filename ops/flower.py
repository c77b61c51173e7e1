"""Flower on our broker, as it is to be run: with a password, read-only, and bounded in memory.

Everything is said in the environment: a command line can be read by everybody on the machine.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from common.errors import Denied, Refused
from ops.host.files import replace

VARIABLE = "CONVOY_FLOWER_AUTH"  # user:password
FILE = "flower.auth"  # the same, in the home
USER = "convoy"
MOST_UNITS = 10_000  # kept in memory; the store knows all
FORGET = 24 * 3600  # seconds after which a consumer that is gone is no longer shown


def argv() -> list[str]:
    """The command: a plain Celery one."""
    return [sys.executable, "-P", "-m", "celery", "-A", "consumer.app", "flower"]


def environment(
    home: Path, environ: Mapping[str, str], *, address: str, port: int, control: bool
) -> dict[str, str]:
    """What Flower must find; whatever `environ` says of Flower beside this stays as it is."""
    ours = {
        "FLOWER_BASIC_AUTH": credentials(home, environ),
        "FLOWER_ADDRESS": address,
        "FLOWER_PORT": str(port),
        "FLOWER_READ_ONLY": str(not control),
        "FLOWER_PERSISTENT": "False",
    }
    usual = {
        "FLOWER_MAX_TASKS": str(MOST_UNITS),
        "FLOWER_PURGE_OFFLINE_WORKERS": str(FORGET),
        "FLOWER_TASKS_COLUMNS": "uuid,state,args,result,received,runtime,worker",
    }
    kept = {k: v for k, v in environ.items() if k not in (VARIABLE, "FLOWER_UNAUTHENTICATED_API")}
    return usual | kept | ours


def credentials(home: Path, environ: Mapping[str, str]) -> str:
    """user:password, from the environment or the file; drawn and kept there if nobody chose."""
    path = home / FILE
    found, where = environ.get(VARIABLE, ""), VARIABLE
    if not found:
        found, where = _kept(path), str(path)
    name, _, password = found.partition(":")
    if not name or not password or "," in found or not found.isprintable():
        raise Refused(f"{where} is not user:password", hint="no commas; one line")
    return found


def _kept(path: Path) -> str:
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except FileNotFoundError:
        text = f"{USER}:{secrets.token_urlsafe(24)}"
        replace(path, text + "\n")
        return text
    except OSError as error:
        raise Denied(f"{path} cannot be read: {error}", hint="let its owner read it") from error
    if mode & 0o077:
        raise Denied(f"{path} may be read by others", hint=f"chmod 600 {path}")
    return text


def local(address: str) -> bool:
    """Is it heard on this machine only?"""
    return address in ("localhost", "::1") or address.startswith("127.")
