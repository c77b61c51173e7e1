"""The fleet of this machine: a private Redis, a producer and consumers, as our children.

They are started when the block begins, started again when they die (`tend`, called by whoever
waits), and gone when it ends, however it ends. One such fleet per home; whoever else needs it
shares it. Refuses to go on when a member does not stay up.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from pydantic import SecretStr

from common.clock import Clock
from common.errors import Conflict, ConvoyError, Permanent
from common.settings import Settings
from ops import embedded
from ops.desk import REDIS, Desk, addressed, desk, here, own
from ops.processes import Child, Family
from producer.registry import PLANNERS

ROOT = Path(__file__).parents[1]
LOG_MOST = 8 << 20  # bytes; a longer log is set aside when its member starts
SHORT = 2.0  # seconds; a member that lived no longer than this fell at once
FALLS = 6  # at once, in a row: then it will never stay up
PAUSE = 0.1  # seconds before the second start in a row, doubled each time
GIVE_BACK = 10.0  # seconds for a consumer that is to end to come to its next item
NUDGE = 0.2  # seconds between two looks whether it has
PRODUCER_RANK, CONSUMER_RANK = 1, 2  # consumers end first


@dataclass(slots=True)
class Post:
    """A place in the fleet that is always to be manned."""

    name: str
    argv: list[str]
    rank: int
    child: Child
    since: float
    falls: int = 0
    due: float | None = None  # when to start it again, if it is down


class Local:
    """The members and their care. `settings` carry the addresses."""

    def __init__(
        self, settings: Settings, *, consumers: int = 0, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.consumers = consumers or len(os.sched_getaffinity(0))
        self.posts: list[Post] = []
        self._clock = clock or Clock()
        self._redis: embedded.Redis | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Local:
        home = self.settings.home
        with ExitStack() as stack:
            with own(home):
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._logs.mkdir(mode=0o700, exist_ok=True)
                if self.settings.embedded:
                    self._redis = stack.enter_context(embedded.Redis(home / REDIS))
                    self.settings = here(self.settings, self._redis.url)
                    shutil.rmtree(home / "tmp", ignore_errors=True)  # whoever used it was killed
                (home / "tmp").mkdir(mode=0o700, exist_ok=True)
                self._scratch = stack.enter_context(TemporaryDirectory(dir=home / "tmp"))
            self._family = stack.enter_context(Family())
            self._man("producer", producer_argv(), PRODUCER_RANK)
            node = self.settings.node
            for number in range(1, self.consumers + 1):
                self._man(f"c{number:02}", consumer_argv(f"c{number:02}", node), CONSUMER_RANK)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._part()
        finally:
            self._stack.__exit__(kind, exc, tb)

    @property
    def _logs(self) -> Path:
        return self.settings.home / "log"

    def tend(self) -> None:
        """Start again who is dead. Permanent if somebody does not stay up."""
        if self._redis and not self._redis.alive:
            self._redis.restart()
        now = self._clock.tick()
        for post in self.posts:
            if post.due is None and not post.child.alive:
                self._mourn(post, now)
            if post.due is not None and now >= post.due:
                self._family.forget(post.child)
                post.child, post.since, post.due = (
                    self._start(post.name, post.argv, post.rank),
                    now,
                    None,
                )

    def _part(self) -> None:
        """Have the consumers give back what they hold, then end them at once.

        Celery's own way out takes seconds for an idle worker, and its soft shutdown always takes
        all the time it is given.
        """
        crew = [post for post in self.posts if post.rank == CONSUMER_RANK]
        owners = {f"{post.name}@{self.settings.node}" for post in crew}
        try:
            for post in crew:
                post.child.tell(signal.SIGTERM)
            with suppress(ConvoyError), desk(self.settings) as known:
                until = self._clock.tick() + GIVE_BACK
                while self._clock.tick() < until and _held(known, owners):
                    known.tell("ending")  # hurries the heartbeats, which look whether they are to
                    self._clock.sleep(NUDGE)
        finally:
            for post in crew:
                self._family.forget(post.child)

    def _mourn(self, post: Post, now: float) -> None:
        post.falls = post.falls + 1 if now - post.since < SHORT else 0
        if post.falls >= FALLS:
            raise Permanent(
                f"{post.name} ended {post.falls} times at once; its log ends:\n{post.child.said()}",
                hint=f"mend what it says and run again; log: {post.child.log}",
            )
        post.due = now + (PAUSE * 2.0 ** (post.falls - 1) if post.falls else 0)

    def _man(self, name: str, argv: list[str], rank: int) -> None:
        log = self._logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_MOST:
            log.rename(log.with_suffix(".log.1"))
        child = self._start(name, argv, rank)
        self.posts.append(Post(name, argv, rank, child, self._clock.tick()))

    def _start(self, name: str, argv: list[str], rank: int) -> Child:
        log = self._logs / f"{name}.log"
        # told to end, a consumer gives its unit back at the next item: ending us takes seconds;
        # the folder that multiprocessing makes for each of them stays behind when it is killed
        env = environment(self.settings) | {"REMAP_SIGTERM": "SIGQUIT"}
        env["TMPDIR"] = os.path.abspath(self._scratch)
        return self._family.spawn(name, argv, env=env, log=log, cwd=Path("/"), rank=rank)


def _held(known: Desk, owners: set[str]) -> bool:
    return any(unit.owner in owners for unit in known.units.running())


@dataclass(frozen=True, slots=True)
class Fleet:
    """Whoever does the work: our children, those of another command here, or other machines."""

    settings: Settings  # with addresses
    tend: Callable[[], object] = lambda: None
    gone: Callable[[], bool] = lambda: False
    ours: bool = False


@contextmanager
def joined(settings: Settings, *, consumers: int = 0) -> Iterator[Fleet]:
    """The fleet at the addresses; without addresses the one that runs in the home, or our own."""
    if not settings.embedded:
        yield Fleet(settings)
        return
    if shared := _shared(settings):
        yield shared
        return
    with ExitStack() as stack:
        try:
            local = stack.enter_context(Local(settings, consumers=consumers))
        except Conflict:
            other = _shared(settings)  # somebody else was faster
            if other is None:
                raise
            yield other
            return
        yield Fleet(local.settings, tend=local.tend, ours=True)


def _shared(settings: Settings) -> Fleet | None:
    known = addressed(settings)
    if known.broker_url is None:
        return None
    url, home = known.broker(), settings.home / REDIS
    return Fleet(known, gone=lambda: embedded.running(home) != url)


def producer_argv(name: str = "p01") -> list[str]:
    """The command that runs a producer of this name."""
    return [sys.executable, "-P", "-m", "ops.cli", "producer", "-n", name]


def consumer_argv(name: str, host: str = "%h") -> list[str]:
    """The command that runs a consumer of this name on a host of this name."""
    queues = sorted({planner.queue for planner in PLANNERS.values()})
    return [sys.executable, "-P", "-m", "consumer", f"{name}@{host}", *queues]


def environment(settings: Settings) -> dict[str, str]:
    """What a member must find in its environment, addresses with their passwords among it.

    A checkout runs its own code, whatever else is installed.
    """
    env = dict(os.environ)
    if (ROOT / "pyproject.toml").exists():
        env["PYTHONPATH"] = str(ROOT)
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        env.pop(key := f"CONVOY_{name.upper()}", None)
        if value is not None:
            env[key] = _spelled(value)
    return env


def _spelled(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f}s"
    if isinstance(value, Path):
        return str(value.absolute())
    return str(value)
