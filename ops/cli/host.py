"""Commands about this host: what it is to run, and what it runs. `fab` says them to many hosts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from common import quantities
from common.clock import Clock
from common.settings import Settings
from ops.cli import exits, show, terminal
from ops.cli.options import Json, settings
from ops.host import environment, status
from ops.host.orders import Orders
from ops.host.roles import ROLES, role
from ops.host.wanted import read
from ops.watchdog import Watchdog

app = typer.Typer(
    no_args_is_help=True, help="Say what this host is to run; its watchdog sees to it."
)
RoleName = Annotated[
    str, typer.Option("--role", metavar="ROLE", help=f"One of: {', '.join(ROLES)}.")
]
Count = Annotated[
    int | None,
    typer.Option("--count", min=0, metavar="N", help="How many; as many as before if not given."),
]
Now = Annotated[
    bool,
    typer.Option(
        "--now", metavar="", help="Give units back at their next item, instead of finishing them."
    ),
]
Wait = Annotated[str, typer.Option(metavar="SPAN", help="Wait so long for them to end.")]


@app.command(epilog="Example: `convoy host start --count 67`")
def start(role_: RoleName = "consumer", count: Count = None, as_json: Json = False) -> None:
    """Run them from now on; the first time with the CONVOY_ variables that are set here."""
    orders = _orders(role_)
    orders.start(count)
    _show(orders.dog, as_json=as_json)


@app.command(epilog="Example: `convoy host stop --wait 10m`")
def stop(
    role_: RoleName = "consumer", now: Now = False, wait: Wait = "10s", as_json: Json = False
) -> None:
    """Run none of them from now on. Each finishes the unit that it has in hand."""
    orders = _orders(role_)
    left = orders.stop(now=now, wait=quantities.span(wait))
    _still(left)
    _show(orders.dog, as_json=as_json)


@app.command(epilog="Example: `convoy host restart --wait 2m`")
def restart(
    role_: RoleName = "consumer", now: Now = False, wait: Wait = "1m", as_json: Json = False
) -> None:
    """End each when it has finished its unit, and start another of the current version."""
    orders = _orders(role_)
    left = orders.restart(now=now, wait=quantities.span(wait))
    _still(left)
    _show(orders.dog, as_json=as_json)


@app.command(epilog="Example: `convoy host scale --count 12`")
def scale(
    count: Annotated[int, typer.Option("--count", min=0, metavar="N", help="How many.")],
    role_: RoleName = "consumer",
    as_json: Json = False,
) -> None:
    """Another number of them; those that are too many finish their unit first."""
    orders = _orders(role_)
    orders.scale(count)
    _show(orders.dog, as_json=as_json)


@app.command("status", epilog="Example: `convoy host status --json`")
def status_(as_json: Json = False) -> None:
    """Show what this host is to run, and what it runs. Exit code 1 if they differ."""
    dog = _dog()
    found = status.look(dog.home, dog.settings, dog.clock)
    _show(dog, as_json=as_json, found=found)
    if any(r["wanted"] != r["alive"] or r["damaged"] for r in found["roles"].values()):
        raise typer.Exit(exits.INCOMPLETE)


@app.command(epilog="Example: `convoy host wants c01`", hidden=True)
def wants(
    name: Annotated[str, typer.Argument(metavar="NAME")], role_: RoleName = "consumer"
) -> None:
    """Is a post of this name to be manned now? Exit code 1 if not; systemd asks this."""
    wish = read(settings().home, role(role_))
    if wish is None or name not in wish.posts():
        raise typer.Exit(exits.INCOMPLETE)


def _orders(role_: str) -> Orders:
    kind = role(role_)
    home = settings().home.absolute()
    if environment.keep(home, os.environ):
        terminal.say(f"the settings of this terminal are kept in {home / environment.FILE}")
    return Orders(_dog(), kind)


def _dog() -> Watchdog:
    home = settings().home.absolute()
    return Watchdog(home, _settings(home), Clock())


def _settings(home: Path) -> Settings:
    """Those of the posts; who only looks or stops needs no addresses."""
    if (home / environment.FILE).exists():
        return environment.settings(home)
    return settings()


def _still(left: int) -> None:
    if left:
        terminal.say(f"{show.many(left, 'unit')} still in hand; they end when it is finished")


def _show(dog: Watchdog, *, as_json: bool, found: dict[str, Any] | None = None) -> None:
    found = found or status.look(dog.home, dog.settings, dog.clock)
    terminal.result(found, show.pairs(list(_rows(found))), as_json=as_json)


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("host", found["host"]), ("version", found["deployed"] or found["version"])]
    for name, each in found["roles"].items():
        if each["count"] or each["alive"] or each["damaged"]:
            said = f"{each['alive']} alive, {each['wanted']} wanted" + " (off)" * (not each["on"])
            rows.append((f"{name}s", said + f"; {each['damaged']}" * bool(each["damaged"])))
    for post in found["posts"]:
        rows.append((post["post"], _post(post)))
    watched = found["watchdog"]
    last = "never" if watched is None else f"{quantities.show_span(watched)} ago"
    return [*rows, ("watchdog", f"last round {last}")]


def _post(post: dict[str, Any]) -> str:
    if not post["alive"]:
        due = f", next try in {post['due']:.0f} s" if post["due"] else ""
        return f"dead{due}" + f"; {post['alarm']}" * bool(post["alarm"])
    said = [f"process {post['pid']}", post["unit"] or "idle"]
    if post["sign"] is not None:
        said.append(f"sign {quantities.show_span(post['sign'])} ago")
    said += [word for word in (post["hung"], post["ending"] and "ending") if word]
    return ", ".join(said)
