"""While two stores hold parts of a bucket: what users see, and what they change, key by key."""

from __future__ import annotations

import time

import pytest

from common.lifecycle.buckets import Phase
from consumer.trans.buckets.side import MARK
from tests.gate import body, code_of, copied, keys, marked, on_new, put_old
from tests.servers.gateways import World
from tests.waiting import eventually


@pytest.fixture
def merging(gate: World) -> World:
    """Old holds four keys; one of them is copied."""
    for name in ("a", "b", "dir/1", "dir/2"):
        put_old(gate, name, f"old {name}".encode(), Metadata={"of": name})
    gate.to(Phase.COPYING)
    copied(gate, "b")
    return gate


def test_what_is_deleted_stays_deleted_though_a_late_copy_arrives(merging: World) -> None:
    user = merging.user()
    user.delete_object(Bucket=merging.bucket, Key="a")
    copied(merging, "a")  # by a copier that looked before
    assert marked(merging, "a")
    assert code_of(lambda: body(user, merging, "a")) == "NoSuchKey"
    assert code_of(lambda: user.head_object(Bucket=merging.bucket, Key="a")) == "404"
    assert keys(user, merging) == ["b", "dir/1", "dir/2"]
    user.put_object(Bucket=merging.bucket, Key="a", Body=b"again")
    assert body(user, merging, "a") == b"again"
    assert keys(user, merging) == ["a", "b", "dir/1", "dir/2"]


def test_the_intent_is_in_the_journal_and_settled_afterwards(merging: World) -> None:
    merging.user().put_object(Bucket=merging.bucket, Key="a", Body=b"1")
    merging.user().delete_object(Bucket=merging.bucket, Key="b")
    first, second = (merging.journal.look(merging.bucket, key) for key in ("a", "b"))
    assert (first.changes, first.tomb, second.tomb) == (1, False, True)
    eventually(lambda: merging.journal.look(merging.bucket, "a").open == 0)
    assert merging.journal.look(merging.bucket, "dir/1").changes == 0


def test_a_change_whose_end_nobody_knows_stays_open(merging: World) -> None:
    user = merging.user()
    name = merging.bucket
    tenants = merging.state.collection("tenants")
    tenants.change({"id": "acme"}, set={"new": "http://127.0.0.1:9"})
    merging.confirmed()
    assert code_of(lambda: user.put_object(Bucket=name, Key="a", Body=b"1")) == "SlowDown"
    assert merging.journal.look(name, "a").open == 1


def test_no_user_brings_the_marker_along_or_sees_it(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket
    own = {MARK.removeprefix("x-amz-meta-"): "1:x"}
    for act in (
        lambda: user.put_object(Bucket=bucket, Key="c", Metadata=own),
        lambda: user.create_multipart_upload(Bucket=bucket, Key="c", Metadata=own),
        lambda: user.copy_object(
            Bucket=bucket, Key="c", Metadata=own, MetadataDirective="REPLACE",
            CopySource={"Bucket": bucket, "Key": "b"},
        ),
    ):  # fmt: skip
        assert code_of(act) == "InvalidArgument"
    assert user.head_object(Bucket=bucket, Key="b")["Metadata"] == {"of": "b"}
    assert user.get_object(Bucket=bucket, Key="b")["Metadata"] == {"of": "b"}


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_users_copy_is_stored_unmarked(merging: World, key: str) -> None:
    user, bucket = merging.user(), merging.bucket
    source = {"Bucket": bucket, "Key": key}
    user.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert not marked(merging, "copy")
    assert user.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"of": key}
    user.copy_object(
        Bucket=bucket, Key=key, CopySource=source, Metadata={"x": "y"}, MetadataDirective="REPLACE"
    )
    assert not marked(merging, key)
    assert user.head_object(Bucket=bucket, Key=key)["Metadata"] == {"x": "y"}
    assert body(user, merging, key) == f"old {key}".encode()
    assert code_of(lambda: user.copy_object(Bucket=bucket, Key=key, CopySource=source)) == (
        "InvalidRequest"
    )


