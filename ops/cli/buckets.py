"""Commands about tenants and their buckets, and the silent move of a bucket."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import Annotated, Any

import typer

from common.clock import Clock
from common.endpoints.s3 import probing
from common.endpoints.s3.account import Account
from common.endpoints.s3.client import client_for
from common.endpoints.s3.location import Location
from common.endpoints.wire import Origin, Timeouts
from common.errors import Refused
from common.lifecycle.buckets import BUCKETS, Phase
from common.settings import Settings
from common.store.base import Store
from common.store.connect import connect
from common.store.pages import Pages
from common.store.switches import Caller, Switch, Switches, Tenant
from common.telemetry import logs
from ops.cli import exits, show, terminal
from ops.cli.options import DryRun, Json, settings
from ops.desk import who
from ops.switching import Driver, Spans

PAUSE = 0.5  # seconds between two looks
tenants = typer.Typer(no_args_is_help=True, help="Tenants: two stores, and who may come.")
buckets = typer.Typer(no_args_is_help=True, help="Buckets behind the gateway, and their switches.")

Place = Annotated[str, typer.Argument(metavar="TENANT/BUCKET", help="The bucket.")]
Url = Annotated[str, typer.Argument(metavar="URL", help="s3://bucket?endpoint=...&profile=...")]
Spelled = Annotated[str, typer.Option(metavar="URL", help="The address of a store.")]
Profile = Annotated[
    str, typer.Option(metavar="NAME", help="The profile of the migration's own user there.")
]
Callers = Annotated[
    list[str],
    typer.Option(
        "--caller",
        metavar="PROFILE=OLD,NEW",
        help="A caller: the profile with the key that he signs with, and the profiles with his "
        "keys on the two stores. May be given several times.",
    ),
]
FenceCommand = Annotated[
    str,
    typer.Option(
        "--fence",
        metavar="COMMAND",
        help="Takes ({act} is shut) and gives back (lift) the callers' right to write to {bucket} "
        "on {side}.",
    ),
]


def state(known: Settings) -> Store:
    """The store of switches: the fleet's, or this machine's."""
    url = known.state() if known.state_url else f"sqlite:///{known.home.absolute()}/state.db"
    return connect(url, durable=True)


@tenants.command("add")
def add_tenant(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The tenant.")],
    old: Spelled,
    new: Spelled,
    old_profile: Profile,
    new_profile: Profile,
    fence: FenceCommand = "",
    caller: Callers = [],  # noqa: B006 (typer's way of saying: none)
) -> None:
    """Add a tenant, or callers to the one there is."""
    store = Switches(state(settings()))
    one, other = str(Origin.parse(old)), str(Origin.parse(new))
    store.add_tenant(Tenant(name, one, other, old_profile, new_profile, fence))
    for text in caller:
        profile, _, both = text.partition("=")
        old_keys, _, new_keys = both.partition(",")
        if not (profile and old_keys and new_keys):
            raise Refused(f"{text!r} names no caller", hint="write PROFILE=OLD,NEW")
        access = Account(Location("any", endpoint=one, profile=profile)).keys().access
        store.add_caller(Caller(access, name, profile, old_keys, new_keys))


@tenants.command("list")
def list_tenants(as_json: Json = False) -> None:
    """Tenants and how many callers each has."""
    store = Switches(state(settings()))
    callers = [caller.tenant for caller in store.callers()]
    found = [asdict(t) | {"callers": callers.count(t.id)} for t in store.tenants()]
    rows = [(t["id"], f"{t['old']} to {t['new']}, {t['callers']} callers") for t in found]
    terminal.result(found, show.pairs(rows), as_json=as_json)


@buckets.command("add")
def add_bucket(place: Place) -> None:
    """Serve a bucket through the gateway, from its old store."""
    tenant, name = _parted(place)
    store = Switches(state(settings()))
    store.add_bucket(name, store.tenant(tenant).id)


@buckets.command("list")
def list_buckets(as_json: Json = False) -> None:
    """Every bucket and its phase."""
    found = [_told(switch) for switch in Switches(state(settings())).all()]
    rows = [(b["id"], f"{b['tenant']}: {b['phase']} {b['why']}") for b in found]
    terminal.result(found, show.pairs(rows), as_json=as_json)


@buckets.command("show")
def show_bucket(place: Place, as_json: Json = False) -> None:
    """How far a bucket is, what it waits for, and its history."""
    store = state(settings())
    switch = _switch(Switches(store), place)
    history = Switches(store).history(switch.id)
    progress = asdict(Pages(store).progress(switch.id))
    failures = Pages(store).failures(switch.id)
    found = _told(switch) | {"progress": progress, "failures": failures, "history": history}
    rows = [(name, str(value)) for name, value in (_told(switch) | progress).items()]
    rows += failures
    rows += [(line["event"], f"by {line['by']} {line.get('why', '')}") for line in history]
    terminal.result(found, show.pairs(rows), as_json=as_json)


@buckets.command("rollback")
def roll_back(
    place: Place,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the record.")] = "",
) -> None:
    """Lead users back to the old store, with everything that they changed since."""
    store = state(settings())
    switch = _switch(Switches(store), place)
    _driver(store).roll_back(switch.id, why=why)
    _drive(store, switch.id, Phase.ROLLED_BACK)


def migrate(place: Place, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Move a bucket while its users go on, through the gateway.

    Goes on where it was left. It ends when the new store serves alone; the old bucket stays as it
    was. What cannot be moved safely is found and refused before anything begins.
    """
    store = state(settings())
    switch = _switch(Switches(store), place)
    by = _driver(store)
    if switch.phase is Phase.NORMAL:
        found = by.start(switch.id, dry=dry_run)
        findings = [asdict(finding) for finding in found.findings]
        told: dict[str, Any] = {"objects": found.objects, "bytes": found.bytes}
        rows = [(f["code"], f"{f['what']}; {f['advice']}") for f in findings]
        rows += [(name, str(value)) for name, value in told.items()]
        terminal.result(told | {"findings": findings}, show.pairs(rows), as_json=as_json)
        if findings:
            raise typer.Exit(exits.USAGE)
    if not dry_run:
        _drive(store, switch.id, Phase.DONE)


