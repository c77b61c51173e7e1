"""Signed requests to one bucket: bounded, retried briefly, their errors translated.

Knows no objects, only methods, keys and headers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from common.endpoints.s3.account import Account
from common.endpoints.s3.documents import records
from common.endpoints.s3.errors import judged
from common.endpoints.s3.location import Location
from common.endpoints.s3.signer import EMPTY, UNSIGNED, Signer, encoded, query_string
from common.endpoints.wire import Answer, Begun, Origin, Reply, Timeouts, Wire, retried
from common.errors import ConvoyError, Transient
from common.legible import legible

MOST = 1 << 20  # bytes of an answer that says what went wrong
_LATE = ("PUT", "POST")  # a copy or a completion may fail after it answered 200
Body = bytes | bytearray | memoryview


class Channel:
    """The way to one bucket. Safe from many threads."""

    def __init__(self, location: Location, limits: Timeouts) -> None:
        self.location = location
        self._account = Account(location)
        self._signer = Signer(self._account.region)
        origin = Origin.parse(self._account.endpoint)
        self._root = f"/{location.bucket}/"
        if not self._path_style():
            origin, self._root = origin._replace(host=f"{location.bucket}.{origin.host}"), "/"
        self.origin, self._host = origin, origin.authority
        context = self._account.context() if origin.scheme == "https" else None
        self._wire = Wire(origin, limits, context=context)

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    def request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        accept: tuple[int, ...] = (200,),
        begun: Begun | None = None,
    ) -> Answer:
        """One request whose answer is read whole; any status but `accept` is an error. `begun` is
        the same one if it was sent `ahead`."""
        first = [begun] if begun else []
        return retried(
            lambda: self._ask(
                method, key, query, headers, body, accept, first.pop() if first else None
            )
        )

    def stream(self, key: str, headers: Mapping[str, str], begun: Begun | None = None) -> Reply:
        """A GET whose body is still to be read."""
        first = [begun] if begun else []
        return retried(lambda: self._open(key, headers, first.pop() if first else None))

    def ahead(
        self, method: str, key: str, headers: Mapping[str, str], body: Body | None = None
    ) -> Begun | None:
        """A request that is sent now and asked for later; None if that cannot be."""
        try:
            target, sent = self._signed(method, key, {}, headers, body)
            return self._wire.ahead(method, target, sent, body)
        except ConvoyError:  # whoever asks for the answer tries again, and is told
            return None

    def _ask(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body | None,
        accept: tuple[int, ...],
        begun: Begun | None,
    ) -> Answer:
        if begun:
            answer = begun.answer()
        else:
            target, sent = self._signed(method, key, query, headers, body)
            answer = self._wire.ask(method, target, sent, body)
        if answer.status not in accept:
            raise self._error(method, key, answer.status, answer.headers, answer.body)
        if method in _LATE and answer.status == 200 and b"<Error" in answer.body.lstrip()[:200]:
            raise self._error(method, key, 500, answer.headers, answer.body)
        return answer

    def _open(self, key: str, headers: Mapping[str, str], begun: Begun | None) -> Reply:
        if begun:
            reply = begun.reply()
        else:
            target, sent = self._signed("GET", key, {}, headers, None)
            reply = self._wire.open("GET", target, sent)
        if reply.status in (200, 206):
            return reply
        raise self._error("GET", key, reply.status, reply.headers, reply.read(MOST))

    def _signed(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body | None,
    ) -> tuple[str, dict[str, str]]:
        path = self._root + encoded(key)
        if not key and len(path) > 1:
            path = path[:-1]  # the bucket itself
        text = query_string(query) if query else ""
        sent = {"host": self._host, **headers}
        payload = EMPTY if not body else UNSIGNED
        if body and self.location.sign_payload:
            payload = hashlib.sha256(body).hexdigest()
        self._signer.sign(self._account.keys(), method, path, text, sent, payload)
        return f"{path}?{text}" if text else path, sent

    def _error(
        self, method: str, key: str, status: int, headers: Mapping[str, str], body: Body
    ) -> ConvoyError:
        code = message = ""
        try:
            own, _ = records([bytes(body).lstrip()], ())  # blanks come while it works
            code, message = own.get("Code", ""), own.get("Message", "")
        except Transient:  # an error page of something in between: the status says enough
            pass
        what = f"{method} s3://{self.location.bucket}/{legible(key)!r:.300}"
        return judged(status, headers, code, message, what)

    def _path_style(self) -> bool:
        chosen = self.location.path_style
        own = bool(self.location.endpoint) or "amazonaws.com" not in self._account.endpoint
        return chosen if chosen is not None else own or "." in self.location.bucket
