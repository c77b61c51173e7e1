"""`s3://bucket/prefix?endpoint=...&profile=...&region=...&path_style=...&sign_payload=...`

Says which store and bucket, and how to speak to it; never with whose keys: a URL that carries
credentials is refused, and no message repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from common.endpoints.wire import Origin
from common.errors import Refused

_KNOWN = ("endpoint", "profile", "region", "path_style", "sign_payload")
_FLAGS = {"true": True, "false": False, "": None}
_HINT = "write s3://bucket/prefix?endpoint=http://host:port&profile=NAME"


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket of a store, and how to reach it. What is empty is looked up in the profile."""

    bucket: str
    endpoint: str = ""
    profile: str = ""
    region: str = ""
    path_style: bool | None = None  # None: with an endpoint of one's own, or dots in the bucket
    sign_payload: bool = False  # else only its MD5 is signed, and TLS is trusted with the rest

    @classmethod
    def parse(cls, url: str) -> tuple[Location, str]:
        """The location and the prefix. The prefix is literal, as with every S3 tool: nothing in
        it is unescaped, so that no two user IDs can become one."""
        place, _, query = url.rpartition("?") if "?" in url else (url, "", "")
        scheme, _, rest = place.partition("://")
        bucket, _, prefix = rest.partition("/")
        if "@" in bucket:
            raise Refused(
                f"credentials in the address of bucket {bucket.rpartition('@')[2]!r}",
                hint="take them out; name a profile (?profile=NAME) instead",
            )
        if scheme.lower() != "s3" or not bucket:
            raise Refused("not an address of S3", hint=_HINT)
        return cls.of(bucket, dict(parse_qsl(query, keep_blank_values=True))), prefix

    @classmethod
    def of(cls, bucket: str, options: Mapping[str, str]) -> Location:
        """A bucket with the options that stood behind "?"."""
        _known(options)
        return cls(
            bucket=_bucket(bucket),
            endpoint=_endpoint(options.get("endpoint", "")),
            profile=options.get("profile", ""),
            region=options.get("region", ""),
            path_style=_flag("path_style", options),
            sign_payload=bool(_flag("sign_payload", options)),
        )

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + (f" at {self.endpoint}" if self.endpoint else "")


def _known(options: Mapping[str, str]) -> None:
    if unknown := [name for name in options if name not in _KNOWN]:
        raise Refused(  # only the name: the value may be a secret
            f"{unknown[0][:40]!r}: no option of an S3 address",
            hint=f"there are {', '.join(_KNOWN)}; credentials belong into a profile",
        )


def _bucket(name: str) -> str:
    plain = name.isascii() and name.replace("-", "").replace(".", "").replace("_", "").isalnum()
    if not plain or set(name) <= {"."}:
        raise Refused(f"{name!r}: no name of a bucket", hint=_HINT)
    return name


def _endpoint(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise Refused("an S3 endpoint is scheme, host and port, nothing more", hint=_HINT)
    return str(Origin.parse(url))


def _flag(name: str, options: Mapping[str, str]) -> bool | None:
    text = options.get(name, "").lower()
    if text not in _FLAGS:
        raise Refused(f"{name}={text!r}", hint="true or false")
    return _FLAGS[text]
