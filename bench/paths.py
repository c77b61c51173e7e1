"""Every path of the goals table: what is moved, and by which contestants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import goals, peers
from bench.lab import Lab
from bench.rounds import Contestant, Path
from bench.sides import Folder, Prefix
from bench.spending import run
from bench.trees import Forest

MEBI = 1 << 20
SAMPLE, SAMPLE_LARGE = 500, 2


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is moved on each path."""

    small: Forest
    large: Forest
    store: Forest
    huge: Forest

    def times(self, factor: float) -> Scale:
        """More or fewer users with small files; never other users or other sizes."""

        def scaled(forest: Forest) -> Forest:
            users = max(1, int(forest.users * factor))
            return Forest(users, forest.files, forest.size, forest.even)

        return Scale(scaled(self.small), self.large, scaled(self.store), self.huge)


FULL = Scale(
    small=Forest(60, 1000, 34_000),
    large=Forest(8, 1, 256 * MEBI, even=True),
    store=Forest(60, 200, 34_000),
    huge=Forest(1, 1, 1024 * MEBI, even=True),
)


Race = tuple[Path, list[Contestant]]


def small(lab: Lab, scale: Scale) -> Race:
    """Many small files from disk to disk; ours proven, and all of them durable. And cp -a alone,
    which leaves that to chance."""
    source, size = lab.forest("small", scale.small)
    users = scale.small.names()
    contestants = [
        *lab.convoys(source, lab.folder, sample=SAMPLE),
        *_durable(lab, source, users, goals.CHECKED, "--checksum", sample=SAMPLE),
        lab.durable(
            goals.BOUND,
            source,
            lambda to: peers.bound(source.path, to.path, users),
            sample=SAMPLE,
        ),
        lab.durable(
            goals.CP, source, lambda to: peers.copy(source.path, to.path, users), sample=SAMPLE
        ),
        lab.peer(
            goals.CP,
            source,
            lab.folder,
            lambda to: peers.copy(source.path, _folder(to).path, users),
            sample=SAMPLE,
        ),
    ]
    return Path(goals.SMALL, scale.small.items, size), contestants


def large(lab: Lab, scale: Scale) -> Race:
    """A few large files from disk to disk, durable."""
    source, size = lab.forest("large", scale.large)
    options = ("--multi-thread-streams", "0")
    users = scale.large.names()
    contestants = [
        *lab.convoys(source, lab.folder, sample=SAMPLE_LARGE),
        *_durable(lab, source, users, goals.RCLONE, *options, sample=SAMPLE_LARGE),
    ]
    return Path(goals.LARGE, scale.large.items, size), contestants


def up(lab: Lab, scale: Scale) -> Race:
    """Many small files from disk to S3."""
    source, size = lab.forest("store", scale.store)
    contestants = [
        *lab.convoys(source, lab.prefix, sample=SAMPLE),
        lab.peer(
            goals.S5CMD,
            source,
            lab.prefix,
            lambda to: peers.s5cmd_up(source.path, _prefix(to)),
            sample=SAMPLE,
        ),
        lab.peer(
            goals.CHECKED,
            source,
            lab.prefix,
            lambda to: peers.rclone("copy", source, to, "--checksum", lanes=peers.STORE),
            sample=SAMPLE,
        ),
    ]
    return Path(goals.UP, scale.store.items, size), contestants


def across(lab: Lab, scale: Scale) -> Race:
    """Many small objects from one store to another."""
    folder, size = lab.forest("store", scale.store)
    source = _uploaded(lab, "source-small", folder)
    contestants = [
        *lab.convoys(source, lab.prefix, sample=SAMPLE),
        lab.peer(
            goals.CHECKED,
            source,
            lab.prefix,
            lambda to: peers.rclone("copy", source, to, "--checksum", lanes=peers.STORE),
            sample=SAMPLE,
        ),
    ]
    return Path(goals.ACROSS, scale.store.items, size), contestants


