"""What a direct endpoint answers, the gateway answers, by operation and phase, between real stores.

One script of operations is run against the gateway in each phase, and what it shows compared with
what a plain model of S3 says. In the phases with two stores part of the keys is on old alone, part
on new as background copies, part changed or deleted since.
"""

from __future__ import annotations

import pytest

from common.lifecycle.buckets import Phase
from consumer.trans.buckets.routing import route
from consumer.trans.buckets.side import MARK
from tests.gate import body, code_of, copied, keys, put_old
from tests.servers.gateways import World

PHASES = [Phase.NORMAL, Phase.TRACKING, Phase.COPYING, Phase.SEALING, Phase.DONE]
CASES: list[tuple[str, Phase]] = [("swift-moto", phase) for phase in PHASES]
CASES += [("swift-ceph", phase) for phase in (Phase.NORMAL, Phase.COPYING, Phase.SEALING)]
CASES += [("moto-swift", Phase.COPYING), ("ceph-swift", Phase.COPYING)]
ALIKE = {
    Phase.COPYING: (Phase.REDIRECTED, Phase.VERIFYING, Phase.ROLLING_BACK),
    Phase.NORMAL: (Phase.ROLLED_BACK,),
    Phase.DONE: (Phase.CLEANED,),
}


def test_the_phases_that_are_not_tried_route_as_one_that_is() -> None:
    for tried, others in ALIKE.items():
        assert {route(phase) for phase in others} == {route(tried)}
    assert {*PHASES, *(p for others in ALIKE.values() for p in others), Phase.QUIESCING} == set(
        Phase
    )


@pytest.mark.parametrize(("gate_pair", "phase"), CASES, indirect=["gate_pair"])
def test_a_user_finds_s3_in_every_phase(gate: World, phase: Phase) -> None:
    for n in range(4):
        put_old(gate, f"old/{n}", b"old %d" % n, Metadata={"n": str(n)}, ContentType="text/n")
    gate.to(phase)
    if phase in (Phase.SEALING, Phase.DONE):
        for n in range(4):
            copied(gate, f"old/{n}")
    if phase is Phase.COPYING:
        copied(gate, "old/1")
    user, bucket = gate.user(), gate.bucket
    # reads
    head = user.head_object(Bucket=bucket, Key="old/0")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (
        5,
        "text/n",
        {"n": "0"},
    )
    assert [body(user, gate, f"old/{n}") for n in range(4)] == [b"old %d" % n for n in range(4)]
    assert body(user, gate, "old/1", Range="bytes=1-2") == b"ld"
    assert code_of(lambda: user.get_object(Bucket=bucket, Key="no")) == "NoSuchKey"
    assert code_of(lambda: user.head_object(Bucket=bucket, Key="no")) == "404"
    # writes
    user.put_object(Bucket=bucket, Key="old/0", Body=b"mine", Metadata={"a": "b"})
    user.put_object(Bucket=bucket, Key="a b+c%/\u00e9", Body=b"odd")
    user.delete_object(Bucket=bucket, Key="old/2")
    assert body(user, gate, "old/0") == b"mine"
    assert body(user, gate, "a b+c%/\u00e9") == b"odd"
    assert code_of(lambda: user.get_object(Bucket=bucket, Key="old/2")) == "NoSuchKey"
    assert keys(user, gate) == ["a b+c%/\u00e9", "old/0", "old/1", "old/3"]
    assert keys(user, gate, Delimiter="/") == ["a b+c%/", "old/"]
    assert keys(user, gate, Prefix="old/", PaginationConfig={"PageSize": 1}) == [
        "old/0", "old/1", "old/3",
    ]  # fmt: skip
    # copies
    for source in ("old/0", "old/1", "old/3"):
        user.copy_object(
            Bucket=bucket, Key=f"copy/{source}", CopySource={"Bucket": bucket, "Key": source}
        )
    assert body(user, gate, "copy/old/3") == b"old 3"
    assert user.head_object(Bucket=bucket, Key="copy/old/1")["Metadata"] == {"n": "1"}
    user.delete_object(Bucket=bucket, Key="old/1")
    assert body(user, gate, "copy/old/1") == b"old 1"
    # many at once
    done = user.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "old/0"}, {"Key": "copy/old/0"}, {"Key": "never"}]},
    )
    assert sorted(entry["Key"] for entry in done["Deleted"]) == ["copy/old/0", "never", "old/0"]
    assert keys(user, gate) == ["a b+c%/\u00e9", "copy/old/1", "copy/old/3", "old/3"]
    # in parts
    upload = user.create_multipart_upload(Bucket=bucket, Key="big", Metadata={"m": "1"})["UploadId"]
    data = [b"x" * (5 << 20), b"tail"]
    etags = [
        user.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=n, Body=piece)[
            "ETag"
        ]
        for n, piece in enumerate(data, 1)
    ]
    listed = user.list_parts(Bucket=bucket, Key="big", UploadId=upload)
    assert [part["ETag"] for part in listed["Parts"]] == etags
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    user.complete_multipart_upload(
        Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert body(user, gate, "big") == b"".join(data)
    assert MARK not in {
        f"x-amz-meta-{n}" for n in user.head_object(Bucket=bucket, Key="big")["Metadata"]
    }
