"""The fence of the test stores, as an operator's command: `python -m tests.servers.fences ...`.

Guests may read a bucket always, and write to it unless it is shut. Swift does it by the container's
access lists, Ceph by the bucket's policy; the others know no rights and cannot be fenced.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import boto3

from tests.servers import ceph, swift

_READ = ["s3:GetObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:ListBucketMultipartUploads"]
_WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload"]


def set_swift(endpoint: str, bucket: str, *, writes: bool) -> None:
    """Let the guest write, or not."""
    who = {"X-Auth-User": swift.ACCESS, "X-Auth-Key": swift.SECRET}
    asked = urllib.request.Request(f"{endpoint}/auth/v1.0", headers=who)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        token, place = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]
    access = {"X-Container-Read": swift.GUEST, "X-Container-Write": swift.GUEST if writes else ""}
    said = {"X-Auth-Token": token, **access}
    for container in (bucket, f"{bucket}%2Bsegments"):  # where the parts of uploads are
        change = urllib.request.Request(f"{place}/{container}", headers=said, method="PUT")
        urllib.request.urlopen(change, timeout=30).close()


def set_ceph(endpoint: str, bucket: str, *, writes: bool) -> None:
    """Let the guest write, or not."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ceph.ACCESS,
        aws_secret_access_key=ceph.SECRET,
        region_name="us-east-1",
    )
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/guest"]},
        "Action": [*_READ, *(_WRITE if writes else [])],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    owner = {  # what guests put there is theirs, unless the policy says otherwise
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/t"]},
        "Action": ["s3:*"],
        "Resource": allowed["Resource"],
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed, owner]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


SETS = {"swift": set_swift, "ceph": set_ceph}


def main(act: str, side: str, bucket: str, *stores: str) -> None:
    """`act side bucket old-kind old-endpoint new-kind new-endpoint`."""
    kind, endpoint = stores[:2] if side == "old" else stores[2:]
    if kind in SETS:
        SETS[kind](endpoint, bucket, writes=act == "lift")


if __name__ == "__main__":
    main(*sys.argv[1:])
