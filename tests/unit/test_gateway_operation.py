"""Which operation a request asks for: known ones, by every part of them; nothing else."""

from __future__ import annotations

import pytest

from consumer.trans.buckets import heads
from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.operation import Asked, Op, asked, source

KNOWN = {
    "GET /": Op.LIST_BUCKETS,
    "HEAD /b": Op.HEAD_BUCKET,
    "GET /b?location": Op.LOCATION,
    "GET /b": Op.LIST,
    "GET /b/?prefix=a&marker=b": Op.LIST,
    "GET /b?list-type=2&start-after=x": Op.LIST_2,
    "GET /b?uploads": Op.LIST_UPLOADS,
    "POST /b?delete": Op.DELETE_MANY,
    "GET /b/k": Op.GET,
    "GET /b/k?response-expires=x&x-id=GetObject": Op.GET,
    "HEAD /b/k?partNumber=1": Op.HEAD,
    "PUT /b/k": Op.PUT,
    "DELETE /b/k": Op.DELETE,
    "GET /b/k?tagging": Op.GET_TAGS,
    "PUT /b/k?tagging": Op.PUT_TAGS,
    "DELETE /b/k?tagging": Op.DELETE_TAGS,
    "POST /b/k?uploads": Op.CREATE,
    "PUT /b/k?uploadId=u&partNumber=1": Op.PART,
    "GET /b/k?uploadId=u": Op.PARTS,
    "POST /b/k?uploadId=u": Op.COMPLETE,
    "DELETE /b/k?uploadId=u": Op.ABORT,
}
UNKNOWN = [
    "GET /b?policy", "PUT /b?policy", "GET /b?acl", "GET /b?versions", "PUT /b?versioning",
    "GET /b/k?acl", "GET /b/k?versionId=1", "DELETE /b/k?versionId=1", "POST /b/k?restore",
    "POST /b/k?select&select-type=2", "PUT /b/k?retention", "DELETE /b", "POST /b", "POST /b/k",
    "PUT /", "GET /b?list-type=2&versions", "PUT /b/k?unknown", "GET /b?inventory",
]  # fmt: skip


def of(line: str, *fields: str, host: str = "h", domains: tuple[str, ...] = ()) -> Asked:
    raw = "\r\n".join((f"{line} HTTP/1.1", f"host: {host}", *fields))
    return asked(heads.parse(raw.encode()), domains)


@pytest.mark.parametrize("line", KNOWN)
def test_every_operation_is_known_by_its_request(line: str) -> None:
    assert of(line).op is KNOWN[line]


@pytest.mark.parametrize("line", UNKNOWN)
def test_what_is_not_known_is_refused(line: str) -> None:
    with pytest.raises(Fault) as caught:
        of(line)
    assert caught.value.code == "NotImplemented"


def test_a_source_makes_a_copy_of_a_put_and_of_nothing_else() -> None:
    assert of("PUT /b/k", "x-amz-copy-source: /c/d").op is Op.COPY
    assert of("PUT /b/k?uploadId=u&partNumber=1", "x-amz-copy-source: c/d").op is Op.PART_COPY
    with pytest.raises(Fault):
        of("GET /b/k", "x-amz-copy-source: /c/d")


def test_bucket_and_key_stand_in_the_path_or_the_host() -> None:
    plain = of("GET /b/a%2Fb+c%20d//e")
    assert (plain.bucket, plain.key) == ("b", "a/b+c d//e")
    virtual = of("GET /a/b", host="bucket.s3.local:9600", domains=("s3.local",))
    assert (virtual.bucket, virtual.key) == ("bucket", "a/b")
    assert of("GET /", host="bucket.s3.local", domains=("s3.local",)).op is Op.LIST
    assert of("GET /b/k", host="s3.local", domains=("s3.local",)).bucket == "b"


@pytest.mark.parametrize(
    "key", ["..", ".", "a/../b", "../b/k", "%2e%2e/b", "a/%2E/b", "a%00b", "%FF", "x" * 1025]
)
def test_a_key_that_could_mean_another_place_is_refused(key: str) -> None:
    with pytest.raises(Fault) as caught:
        of(f"GET /b/{key}")
    assert caught.value.status == 400


def test_a_source_names_bucket_and_key_and_no_version() -> None:
    assert source("/b/a%20b/c") == ("b", "a b/c")
    assert source("b/k+1") == ("b", "k+1")
    for text in ("/b", "", "b/", "/b/k?versionId=1", "/b/../c/k"):
        with pytest.raises(Fault):
            source(text)
