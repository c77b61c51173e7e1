"""Short ways for tests to fill both sides of a gateway, and to look through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from consumer.trans.buckets.side import MARK
from tests.servers.gateways import World


def put_old(world: World, key: str, data: bytes = b"old", **more: Any) -> None:
    """An object from before the switch."""
    world.old.independent().put_object(Bucket=world.bucket, Key=key, Body=data, **more)


def copied(world: World, key: str) -> None:
    """A background copy, as the migration makes it."""
    answer = world.old.independent().get_object(Bucket=world.bucket, Key=key)
    etag = answer["ETag"].strip('"')
    modified = answer["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
    mark = {MARK.removeprefix("x-amz-meta-"): f"1:{etag} {modified}"}
    world.new.independent().put_object(
        Bucket=world.bucket,
        Key=key,
        Body=answer["Body"].read(),
        Metadata={**answer["Metadata"], **mark},
        ContentType=answer["ContentType"],
    )


def code_of(act: Callable[[], object]) -> str:
    """The code of the error that it ends in."""
    try:
        act()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def body(client: Any, world: World, key: str, **more: Any) -> bytes:
    found: bytes = client.get_object(Bucket=world.bucket, Key=key, **more)["Body"].read()
    return found


def keys(client: Any, world: World, **more: Any) -> list[str]:
    """Keys and common prefixes, page by page."""
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=world.bucket, **more):
        found += [entry["Key"] for entry in page.get("Contents", [])]
        found += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    return found


def marked(world: World, key: str) -> bool:
    """Does new hold a background copy of it?"""
    head = world.new.independent().head_object(Bucket=world.bucket, Key=key)
    return MARK.removeprefix("x-amz-meta-") in {name.lower() for name in head["Metadata"]}


def on_new(world: World, key: str) -> bool:
    """Does new hold anything under it?"""
    client = world.new.independent()
    return not code_of(lambda: client.head_object(Bucket=world.bucket, Key=key))
