"""The command that serves the control centre, and those that say who may come in."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from common import notify
from common.errors import Missing, Refused
from common.settings import Settings
from common.telemetry import logs
from ops.centre.place import LISTEN, Place, place
from ops.centre.users import FILE, Role, Users
from ops.cli import posts, show, terminal
from ops.cli.options import Json, settings
from ops.desk import addressed

ROLE = "centre"
app = typer.Typer(
    help="Serve the control centre: an API and a page, for people with roles.",
    invoke_without_command=True,
    epilog="Example: `convoy serve --listen 127.0.0.1:8480`",
)
user = typer.Typer(no_args_is_help=True, help="Who may come in, and what they may do.")
app.add_typer(user, name="user")

Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help=f"Where it is heard; {LISTEN} unless set.")
]
Cert = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM).")
]
Key = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM, 0600).")]
File = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help=f"Who may come in; {FILE} in the home."),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure", metavar="", help="Listen beyond this machine without TLS, all the same."
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, . _ -")]
Stdin = Annotated[
    bool,
    typer.Option("--password-stdin", metavar="", help="Read the password from standard input."),
]
Token = Annotated[
    bool, typer.Option("--token", metavar="", help="Draw a token for a program, instead.")
]


@app.callback()
def serve(
    context: typer.Context,
    listen: Listen = "",
    tls_cert: Cert = None,
    tls_key: Key = None,
    users: File = None,
    insecure: Insecure = False,
    name: posts.Name = "s01",
) -> None:
    """Serve the control centre until told to end. Heard on this machine only, unless told.

    Beyond this machine it wants TLS. Users are added with `convoy serve user add`.
    """
    if context.invoked_subcommand:
        return
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise Missing("FastAPI is not installed", hint="pip install 'convoy[centre]'")
    known = _chosen(settings(), users)
    where = place(
        listen or known.centre_listen or LISTEN,
        cert=tls_cert or known.centre_tls_cert,
        key=tls_key or known.centre_tls_key,
        insecure=insecure,
    )
    addressed(known)  # Refused now, not at the first look
    logs.configure()
    posts.named(ROLE, name)
    _serve(known, where, name)


@user.command("add", epilog="Example: `convoy serve user add ann --role operator`")
def add(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="What they may do.")],
    users: File = None,
    password_stdin: Stdin = False,
    token: Token = False,
) -> None:
    """Let somebody in, with a password that is asked for, or with a token that is shown once."""
    known = _users(users)
    drawn = known.add(name, role, password="" if token else _password(password_stdin), token=token)
    terminal.say(f"{name} may come in as {role.value}, by {known.path}")
    if drawn:
        terminal.tell(drawn)


@user.command("list", epilog="Example: `convoy serve user list --json`")
def list_(users: File = None, as_json: Json = False) -> None:
    """Who may come in, and as what."""
    known = _users(users)
    found = [{"user": each.name, "role": each.role.value} for each in known.everyone()]
    shown = show.pairs([(each["user"], each["role"]) for each in found])
    terminal.result(found, shown, as_json=as_json)


@user.command("remove", epilog="Example: `convoy serve user remove ann`")
def remove(name: Name, users: File = None) -> None:
    """Let somebody in no more. Their sessions end at once."""
    known = _users(users)
    known.remove(name)
    terminal.say(f"{name} may not come in any more, by {known.path}")


def _serve(known: Settings, where: Place, name: str) -> None:
    from ops.centre import server
    from ops.centre.centre import Centre

    centre = Centre(known, tls=where.tls)
    centre.users.everyone()  # Missing or Denied now, not at the first log-in
    node = f"{name}@{known.node}"
    posts.attend(known, ROLE, node)

    def ready(url: str) -> None:
        if not where.tls:
            terminal.say("without TLS: for this machine, or behind a proxy that has it", "yellow")
        terminal.say(f"control centre: {url}")
        notify.tell(notify.READY)

    server.serve(centre, where, ready=ready, sign=posts.signing(known, ROLE, node))


def _chosen(known: Settings, users: Path | None) -> Settings:
    return known.model_copy(update={"centre_users": users}) if users else known


def _users(path: Path | None) -> Users:
    known = settings()
    return Users(path or known.centre_users or known.home / FILE)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask for a password", hint="--password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
