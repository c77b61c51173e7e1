"""The job `final`: a user's last pass between the operator's two hooks.

The freeze hook runs before it (nobody writes the user any more), the switch hook after both sides
were read and agree, so that a user is switched only when complete. For a user too large for one
unit the pass and the proof are cut like any other, and the jobs `prove` and `switch` come after
them. Hooks may run more than once after a crash; they are commands of the operator and run without
a shell.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO

from common.errors import Permanent, Transient
from common.model import Draft, Receipt, Unit
from consumer.mover import Reach
from consumer.users.places import places
from consumer.users.stages import LAST, PROOF
from consumer.users.verify import compare, verify
from consumer.users.whole import move

SHOWN = 500  # bytes of a failed hook's output that go into the reason


def final(unit: Unit, reach: Reach) -> Receipt:
    """Freeze, pass, verify, switch; of a huge user freeze, and plan the rest."""
    run_hook("hook_freeze", unit, reach)
    receipt = move(unit, reach, LAST)
    if receipt.drafts:
        return replace(receipt, drafts=(*receipt.drafts, *_further(unit.key)))
    if receipt.again or receipt.counts.failed:
        return receipt
    with places(unit, reach) as both:
        seen = compare(unit.key, reach, both, both.source.walk())
    if seen.again or seen.counts.failed:
        return seen
    switch(unit, reach)
    return receipt


def prove(unit: Unit, reach: Reach) -> Receipt:
    """The job `prove`: read both sides of a user that was passed over in pieces."""
    return verify(unit, reach, PROOF)


def switch(unit: Unit, reach: Reach) -> Receipt:
    """The job `switch`: all of the user is on the target."""
    reach.lease.confirm()
    run_hook("hook_switch", unit, reach)
    return Receipt()


def _further(user: str) -> tuple[Draft, Draft]:
    proof, *_ = PROOF.groups(user)
    return (
        Draft("prove", user, group=proof, after=LAST.groups(user), wakes=True),
        Draft("switch", user, group=f"{user}/switch", after=PROOF.groups(user)),
    )


def run_hook(name: str, unit: Unit, reach: Reach) -> None:
    """Run the operator's command with the user as `{user}` and in CONVOY_USER.

    Permanent if it cannot be started, Transient if it fails: it is tried again with the unit.
    """
    command = shlex.split(str(reach.migration.options.get(name) or ""))
    if not command:
        return
    words = [word.replace("{user}", unit.key) for word in command]
    env = os.environ | {"CONVOY_USER": unit.key, "CONVOY_MIGRATION": unit.migration}
    with TemporaryFile() as said:  # no pipe: what a hook leaves running may hold on to it
        try:
            hook = subprocess.Popen(
                words,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which ends with it if it must
            )
        except OSError as error:
            raise Permanent(f"the hook {words[0]!r} cannot be started: {error}") from error
        if code := _await(hook, reach):
            raise Transient(f"the hook {words[0]!r} ended with {code}: {_end(said)}")


def _await(hook: subprocess.Popen[bytes], reach: Reach) -> int:
    """Wait while the unit is ours; a hook whose unit was taken away is ended with all it began."""
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return hook.wait(timeout=1)
            reach.lease.still_mine()
    finally:
        if hook.poll() is None:
            os.killpg(hook.pid, signal.SIGKILL)  # not reaped yet: the group is still its own
            hook.wait()


def _end(said: IO[bytes]) -> str:
    """The last that a hook said."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - SHOWN))
    return said.read().decode(errors="replace")
