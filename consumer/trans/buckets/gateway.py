"""The gateway: proves who asks, finds out for what, and hands the request to whoever answers it.

Without a lease it serves nothing. What it does not know it refuses; what is out of reach is
answered with 503, never with a 404.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar
from xml.sax.saxutils import escape

import structlog

from common.clock import Clock
from common.endpoints.s3.account import Account, Keys
from common.endpoints.s3.location import Location
from common.endpoints.wire import Timeouts
from common.errors import ConvoyError
from common.lifecycle.buckets import Phase
from common.store.base import Store as StateStore
from common.store.gateways import Gateways
from common.store.journal import Journal
from common.store.switches import Switches
from consumer.trans.buckets import changing, copying, listing, reading, uploads
from consumer.trans.buckets.callers import Callers, Known
from consumer.trans.buckets.faults import Fault, slow_down
from consumer.trans.buckets.operation import WRITES, Asked, Op, asked
from consumer.trans.buckets.payload import Payload
from consumer.trans.buckets.request import Request, passed
from consumer.trans.buckets.routes import Routes
from consumer.trans.buckets.routing import Reads, Route, Side, Writes, route
from consumer.trans.buckets.server import Answer, Incoming, converse
from consumer.trans.buckets.side import Store
from consumer.trans.buckets.signature import verify

log = structlog.get_logger(__name__)
T = TypeVar("T")
THREADS = 8  # that wait for the state store
CALLERS = 10  # looks at the switches for one at the callers
LOOK = 0.5  # seconds between two looks at the switches
GLANCE = 0.02  # seconds between two looks of a write that is held
_DO: Mapping[Op, Callable[[Request], Awaitable[Answer]]] = {
    Op.LIST: listing.listed,
    Op.LIST_2: listing.listed,
    Op.LIST_UPLOADS: uploads.listed,
    Op.GET: reading.read,
    Op.HEAD: reading.read,
    Op.GET_TAGS: reading.tags,
    Op.PUT: changing.put,
    Op.DELETE: changing.delete,
    Op.DELETE_MANY: changing.delete_many,
    Op.PUT_TAGS: changing.amend_tags,
    Op.DELETE_TAGS: changing.amend_tags,
    Op.COPY: copying.copy,
    Op.CREATE: uploads.create,
    Op.PART: uploads.part,
    Op.PARTS: uploads.part,
    Op.ABORT: uploads.part,
    Op.COMPLETE: uploads.complete,
    Op.PART_COPY: copying.part_copy,
}


class Gateway:
    """One process' gateway, in one event loop (`consumer.trans.buckets.request.Reach`)."""

    def __init__(
        self,
        state: StateStore,
        name: str,
        *,
        region: str = "us-east-1",
        domains: tuple[str, ...] = (),
        lease: timedelta = timedelta(seconds=60),
        hold: timedelta = timedelta(seconds=10),
        limits: Timeouts | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self._switches = Switches(state, clock)
        self.routes = Routes(name, self._switches, Gateways(state), lease, clock)
        self.callers = Callers(self._switches)
        self.journal = Journal(state)
        self._region, self._domains, self._clock = region, domains, clock
        self._lease, self._hold = lease, hold.total_seconds()
        self._limits, self._stores = limits or Timeouts(), dict[str, Store]()
        self._threads = ThreadPoolExecutor(THREADS, "state")
        self._background: set[asyncio.Future[object]] = set()
        self._principals: dict[tuple[str, Side], Account] = {}
        self._in_hand: dict[asyncio.Task[Answer], tuple[str, int]] = {}
        self._held_since: dict[tuple[str, int], float] = {}
        self._connections: set[asyncio.Task[object]] = set()

    # -- life -----------------------------------------------------------------------------------

    async def look(self, *, callers: bool = True) -> None:
        """Renew the lease and look at switches and callers again, once.

        Who was without one for a while has first to end what it had in hand: by now others may
        count on its not happening any more.
        """
        if not self.routes.leased and self._in_hand:
            tasks = list(self._in_hand)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        try:
            for wrong in await self.run(self.callers.look) if callers else ():
                log.warning("caller.unusable", why=wrong)
            began, found = await self.run(self.routes.read)
            confirmed = self.routes.install(found)
            await self.run(lambda: self.routes.beat(confirmed, began))
        except ConvoyError as error:
            log.warning("gateway.unleased", why=str(error))
        self._cut()

    def _cut(self) -> None:
        """End writes that others have waited for long enough: where a switch holds all writes for
        its last step, one that takes its time would stop everybody's."""
        now = time.monotonic()
        for task, (bucket, epoch) in self._in_hand.items():
            switch = self.routes.current(bucket)
            if switch is None or not switch.holding or epoch >= switch.epoch:
                continue
            since = self._held_since.setdefault((bucket, switch.epoch), now)
            if now - since > self._hold and switch.phase is not Phase.TRACKING:
                task.cancel()

    async def keep(self) -> None:
        """Look again and again, at least four times in a lease, until cancelled. Often: while a
        bucket is switched, its writes wait for the slowest gateway."""
        for turn in itertools.count():
            await self.look(callers=turn % CALLERS == 0)
            await asyncio.sleep(min(LOOK, self._lease.total_seconds() / 4))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await converse(reader, writer, self.handle)
        except asyncio.CancelledError:
            pass  # by `close`; whoever started us has no use for it
        finally:
            self._connections.discard(task)

    async def close(self, *, within: float = 5.0) -> None:
        """Finish what is in hand, but not for ever; give back the lease."""
        if self._in_hand:
            await asyncio.wait(list(self._in_hand), timeout=within)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.gather(*self._background, return_exceptions=True)
        for store in self._stores.values():
            store.close()
        try:
            await self.run(self.routes.leave)
        except ConvoyError as error:
            log.warning("gateway.left", why=str(error))
        self._threads.shutdown()

    # -- requests -------------------------------------------------------------------------------

    async def handle(self, incoming: Incoming) -> Answer:
        """The answer to one request; a Fault or one of our errors says why there is none."""
        task = asyncio.ensure_future(self._handle(incoming))
        self._in_hand[task] = ("", 0)
        task.add_done_callback(lambda done: self._in_hand.pop(done, None))
        try:
            return await task
        except asyncio.CancelledError:
            if task.cancelled() and not self._leaving():
                raise slow_down("The request was ended for a switch; come again.") from None
            task.cancel()
            raise

    def _leaving(self) -> bool:
        """Are we ourselves being cancelled (and not only the request)?"""
        current = asyncio.current_task()
        return current is not None and current.cancelling() > 0

    async def _handle(self, incoming: Incoming) -> Answer:
        head = incoming.head
        proof = verify(head, self.callers.secret, now=self._clock.wall(), region=self._region)
        wanted, caller = asked(head, self._domains), self.callers.get(proof.access)
        payload = Payload(head, proof)
        if wanted.op is Op.LIST_BUCKETS:
            return self._buckets(caller)
        until = time.monotonic() + self._hold
        while True:
            with self.routes.serving(wanted.bucket, caller.tenant.id) as (switch, by):
                if wanted.op in WRITES:
                    self._writes(wanted.bucket, switch.epoch)
                if not (by.writes is Writes.HELD and wanted.op in WRITES):
                    request = Request(
                        wanted,
                        head.method,
                        head.headers,
                        caller,
                        switch,
                        by,
                        incoming,
                        payload,
                        self,
                    )
                    return self._still(request, await self._do(request))
            await self._held(wanted, switch.epoch, until)

    def _writes(self, bucket: str, epoch: int) -> None:
        """Count a write, and remember by which epoch it began."""
        self.routes.writes(bucket)
        task: Any = asyncio.current_task()
        if task in self._in_hand:
            self._in_hand[task] = (bucket, epoch)

    async def _do(self, request: Request) -> Answer:
        do = _DO.get(request.asked.op)
        if do is not None:
            return await do(request)
        if request.asked.op is Op.CREATE_BUCKET:
            raise Fault("BucketAlreadyOwnedByYou", "The bucket is there, and it is yours.")
        side = Side.OLD if request.route.reads is Reads.OLD else Side.NEW
        reply = await request.ask(side, request.method, query=request.asked.query)
        return passed(reply, request.method)

    def _still(self, request: Request, answer: Answer) -> Answer:
        """A store may refuse a write because it is fenced by now, and we learn it late: that is no
        answer for the user."""
        now = self.routes.current(request.asked.bucket)
        same = self.routes.leased and now is not None and now.epoch == request.switch.epoch
        if answer.status == 403 and request.asked.op in WRITES and not same:
            answer.drop()
            raise slow_down("The bucket is being switched; come again.")
        return answer

    async def _held(self, wanted: Asked, epoch: int, until: float) -> None:
        """Wait until the bucket is in another epoch; not for ever."""
        while time.monotonic() < until:
            await asyncio.sleep(GLANCE)
            now = self.routes.current(wanted.bucket)
            if now is None or now.epoch != epoch:
                return
        raise slow_down("Writes to this bucket are held for the moment; come again.")

    def _buckets(self, caller: Known) -> Answer:
        names = "".join(
            f"<Bucket><Name>{escape(switch.id)}</Name>"
            "<CreationDate>2000-01-01T00:00:00.000Z</CreationDate></Bucket>"
            for switch in self.routes.buckets(caller.tenant.id)
        )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Owner><ID>{escape(caller.tenant.id)}</ID></Owner>"
            f"<Buckets>{names}</Buckets></ListAllMyBucketsResult>"
        )
        return Answer(200, {"content-type": "application/xml"}, text.encode())

    # -- what requests may touch ----------------------------------------------------------------

    def store(self, endpoint: str) -> Store:
        """The way to a store, shared by all."""
        if endpoint not in self._stores:
            self._stores[endpoint] = Store(endpoint, self._limits)
        return self._stores[endpoint]

    def principal(self, tenant: str, side: Side) -> Keys:
        """The keys of the migration itself."""
        account = self._principals.get((tenant, side))
        if account is None:
            known = self._switches.tenant(tenant)
            endpoint, profile = (
                (known.old, known.old_profile)
                if side is Side.OLD
                else (known.new, known.new_profile)
            )
            account = Account(Location("any", endpoint=endpoint, profile=profile))
            self._principals[tenant, side] = account
        return account.keys()

    def routed(self, bucket: str, tenant: str) -> Route:
        """By which route another bucket of the tenant is read."""
        self.routes.must_hold()
        switch = self.routes.current(bucket)
        if switch is None or switch.tenant != tenant:
            raise Fault("AccessDenied", "Access denied.")
        return route(switch.phase, holding=switch.holding)

    async def run(self, act: Callable[[], T]) -> T:
        """Do what waits for the state store, without holding up the others."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def later(self, act: Callable[[], object]) -> None:
        """Do it in the background; what it would note is missed where it fails."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, act)
        self._background.add(future)
        future.add_done_callback(self._forget)

    def _forget(self, future: asyncio.Future[object]) -> None:
        self._background.discard(future)
        if not future.cancelled() and (error := future.exception()):
            log.warning("gateway.unnoted", why=str(error))
