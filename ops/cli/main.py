"""`convoy`: all commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from common.errors import ConvoyError
from ops.cli import (
    act,
    alarms,
    audit,
    buckets,
    centre,
    demo,
    exits,
    exporter,
    flower,
    gateway,
    host,
    look,
    migrate,
    serve,
    terminal,
    watchdog,
)
from ops.cli import doctor as health
from ops.doctor import installed

DEBUG = "--debug"


class Commands(TyperGroup):
    """All commands; the list begins with what the program is for. None ends without a word."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "migrate")

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # before a command began what it has a word of its own for
            terminal.say("interrupted; the same command goes on")
            raise typer.Exit(exits.INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    help="Move live data with a fleet: correct when things die, and honest about what arrived.",
    epilog=exits.MEANING,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
MOVE, LOOK, ACT, RUN = "Move and prove", "Look", "Act on a migration", "Run"
kinds = typer.Typer(no_args_is_help=True, help="Move something, and prove that it arrived.")
app.add_typer(kinds, name="migrate", rich_help_panel=MOVE)

app.add_typer(host.app, name="host", rich_help_panel=RUN)
app.add_typer(buckets.tenants, name="tenant", rich_help_panel=MOVE)
app.add_typer(buckets.buckets, name="bucket", rich_help_panel=MOVE)
app.add_typer(centre.app, name="serve", rich_help_panel=RUN)

ID = "users-3f2a91c0de"
kinds.command(
    "users",
    epilog="Example: `convoy migrate users --source /srv/old --target /srv/new --users ids.txt`",
)(migrate.users)
kinds.command("bucket", epilog="Example: `convoy migrate bucket acme/photos --dry-run`")(
    buckets.migrate
)
for panel, name, command, example in (
    (MOVE, "verify", migrate.verify, f"convoy verify {ID}"),
    (MOVE, "demo", demo.demo, "convoy demo"),
    (MOVE, "probe", buckets.probe, "convoy probe s3://bucket?endpoint=http://host:port"),
    (LOOK, "list", look.list_, "convoy list --json"),
    (LOOK, "show", look.show_, f"convoy show {ID} --units --state quarantined"),
    (LOOK, "watch", migrate.watch, f"convoy watch {ID}"),
    (LOOK, "report", look.report, f"convoy report {ID} --json"),
    (LOOK, "failures", look.failures, f"convoy failures {ID}"),
    (LOOK, "audit", audit.audit, "convoy audit --json"),
    (LOOK, "doctor", health.doctor, "convoy doctor"),
    (ACT, "pause", act.pause, f"convoy pause {ID}"),
    (ACT, "resume", act.resume, f"convoy resume {ID}"),
    (ACT, "drain", act.drain, f"convoy drain {ID}"),
    (ACT, "cancel", act.cancel, f"convoy cancel {ID} --why 'wrong bucket'"),
    (ACT, "requeue", act.requeue, f"convoy requeue {ID} alice"),
    (ACT, "limits", act.limits_, f"convoy limits {ID} --bandwidth 200MiB/s --requests 500/s"),
    (RUN, "up", serve.up, "convoy up --consumers 4"),
    (RUN, "producer", serve.producer, "convoy producer"),
    (RUN, "consumer", serve.consumer, "convoy consumer -n c01"),
    (RUN, "gateway", gateway.gateway, "convoy gateway --listen 127.0.0.1:9600"),
    (RUN, "watchdog", watchdog.watchdog, "convoy watchdog --once"),
    (RUN, "flower", flower.flower, "convoy flower --port 5555"),
    (RUN, "exporter", exporter.exporter, "convoy exporter --listen 127.0.0.1:9464"),
    (RUN, "alarms", alarms.alarms, "convoy alarms --once"),
):
    app.command(name, epilog=f"Example: `{example}`", rich_help_panel=panel)(command)


def _version(wanted: bool) -> None:
    if wanted:
        terminal.out().print(f"convoy {installed('convoy')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_version, is_eager=True, help="Show the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, metavar="", help="Show where an error arose.")
    ] = False,
) -> None:
    """Options of all commands; `--debug` is taken out before, so that it may stand anywhere."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; ends the process with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = DEBUG in words
    try:
        app([word for word in words if word != DEBUG], prog_name="convoy")
    except ConvoyError as error:
        _explain(error, debug=debug)
        sys.exit(exits.code_of(error))
    except BrokenPipeError:  # whoever read our output has gone, as in `convoy list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(exits.INCOMPLETE)
    except Exception as error:  # noqa: BLE001 (a fault of ours: one line, and where to look)
        terminal.say(f"convoy: a fault of its own: {type(error).__name__}: {error}", "bold red")
        terminal.say("  run it again with --debug to see where, and report it")
        if debug:
            traceback.print_exc()
        sys.exit(exits.FAULT)


def _explain(error: ConvoyError, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    terminal.say(f"convoy: {error}", "bold red")
    if error.hint:
        terminal.say(f"  {error.hint}")