def big_up(lab: Lab, scale: Scale) -> Race:
    """One large file to S3, in parts."""
    source, size = lab.forest("huge", scale.huge)
    parts = ["--concurrency", str(peers.PARTS), "--part-size", str(peers.PART)]
    options = ["--s3-upload-concurrency", str(peers.PARTS), "--s3-chunk-size", f"{peers.PART}Mi"]
    contestants = [
        *lab.convoys(source, lab.prefix, sample=1),
        lab.peer(
            goals.S5CMD,
            source,
            lab.prefix,
            lambda to: peers.s5cmd_up(source.path, _prefix(to), *parts),
            sample=1,
        ),
        lab.peer(
            goals.RCLONE,
            source,
            lab.prefix,
            lambda to: peers.rclone("copy", source, to, *options, lanes=peers.STORE),
            sample=1,
        ),
    ]
    return Path(goals.BIG_UP, scale.huge.items, size), contestants


def big_down(lab: Lab, scale: Scale) -> Race:
    """One large object from S3 onto the disk, durable."""
    folder, size = lab.forest("huge", scale.huge)
    source = _uploaded(lab, "source-huge", folder)
    parts = ["--concurrency", str(peers.PARTS), "--part-size", str(peers.PART)]
    options = ["--multi-thread-streams", str(peers.PARTS), "--multi-thread-cutoff", "64Mi"]
    contestants = [
        *lab.convoys(source, lab.folder, sample=1),
        lab.durable(
            goals.S5CMD,
            source,
            lambda to: peers.s5cmd_down(source, to.path, *parts),
            sample=1,
        ),
        lab.durable(
            goals.RCLONE,
            source,
            lambda to: peers.rclone("copy", source, to, *options, lanes=peers.STORE),
            sample=1,
        ),
    ]
    return Path(goals.BIG_DOWN, scale.huge.items, size), contestants


def skip(lab: Lab, scale: Scale) -> Race:
    """A second pass over what is right already, by what is known from the first."""
    source, size = lab.forest("small", scale.small)
    convoys = lab.again(source, lab.folder, "manifest")
    to = lab.folder("done-command")
    commands = peers.rclone("copy", source, to, lanes=peers.LOCAL)
    rclone = Contestant(goals.RCLONE, lambda _: run(commands))
    return Path(goals.SKIP, scale.small.items, size), [*convoys, rclone]


def reread(lab: Lab, scale: Scale) -> Race:
    """A second pass that reads everything on both sides."""
    source, size = lab.forest("small", scale.small)
    convoys = lab.again(source, lab.folder, "md5")
    commands = peers.rclone("check", source, lab.folder("done-command"), lanes=peers.LOCAL)
    rclone = Contestant(f"{goals.RCLONE} check", lambda _: run(commands))
    return Path(goals.REREAD, scale.small.items, size), [*convoys, rclone]


def skip_store(lab: Lab, scale: Scale) -> Race:
    """A second pass to S3, by what is known from the first."""
    source, size = lab.forest("store", scale.store)
    convoys = lab.again(source, lab.prefix, "manifest")
    to = lab.prefix("done-command")
    commands = peers.rclone("copy", source, to, "--checksum", lanes=peers.STORE)
    rclone = Contestant(goals.CHECKED, lambda _: run(commands, lab.env))
    return Path(goals.SKIP_STORE, scale.store.items, size), [*convoys, rclone]


def _durable(
    lab: Lab, source: Folder, users: list[str], name: str, *options: str, sample: int
) -> list[Contestant]:
    def rclone(to: Folder) -> peers.Commands:
        return peers.rclone("copy", source, to, *options, lanes=peers.LOCAL)

    def rsync(to: Folder) -> peers.Commands:
        return peers.rsync(source.path, to.path, users)

    return [
        lab.durable(name, source, rclone, sample=sample),
        lab.durable(goals.RSYNC, source, rsync, sample=sample),
    ]


def _uploaded(lab: Lab, name: str, folder: Folder) -> Prefix:
    """The same things as a source in the store."""
    place = lab.prefix(name)
    run(peers.s5cmd_up(folder.path, place), lab.env)
    return place


def _folder(side: object) -> Folder:
    assert isinstance(side, Folder)
    return side


def _prefix(side: object) -> Prefix:
    assert isinstance(side, Prefix)
    return side


RACES: Mapping[str, tuple[Callable[[Lab, Scale], Race], bool]] = {
    "small": (small, False),
    "large": (large, False),
    "skip": (skip, False),
    "reread": (reread, False),
    "up": (up, True),
    "across": (across, True),
    "skip-store": (skip_store, True),
    "big-up": (big_up, True),
    "big-down": (big_down, True),
}
"""By name: how it is set up, and whether it needs a store."""
