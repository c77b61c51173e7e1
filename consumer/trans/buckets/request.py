"""One request on its way through the gateway: who asks for what, by which route, with what body."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from common.endpoints.flow import Body, Reply
from common.endpoints.s3.account import Keys
from common.store.journal import Journal
from common.store.switches import Switch
from consumer.trans.buckets.callers import Known
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.operation import Asked
from consumer.trans.buckets.payload import Payload
from consumer.trans.buckets.routing import Route, Side
from consumer.trans.buckets.server import Answer, Incoming
from consumer.trans.buckets.side import Store, outward

DOCUMENT = 2 << 20  # bytes of a body that is read whole
T = TypeVar("T")


class Reach(Protocol):
    """What the gateway lends to those who answer requests."""

    journal: Journal

    def store(self, endpoint: str) -> Store: ...
    def principal(self, tenant: str, side: Side) -> Keys:
        """The keys of the migration itself."""

    def routed(self, bucket: str, tenant: str) -> Route:
        """By which route another bucket of the tenant is read."""

    def later(self, act: Callable[[], object]) -> None:
        """Do it in the background; whether it succeeds must not matter."""

    async def run(self, act: Callable[[], T]) -> T:
        """Do what waits for the state store, without holding up the others."""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that is known of it."""

    asked: Asked
    method: str
    headers: Mapping[str, str]
    caller: Known
    switch: Switch
    route: Route
    incoming: Incoming
    payload: Payload
    reach: Reach

    async def ask(
        self,
        side: Side,
        method: str,
        *,
        key: str | None = None,
        bucket: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        keys: Keys | None = None,
    ) -> Reply:
        """Ask a store, in the caller's name unless other `keys` are given."""
        tenant = self.caller.tenant
        store = self.reach.store(tenant.old if side is Side.OLD else tenant.new)
        return await store.ask(
            keys or self.caller.keys[side],
            method,
            bucket or self.asked.bucket,
            self.asked.key if key is None else key,
            query,
            headers,
            body,
        )

    def body(self) -> Body:
        """The verified body, as it flows."""
        return Body(self.payload.length, flow=verified(self.incoming, self.payload))

    async def document(self) -> bytes:
        """The verified body, if it is small enough to be read whole."""
        if self.payload.length > DOCUMENT:
            raise Fault("EntityTooLarge", "The request is too large.", close=True)
        return b"".join([piece async for piece in verified(self.incoming, self.payload)])


async def verified(incoming: Incoming, payload: Payload) -> AsyncGenerator[bytes, None]:
    """The contents of a body; the last piece comes only when all of it was proven."""
    async for data in incoming.body():
        if piece := payload.feed(data):
            yield piece
    if piece := payload.end():
        yield piece


def passed(reply: Reply, method: str) -> Answer:
    """A store's answer, as it goes on to the client."""
    headers = outward(reply.headers)
    length = reply.headers.get("content-length", "")
    if method == "HEAD" or reply.length == 0:
        reply.close()
        said = int(length) if length.isdigit() else None
        return Answer(reply.status, headers, length=said)
    flow, length_ = reply.chunks(), reply.length
    return Answer(reply.status, headers, flow=flow, length=length_, drop=reply.close)


async def ended(reply: Reply) -> Answer:
    """The answer to a change that a store may work at for long: it is over when all of the answer
    is there. An error behind a status that says 200 becomes one by its status."""
    body, status = await whole(reply), reply.status
    if status == 200 and body.lstrip().startswith((b"<Error", b"<?xml")):
        failed = b"<Error>" in body[:500] and b"Result" not in body[:500]
        status = 500 if failed else 200
    return Answer(status, outward(reply.headers), body)


async def whole(reply: Reply) -> bytes:
    """A small answer, read whole."""
    return await reply.read(DOCUMENT)