def test_a_copy_shows_the_time_and_the_tag_of_what_it_is_a_copy_of(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket
    old = merging.old.independent().head_object(Bucket=bucket, Key="b")
    eventually(lambda: time.time() > old["LastModified"].timestamp() + 1)  # another second
    merging.new.independent().delete_object(Bucket=bucket, Key="b")
    copied(merging, "b")
    new = user.head_object(Bucket=bucket, Key="b")
    assert (new["LastModified"], new["ETag"]) == (old["LastModified"], old["ETag"])
    line = {e["Key"]: e for e in user.list_objects_v2(Bucket=bucket)["Contents"]}["b"]
    assert line["ETag"] == old["ETag"]


@pytest.mark.parametrize("key", ["a", "b"])
def test_conditions_of_reads_are_judged_on_what_the_user_sees(merging: World, key: str) -> None:
    user, bucket = merging.user(), merging.bucket
    head = user.head_object(Bucket=bucket, Key=key)
    etag, at = head["ETag"], head["LastModified"]
    assert body(user, merging, key, IfMatch=etag) == f"old {key}".encode()
    assert code_of(lambda: body(user, merging, key, IfNoneMatch=etag)) == "304"
    assert code_of(lambda: body(user, merging, key, IfModifiedSince=at)) == "304"
    assert code_of(lambda: body(user, merging, key, IfMatch='"x"')) == "PreconditionFailed"
    assert body(user, merging, key, IfNoneMatch='"x"', Range="bytes=0-2") == b"old"
    assert code_of(lambda: body(user, merging, key, Range="bytes=100-")) == "InvalidRange"


def test_conditions_of_writes_are_judged_on_what_the_user_sees(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket

    def put(key: str, **condition: str) -> str:
        return code_of(lambda: user.put_object(Bucket=bucket, Key=key, Body=b"1", **condition))

    assert put("a", IfNoneMatch="*") == "PreconditionFailed"
    assert put("b", IfNoneMatch="*") == "PreconditionFailed"
    assert put("c", IfNoneMatch="*") == ""
    user.delete_object(Bucket=bucket, Key="a")
    assert put("a", IfNoneMatch="*") == ""
    user.delete_object(Bucket=bucket, Key="dir/1")
    copied(merging, "dir/1")
    assert put("dir/1", IfNoneMatch="*") == "SlowDown"  # the janitor has to go there first
    etag = user.head_object(Bucket=bucket, Key="dir/2")["ETag"]
    assert put("dir/2", IfMatch='"x"') == "PreconditionFailed"
    assert put("dir/2", IfMatch=etag) == ""
    assert put("none", IfMatch=etag) == "NoSuchKey"


def test_tags_of_what_is_not_copied_yet_copy_it_up_first(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    for key in ("a", "b"):
        user.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags)
        assert user.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == tags["TagSet"]
        assert body(user, merging, key) == f"old {key}".encode()
    assert on_new(merging, "a")
    user.delete_object(Bucket=bucket, Key="a")
    assert code_of(lambda: user.put_object_tagging(Bucket=bucket, Key="a", Tagging=tags)) == (
        "NoSuchKey"
    )


def test_a_prefix_whose_keys_are_all_deleted_is_not_listed(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket
    assert keys(user, merging, Delimiter="/") == ["a", "b", "dir/"]
    user.delete_object(Bucket=bucket, Key="dir/1")
    assert keys(user, merging, Delimiter="/") == ["a", "b", "dir/"]
    user.delete_object(Bucket=bucket, Key="dir/2")
    copied(merging, "dir/2")
    assert keys(user, merging, Delimiter="/") == ["a", "b"]


def test_both_versions_of_listing_page_alike(merging: World) -> None:
    user, bucket = merging.user(), merging.bucket
    user.put_object(Bucket=bucket, Key="dir/3", Body=b"")
    expected = ["a", "b", "dir/1", "dir/2", "dir/3"]
    for size in (1, 2, 3):
        first = user.get_paginator("list_objects").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        )
        assert [e["Key"] for page in first for e in page["Contents"]] == expected
        config = {"PageSize": size}
        assert keys(user, merging, PaginationConfig=config) == expected
        assert keys(user, merging, Delimiter="/", PaginationConfig=config) == ["a", "b", "dir/"]
    assert keys(user, merging, StartAfter="b") == expected[2:]
    assert user.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    wrong = code_of(lambda: user.list_objects_v2(Bucket=bucket, ContinuationToken="x"))
    assert wrong == "InvalidArgument"


def test_an_upload_that_was_open_on_old_at_the_switch_is_over(gate: World) -> None:
    user, bucket = gate.user(), gate.bucket
    gate.to(Phase.TRACKING)
    upload = user.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    gate.to(Phase.REDIRECTED)
    part = {"Bucket": bucket, "Key": "m", "UploadId": upload}
    assert code_of(lambda: user.upload_part(PartNumber=1, Body=b"x", **part)) == "NoSuchUpload"
    assert code_of(lambda: user.abort_multipart_upload(**part)) == "NoSuchUpload"


def test_writes_wait_while_the_bucket_is_quiet_and_go_on_behind_the_switch(gate: World) -> None:
    user, bucket = gate.user(), gate.bucket
    gate.to(Phase.QUIESCING)
    assert code_of(lambda: user.put_object(Bucket=bucket, Key="h", Body=b"1")) == "SlowDown"
    assert code_of(lambda: user.get_object(Bucket=bucket, Key="h")) == "NoSuchKey"
    gate.to(Phase.REDIRECTED)
    user.put_object(Bucket=bucket, Key="h", Body=b"1")
    assert on_new(gate, "h")


def test_a_listing_goes_on_across_the_switch(gate: World) -> None:
    for n in range(6):
        put_old(gate, f"k{n}")
    gate.to(Phase.TRACKING)
    user, bucket = gate.user(), gate.bucket
    page = user.list_objects_v2(Bucket=bucket, MaxKeys=2)
    found = [e["Key"] for e in page["Contents"]]
    for phase in (Phase.COPYING, Phase.SEALING):
        if phase is Phase.SEALING:
            for n in range(6):
                copied(gate, f"k{n}")
        gate.to(phase)
        token = page["NextContinuationToken"]
        page = user.list_objects_v2(Bucket=bucket, MaxKeys=2, ContinuationToken=token)
        found += [e["Key"] for e in page["Contents"]]
    assert found == [f"k{n}" for n in range(6)]
    assert not page["IsTruncated"]
