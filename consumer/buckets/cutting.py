"""Ends the uploads that are open on a store when its bucket is switched: nobody may join them
later. Their clients are told that there is no such upload, and begin again."""

from __future__ import annotations

from common.endpoints.s3 import uploads
from common.endpoints.s3.client import Client
from common.endpoints.s3.documents import records
from common.errors import Transient

ROUNDS = 10


def cut(client: Client) -> int:
    """How many there were; Transient if some are still there after all."""
    ended = 0
    for _ in range(ROUNDS):
        answer = client.channel.request("GET", "", {"uploads": ""}, {})
        _, found = records([answer.body], ("Upload",))
        if not found:
            return ended
        for record in found:
            uploads.abort(client, record.get("Key", ""), record.get("UploadId", ""))
            ended += 1
    raise Transient(f"{client.location}: uploads that cannot be ended")