def probe(url: Url, as_json: Json = False) -> None:
    """Try out what a bucket's store really does, under names that are removed again."""
    location, prefix = Location.parse(url)
    traits = asdict(probing.probe(client_for(location, Timeouts.of(settings())), prefix))
    rows = [(name, "yes" if held else "no") for name, held in traits.items()]
    terminal.result(traits, show.pairs(rows), as_json=as_json)


def _drive(store: Store, bucket: str, end: Phase) -> None:
    """Look at it until it is there, or the person has seen enough."""
    logs.configure()
    over, said = threading.Event(), ""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: over.set())
    by = _driver(store)
    by.stop = over.is_set
    while not over.is_set():
        switch = by.look(bucket)
        text = f"{bucket}: {switch.phase}" + (f", waits: {switch.why}" if switch.why else "")
        if text != said:
            terminal.say(text)
            said = text
        if switch.phase is end and not switch.holding:
            return
        if switch.phase in BUCKETS.ends() and switch.phase is not end:
            raise Refused(f"{bucket} is {switch.phase}", hint="there is nothing left to drive")
        over.wait(PAUSE)
    terminal.say("interrupted; the bucket stays as it is, and users are served")
    raise typer.Exit(exits.INTERRUPTED)


def _driver(store: Store) -> Driver:
    known = settings()
    spans = Spans(
        lease=known.lease,
        quiet=known.bucket_quiet,
        tracking=known.bucket_tracking,
        hold=known.bucket_hold,
        settle=known.bucket_settle,
    )
    return Driver(store, spans, Timeouts.of(known), Clock(), by=who())


def _switch(switches: Switches, place: str) -> Switch:
    tenant, name = _parted(place)
    switch = switches.get(name)
    if switch.tenant != tenant:
        raise Refused(f"{name} is no bucket of {tenant}", hint="see `convoy bucket list`")
    return switch


def _parted(place: str) -> tuple[str, str]:
    tenant, _, name = place.partition("/")
    if not tenant or not name or "/" in name:
        raise Refused(f"{place!r} names no bucket", hint="write TENANT/BUCKET")
    return tenant, name


def _told(switch: Switch) -> dict[str, Any]:
    return asdict(switch) | {"phase": switch.phase.value}
