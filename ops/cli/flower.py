"""The command that shows the consumers and their units in a browser, by Flower."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from common.errors import Missing
from ops import flower as ours
from ops.cli import terminal
from ops.cli.serve import serving
from ops.local import environment

Address = Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")]
Port = Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="And on which port.")]
Control = Annotated[
    bool, typer.Option("--control", metavar="", help="Let it shut consumers down, too.")
]


def flower(address: Address = "127.0.0.1", port: Port = 5555, control: Control = False) -> None:
    """Show consumers and units in a browser. Becomes Flower, on our broker, with a password.

    The password is CONVOY_FLOWER_AUTH (user:password), or that of the file flower.auth in the
    home, which is made if there is none.
    """
    if find_spec("flower") is None:
        raise Missing("Flower is not installed", hint="pip install 'convoy[fleet]'")
    known = serving()
    env = ours.environment(
        known.home, environment(known), address=address, port=port, control=control
    )
    if not ours.local(address) and not env.get("FLOWER_CERTFILE"):
        terminal.say("passwords travel in clear; set FLOWER_CERTFILE and FLOWER_KEYFILE", "yellow")
    user = env["FLOWER_BASIC_AUTH"].partition(":")[0]
    where = ours.VARIABLE if os.environ.get(ours.VARIABLE) else str(known.home / ours.FILE)
    terminal.say(f"Flower: http://{address}:{port}, as {user}; the password is in {where}")
    os.chdir("/")  # it would run a flowerconfig.py that lies where it stands
    os.execve(sys.executable, ours.argv(), env)
