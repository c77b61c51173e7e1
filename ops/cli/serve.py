"""Commands that do the work: up, producer, consumer. They run until they are told to end."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import typer

from common.clock import Clock
from common.errors import Refused
from common.presence import Signs
from common.settings import Settings
from common.telemetry import logs
from ops.cli import exits, posts, show, terminal
from ops.cli.options import Consumers, Json, settings
from ops.cli.posts import Name
from ops.desk import Desk, addressed, desk
from ops.local import Local, consumer_argv, environment
from ops.watching import Watcher
from producer import boot

GLANCE = 0.1  # seconds between two looks after the members
SLOW = 3  # leases; one look of a producer may wait that long for store and broker


def up(consumers: Consumers = 0, as_json: Json = False) -> None:
    """Run the whole fleet of this machine in the foreground, until Ctrl-C.

    Other commands find it by the home (CONVOY_HOME) and hand their migrations to it. With
    addresses set it runs a producer and consumers of that fleet.
    """
    known = settings()
    try:
        with Local(known, consumers=consumers) as local, desk(local.settings) as here:
            members = {post.name: post.child.pid for post in local.posts}
            found = {"home": str(known.home), "pid": os.getpid(), "members": members}
            text = f"{', '.join(members)} in {known.home}; Ctrl-C ends them"
            terminal.result(found, show.pairs([("running", text)]), as_json=as_json)
            _follow(local, here)
    except KeyboardInterrupt:
        terminal.say("ended; nothing is left running")
        raise typer.Exit(exits.INTERRUPTED) from None


def producer(name: Name = "p01") -> None:
    """Run a producer: it plans nothing itself, it hands out units and judges leases."""
    posts.named("producer", name)
    known = serving()
    node = f"{name}@{known.node}"
    logs.configure()
    posts.attend(known, "producer", node)
    ours, signs = boot.producer(known), Signs(known.home, "producer", node)
    ours.sign = lambda: signs.give(patience=known.lease * SLOW)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: ours.stop.set())
    ours.run()


def consumer(name: Name = "c01") -> None:
    """Run a consumer: it takes one unit at a time. Becomes a Celery worker."""
    posts.named("consumer", name)
    known = serving()
    node = f"{name}@{known.node}"
    env = environment(known)
    if present := posts.attend(known, "consumer", node):
        present.hand_on(env)
    os.chdir("/")  # Celery looks for modules where it stands; ours are installed
    os.execve(sys.executable, consumer_argv(name, known.node), env)


def serving() -> Settings:
    """The settings of somebody who serves a fleet; Refused if there is none to serve."""
    known = addressed(settings())
    if known.broker_url is None:
        raise Refused(
            "there are no addresses, and nothing runs in this home",
            hint="set CONVOY_BROKER_URL and CONVOY_STATE_URL, or run `convoy up`",
        )
    return known


def _follow(local: Local, here: Desk) -> NoReturn:
    """Look after the members, and show what moves."""
    clock, watchers, said = Clock(), dict[str, Watcher](), dict[str, str]()
    with terminal.progress() as display:
        while True:
            local.tend()
            active = {migration.id for migration in here.migrations.active()}
            said = {id: text for id, text in said.items() if id in active}
            for id in sorted(active):
                watcher = watchers.setdefault(id, Watcher(here, id))
                if watcher.due:
                    seen = watcher.look()
                    said[id] = f"{id}: {show.progress(seen)}; {show.outlook(seen)}"
            display.note("\n".join(said.values()) or "nothing to do")
            clock.sleep(GLANCE)
