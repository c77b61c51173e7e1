"""What stands against moving a bucket, found by trying: each finding has a code, and refuses.

Nothing is taken from what a store says of itself. What cannot be found out counts as a finding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_hex

from common.endpoints.s3 import probing, uploads
from common.endpoints.s3.client import Client
from common.endpoints.s3.documents import records
from common.endpoints.s3.probing import RIVALS
from common.endpoints.template import RESERVED
from common.errors import ConvoyError
from common.store.switches import Caller
from consumer.buckets.copying import movable
from consumer.buckets.fence import Fence
from consumer.buckets.listing import runs
from consumer.buckets.sides import Sides
from consumer.trans.buckets.routing import Side

ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason, and what to do about it."""

    code: str
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class Looked:
    """All that was found."""

    findings: tuple[Finding, ...]
    exclusive: bool = False
    matches: bool = False
    joins: bool = False
    objects: int = 0
    bytes: int = 0


_ADVICE = {
    "B001": "check address, profile and network of the old store",
    "B002": "check address, profile and network of the new store, and make the bucket there",
    "B003": "empty the bucket on the new store: what is there could be taken for a user's write",
    "B004": "the new store must let exactly one of many conditional puts win; use another one",
    "B005": "versions are not moved yet: suspend versioning on both sides, or wait",
    "B006": "give the tenant a fence that takes and gives back its callers' right to write",
    "B007": "add the tenant's callers with their keys on both sides",
    "B008": "the old store has to list in the order of bytes",
    "B010": "remove the rules of expiry from the new bucket while it is being moved to",
    "B011": "the new store takes different names for one; use another one",
    "B013": "leave the bucket where it is: objects made of parts, or larger, are not moved yet",
    "B012": "give this caller's keys the right to read the bucket on both sides",
}


def look(sides: Sides, fence: Fence) -> Looked:
    """Try everything that the move depends on."""
    found: list[Finding] = []
    if why := _fails(lambda: next(runs(sides.old, "", 2), None)):
        code = "B008" if "out of order" in why else "B001"
        return Looked((_finding(code, why),))
    if why := _fails(lambda: next(runs(sides.new, "", 2), None)):
        return Looked((_finding("B002", why),))
    if next(runs(sides.new, "", 2), None) is not None:
        return Looked((_finding("B003", "the bucket on the new store is not empty"),))
    for name, client in (("old", sides.old), ("new", sides.new)):
        if why := _versioned(client):
            found.append(_finding("B005", f"the {name} store: {why}"))
    if _rules(sides.new):
        found.append(_finding("B010", "the new bucket has rules of expiry, or may have"))
    found += _fenceable(fence)
    joins = joins_one(sides.new)
    objects, bytes_, unmovable = _survey(sides, joins=joins)
    if unmovable:
        found.append(_finding("B013", f"{unmovable} objects are too large, or made of parts"))
    traits = probing.probe(sides.new, "")
    if not traits.exclusive:
        found.append(_finding("B004", "several conditional puts won, or none"))
    if traits.folds:
        found.append(_finding("B011", "the new store folds names"))
    return Looked(tuple(found), traits.exclusive, traits.matches, joins, objects, bytes_)


def _survey(sides: Sides, *, joins: bool) -> tuple[int, int, int]:
    """Objects, bytes, and how many objects cannot be moved."""
    objects = bytes_ = unmovable = 0
    for run in runs(sides.old, ""):
        objects += len(run)
        bytes_ += sum(line.size for line in run)
        unmovable += sum(not movable(line, joins=joins) for line in run)
    return objects, bytes_, unmovable


def joins_one(client: Client) -> bool:
    """Of many uploads to one key, each joined on condition that nothing is there, does one win?"""
    key = f"{RESERVED}-probe-{token_hex(8)}"
    try:
        return all(_joined(client, f"{key}/{round_}") == 1 for round_ in range(ROUNDS))
    except ConvoyError:
        return False


def _joined(client: Client, key: str) -> int:
    """How many win."""
    begun = [uploads.create(client, key, {}) for _ in range(RIVALS)]
    etags = [uploads.send(client, key, upload, 1, b"part") for upload in begun]
    start = threading.Barrier(RIVALS)

    def join(upload: str, etag: str) -> bool:
        start.wait(timeout=60)
        try:
            return uploads.complete(client, key, upload, [etag], {"if-none-match": "*"})
        except ConvoyError:
            return False

    try:
        with ThreadPoolExecutor(RIVALS, "rival") as rivals:
            return sum(rivals.map(join, begun, etags))
    finally:
        for upload in begun:
            uploads.abort(client, key, upload)
        client.delete(key)


def _fenceable(fence: Fence) -> Iterator[Finding]:
    if not fence.tenant.fence:
        yield _finding("B006", "the tenant has no fence")
    if not fence.callers:
        yield _finding("B007", "the tenant has no callers")
    for caller in fence.callers:
        for side in Side:
            if why := _fails(lambda c=caller, s=side: _reads(fence, c, s)):  # type: ignore[misc]
                yield _finding("B012", f"{caller.id} on {side}: {why}")


def _reads(fence: Fence, caller: Caller, side: Side) -> None:
    client = fence.client(caller, side)
    try:
        next(runs(client, "", 2), None)
    finally:
        client.channel.close()


def _versioned(client: Client) -> str:
    """Why versions may be kept; "" if the store says that they are not."""
    try:
        answer = client.channel.request("GET", "", {"versioning": ""}, {}, accept=(200, 501))
    except ConvoyError as error:
        return str(error)
    if answer.status == 501:
        return ""
    own, _ = records([answer.body], ())
    return f"versioning is {own['Status']}" if own.get("Status", "") == "Enabled" else ""


def _rules(client: Client) -> bool:
    accept = (200, 404, 501)
    try:
        answer = client.channel.request("GET", "", {"lifecycle": ""}, {}, accept=accept)
    except ConvoyError:
        return True
    return answer.status == 200 and b"<Rule>" in answer.body


def _fails(act: Callable[[], object]) -> str:
    try:
        act()
    except ConvoyError as error:
        return str(error)
    return ""


def _finding(code: str, what: str) -> Finding:
    return Finding(code, what, _ADVICE[code])
