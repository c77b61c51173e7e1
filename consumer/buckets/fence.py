"""Takes the right to write to one side from a bucket's callers, and proves that it is gone.

Stores differ in how that is done, so the operator's command does it (`{act}` is shut or lift,
`{side}` old or new, `{bucket}`). It is believed only after a write in each caller's own name was
refused. The migration's own principal must keep its right.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from common.digest import EMPTY
from common.endpoints.s3.client import Client
from common.endpoints.s3.location import Location
from common.endpoints.template import RESERVED
from common.endpoints.wire import Timeouts
from common.errors import Denied, Permanent, Refused
from common.store.switches import Caller, Tenant
from consumer.trans.buckets.routing import Side

PATIENCE = timedelta(minutes=2)
_HINT = "see docs/buckets.md, fencing; write the command so that it succeeds when run again"


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence of one bucket."""

    tenant: Tenant
    bucket: str
    callers: tuple[Caller, ...]
    limits: Timeouts

    def shut(self, side: Side) -> None:
        """No caller can write to this side any more; Permanent if that could not be proven."""
        self._run("shut", side)
        self.prove(side)

    def prove(self, side: Side) -> None:
        """Permanent unless every caller is refused."""
        open_ = [caller.id for caller in self._callers() if self.writes(caller, side)]
        if open_:
            raise Permanent(
                f"{self.bucket}: {side} still takes writes of {', '.join(open_[:3])}", hint=_HINT
            )

    def lift(self, side: Side) -> None:
        """Callers can write to this side again; Permanent if one cannot."""
        self._run("lift", side)
        shut = [caller.id for caller in self._callers() if not self.writes(caller, side)]
        if shut:
            raise Permanent(
                f"{self.bucket}: {side} refuses writes of {', '.join(shut[:3])}", hint=_HINT
            )

    def writes(self, caller: Caller, side: Side) -> bool:
        """Does the store take a write in this caller's name? What it takes is removed again."""
        client, key = self.client(caller, side), f"{RESERVED}-fence-{token_hex(8)}"
        try:
            client.put(key, b"", EMPTY, {})
            client.delete(key)
        except Denied:
            return False
        finally:
            client.channel.close()
        return True

    def client(self, caller: Caller, side: Side) -> Client:
        """A client in this caller's name; to be closed."""
        endpoint = self.tenant.old if side is Side.OLD else self.tenant.new
        profile = caller.old if side is Side.OLD else caller.new
        return Client(Location(self.bucket, endpoint=endpoint, profile=profile), self.limits)

    def _callers(self) -> Iterable[Caller]:
        if not self.callers:
            raise Refused(f"tenant {self.tenant.id} has no callers", hint="add one first")
        return self.callers

    def _run(self, act: str, side: Side) -> None:
        if not self.tenant.fence:
            raise Refused(f"tenant {self.tenant.id} has no fence", hint=_HINT)
        names = {"act": act, "side": side.value, "bucket": self.bucket}
        argv = [word.format_map(names) for word in shlex.split(self.tenant.fence)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=PATIENCE.total_seconds(), check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Permanent(f"the fence of {self.bucket}: {error}", hint=_HINT) from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-300:]
            raise Permanent(f"the fence of {self.bucket} failed: {said}", hint=_HINT)
