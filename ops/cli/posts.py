"""What every long-lived command does first: bear a name on its host, and hold the post of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import typer

from common import notify, presence, process
from common.errors import Denied, Refused
from common.presence import Presence, Signs
from common.settings import Settings
from ops.cli import terminal
from ops.doctor import installed

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
Name = Annotated[str, typer.Option("-n", "--name", metavar="NAME", help="Its name on this host.")]


def named(role: str, name: str) -> None:
    """Refused unless a post can be named so."""
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is no name for a {role}", hint="use letters, digits, - _ and .")


def attend(known: Settings, role: str, node: str) -> Presence | None:
    """Hold the post for life. Where the home cannot be used nobody watches, and we work all the
    same."""
    try:
        return presence.take(known.home, role, node, version=process.build(installed("convoy")))
    except Denied as error:
        terminal.say(f"convoy: nobody will watch this {role}: {error}")
        return None


def signing(known: Settings, role: str, node: str, *, slow: int = 1) -> Callable[[], None]:
    """To be called several times in each lease (or each `slow` of them): says to host and systemd
    that we live."""
    signs = Signs(known.home, role, node)

    def sign() -> None:
        signs.give(patience=known.lease * slow)
        notify.tell(notify.ALIVE)

    return sign
