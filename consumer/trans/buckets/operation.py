"""Which operation of S3 a request asks for: known by method, by whether there is a bucket and a
key, and by its parameters. Every parameter has to be one that the operation knows: what is not
understood is not passed on to a store that may understand it differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from consumer.trans.buckets.faults import Fault
from consumer.trans.buckets.heads import Head, decoded

LONGEST = 1024  # bytes of a key


class Op(StrEnum):
    """What the gateway can do. Anything else is answered with 501."""

    LIST_BUCKETS = "ListBuckets"
    HEAD_BUCKET = "HeadBucket"
    CREATE_BUCKET = "CreateBucket"  # answered: there is no other than those served
    LOCATION = "GetBucketLocation"
    LIST = "ListObjects"
    LIST_2 = "ListObjectsV2"
    LIST_UPLOADS = "ListMultipartUploads"
    DELETE_MANY = "DeleteObjects"
    GET = "GetObject"
    HEAD = "HeadObject"
    PUT = "PutObject"
    COPY = "CopyObject"
    DELETE = "DeleteObject"
    GET_TAGS = "GetObjectTagging"
    PUT_TAGS = "PutObjectTagging"
    DELETE_TAGS = "DeleteObjectTagging"
    CREATE = "CreateMultipartUpload"
    PART = "UploadPart"
    PART_COPY = "UploadPartCopy"
    PARTS = "ListParts"
    COMPLETE = "CompleteMultipartUpload"
    ABORT = "AbortMultipartUpload"


WRITES = frozenset(
    {
        Op.DELETE_MANY,
        Op.PUT,
        Op.COPY,
        Op.DELETE,
        Op.PUT_TAGS,
        Op.DELETE_TAGS,
        Op.CREATE,
        Op.PART,
        Op.PART_COPY,
        Op.COMPLETE,
        Op.ABORT,
    }
)
_LIST = {"prefix", "delimiter", "marker", "max-keys", "encoding-type"}
_LIST_2 = {
    "list-type", "prefix", "delimiter", "max-keys", "encoding-type", "continuation-token",
    "start-after", "fetch-owner",
}  # fmt: skip
_ANSWERED = {
    f"response-{name}"
    for name in (
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    )
}
_UPLOADS = {"uploads", "prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads",
            "encoding-type"}  # fmt: skip
# parameter that names the operation, method -> operation and what else it may have
_BUCKET: Mapping[tuple[str, str], tuple[Op, set[str]]] = {
    ("HEAD", ""): (Op.HEAD_BUCKET, set()),
    ("PUT", ""): (Op.CREATE_BUCKET, set()),
    ("GET", "location"): (Op.LOCATION, {"location"}),
    ("GET", "uploads"): (Op.LIST_UPLOADS, _UPLOADS),
    ("GET", "list-type"): (Op.LIST_2, _LIST_2),
    ("GET", ""): (Op.LIST, _LIST),
    ("POST", "delete"): (Op.DELETE_MANY, {"delete"}),
}
_OBJECT: Mapping[tuple[str, str], tuple[Op, set[str]]] = {
    ("GET", ""): (Op.GET, _ANSWERED | {"partNumber"}),
    ("HEAD", ""): (Op.HEAD, _ANSWERED | {"partNumber"}),
    ("PUT", ""): (Op.PUT, set()),
    ("DELETE", ""): (Op.DELETE, set()),
    ("GET", "tagging"): (Op.GET_TAGS, {"tagging"}),
    ("PUT", "tagging"): (Op.PUT_TAGS, {"tagging"}),
    ("DELETE", "tagging"): (Op.DELETE_TAGS, {"tagging"}),
    ("POST", "uploads"): (Op.CREATE, {"uploads"}),
    ("PUT", "uploadId"): (Op.PART, {"uploadId", "partNumber"}),
    ("GET", "uploadId"): (Op.PARTS, {"uploadId", "max-parts", "part-number-marker"}),
    ("POST", "uploadId"): (Op.COMPLETE, {"uploadId"}),
    ("DELETE", "uploadId"): (Op.ABORT, {"uploadId"}),
}
_NAMING = ("location", "uploads", "list-type", "delete", "tagging", "uploadId")
_COPIES = {Op.PUT: Op.COPY, Op.PART: Op.PART_COPY}
# said by clients about themselves, or a part of the signature
_IGNORED = ("x-id", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
            "X-Amz-SignedHeaders", "X-Amz-Signature")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation, on what, and with which parameters of its own."""

    op: Op
    bucket: str
    key: str
    query: Mapping[str, str]


def asked(head: Head, domains: tuple[str, ...] = ()) -> Asked:
    """What the request asks for. Below one of `domains` the bucket stands in the host's name."""
    bucket, key = _place(head, domains)
    query = {name: value for name, value in head.query.items() if name not in _IGNORED}
    if not bucket:
        if head.method != "GET" or query.keys() - {"max-buckets", "prefix"}:
            raise _unknown(head)
        return Asked(Op.LIST_BUCKETS, "", "", query)
    naming = next((name for name in _NAMING if name in query), "")
    table = _OBJECT if key else _BUCKET
    op, known = table.get((head.method, naming), (None, set()))
    if op is None or query.keys() - known:
        raise _unknown(head)
    if "x-amz-copy-source" in head.headers:
        if op not in _COPIES:
            raise Fault("InvalidArgument", "This operation has no source to copy.")
        op = _COPIES[op]
    _checked(key)
    return Asked(op, bucket, key, query)


def source(header: str) -> tuple[str, str]:
    """Bucket and key that x-amz-copy-source names."""
    place, question, version = header.partition("?")
    if question:
        raise Fault("NotImplemented", f"Sources with a version are not known here: {version}.")
    bucket, _, key = decoded(place, plus=False).removeprefix("/").partition("/")
    if not bucket or not key:
        raise Fault("InvalidArgument", "x-amz-copy-source names no object.")
    _checked(key)
    return bucket, key


def _place(head: Head, domains: tuple[str, ...]) -> tuple[str, str]:
    host = head.headers["host"].rpartition(":")[0] or head.headers["host"]
    path = decoded(head.path, plus=False)
    for domain in domains:
        if host.endswith(f".{domain}"):
            return host.removesuffix(f".{domain}"), path[1:]
    bucket, _, key = path[1:].partition("/")
    return bucket, key


def _checked(key: str) -> None:
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        raise Fault("InvalidURI", "A key is UTF-8.") from None
    if len(raw) > LONGEST:
        raise Fault("KeyTooLongError", "Your key is too long.")
    if "\0" in key or not {".", ".."}.isdisjoint(key.split("/")):
        raise Fault("InvalidURI", "A key with a zero byte, or with a name that is . or .. in it.")


def _unknown(head: Head) -> Fault:
    return Fault("NotImplemented", f"The gateway does not know this {head.method}.")
