"""What a client of partitions uses: it finds the primary, writes again what was not answered, and
reads what is proven, from any host if need be."""

from __future__ import annotations

import http.client
import json
from datetime import timedelta
from urllib.parse import urlencode

from common.clock import Clock
from common.digest import md5
from common.errors import Backpressure, ConvoyError, Missing, Transient
from common.lifecycle.partitions.record import Record
from common.store.partitions import Partitions
from consumer.trans.partitions.peer import Peer

PIECE = 1 << 20
PAUSE = 0.05


class Client:
    """Writes and reads extents of partitions."""

    def __init__(
        self,
        partitions: Partitions,
        *,
        patience: timedelta = timedelta(seconds=30),
        clock: Clock | None = None,
    ) -> None:
        self._partitions, self._patience = partitions, patience
        self._clock = clock or Clock()

    def create(self, id: str, hosts: tuple[str, ...]) -> Record:
        """A new partition: its copies first, then its record."""
        record = Record(id, len(hosts), hosts, hosts[0])
        for host in hosts:
            Peer(host).tell(f"/dp/{id}/create", json.dumps({"config": record.config}).encode())
        if not self._partitions.create(record):
            raise Backpressure(f"partition {id} exists", retry_in=self._patience)
        return record

    def append(self, id: str, extent: str, offset: int, data: bytes) -> int:
        """Write at the end of an extent; when it returns, every host has it. The new end."""
        deadline = self._clock.tick() + self._patience.total_seconds()
        while True:
            record = self._partitions.get(id)
            try:
                return _put(record.primary, id, extent, offset, data)
            except ConvoyError:
                if self._clock.tick() > deadline:
                    raise
            self._clock.sleep(PAUSE)

    def read(self, id: str, extent: str) -> bytes:
        """The whole extent. From the primary; while nothing can be written, what all hosts have."""
        record = self._partitions.get(id)
        end, errors = self._end(record, extent), []
        for host in (record.primary, *record.hosts):
            try:
                found = b"".join(
                    Peer(host).ask(f"/dp/{id}/extent/{extent}", off=at, len=min(PIECE, end - at))
                    for at in range(0, end, PIECE)
                )
            except ConvoyError as error:
                errors.append(f"{host}: {error}")
                continue
            if len(found) == end:
                return found
            errors.append(f"{host}: {len(found)} bytes of {end}")
        raise Transient(f"no host of partition {id} can be read: {errors}")

    def _end(self, record: Record, extent: str) -> int:
        """How long it is: nothing is answered to a writer before every host has it."""
        ends = []
        for host in record.hosts:
            try:
                told = json.loads(Peer(host).ask(f"/dp/{record.id}/watermarks"))
            except (Transient, Missing):
                continue
            end = int(told["lengths"].get(extent, 0))
            if host == record.primary and told["serves"] and told["epoch"] == record.epoch:
                return end
            ends.append(end)
        if not ends:
            raise Transient(f"no host of partition {record.id} answers")
        return min(ends)


def _put(host: str, id: str, extent: str, offset: int, data: bytes) -> int:
    query = urlencode({"off": offset, "md5": md5(data).hexdigest()})
    line = http.client.HTTPConnection(host, timeout=30)
    try:
        line.request("PUT", f"/dp/{id}/extent/{extent}?{query}", data)
        reply = line.getresponse()
        told = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Transient(f"{host} does not answer: {error!r}") from error
    finally:
        line.close()
    if reply.status != 200:
        raise Transient(f"{host}: {told.get('error')}", hint=str(told.get("hint", "")))
    return int(told["length"])
