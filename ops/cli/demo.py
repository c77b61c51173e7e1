"""The command that shows on this machine, in a temporary folder, what Convoy promises."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from common.quantities import show_span
from ops.cli import exits, show, terminal
from ops.cli.options import Consumers, Json
from ops.demo.disk import DiskStory
from ops.demo.story import Story


class Shown(StrEnum):
    """What can be shown."""

    USERS = "users"
    DISK = "disk"


What = Annotated[Shown, typer.Argument(help="What is to be moved.")]
Keep = Annotated[
    bool, typer.Option("--keep", metavar="", help="Keep the folder, to look at what is there.")
]


def demo(
    what: What = Shown.USERS, keep: Keep = False, consumers: Consumers = 0, as_json: Json = False
) -> None:
    """Show it: move 300 users while processes are killed, damage files, run again, verify.

    With `disk`: move a disk between two sets while its guest writes and its Trans is killed.
    Everything happens in a temporary folder with a fleet of its own, in less than a minute. Exit
    code 0 only if everything came out as it must.
    """
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="convoy-demo-"))
    story: Story | DiskStory
    try:
        with terminal.progress() as display:
            say = display.say if as_json else display.tell
            if what is Shown.DISK:
                story = DiskStory(root, say)
            else:
                story = Story(root, say, display, consumers)
            story.tell()
    finally:
        if not keep:
            _remove(root)
    seconds = time.monotonic() - began
    terminal.result(_told(story, seconds), _shown(story, seconds), as_json=as_json)
    if keep:
        terminal.say(f"kept: {root}; CONVOY_HOME={root}/home convoy list")
    raise typer.Exit(exits.COMPLETE if story.holds else exits.INCOMPLETE)


def _told(story: Story | DiskStory, seconds: float) -> dict[str, Any]:
    return {
        "holds": story.holds,
        "seconds": round(seconds, 3),
        "proofs": [
            {"what": p.what, "holds": p.holds, "expected": repr(p.expected), "found": repr(p.found)}
            for p in story.proofs
        ],
        "reports": story.reports if isinstance(story, Story) else [],
    }


def _shown(story: Story | DiskStory, seconds: float) -> Text:
    kept = sum(proof.holds for proof in story.proofs)
    text = f"\n{kept} of {len(story.proofs)} promises kept, in {show_span(seconds)}."
    return Text(text, show.GOOD if story.holds else show.BAD)


def _remove(root: Path) -> None:
    """Some folders in there forbid removal; they are ours."""
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root)
