"""Whose keys are used, and what the configuration says of the store: asked of boto3.

Profile, environment, shared files, container and instance metadata: all as boto3 finds them.
Keys that expire are asked for again in time. Nothing here is ever printed.
"""

from __future__ import annotations

import ssl
import threading
import time
from typing import Any, NamedTuple

from common.endpoints.s3.location import Location
from common.endpoints.wire import Origin
from common.errors import Denied

FRESH = 60.0  # seconds for which keys are used before boto3 is asked whether they still hold
REGION = "us-east-1"  # what a store that has no regions expects


class Keys(NamedTuple):
    """One set of credentials."""

    access: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return "Keys(...)"


class Account:
    """The configured identity towards one store. Safe from many threads."""

    def __init__(self, location: Location) -> None:
        # not above: they cost a start a quarter second, also where there is no S3
        import boto3
        import botocore.exceptions
        import botocore.session

        self._foreign: type[Exception] = botocore.exceptions.BotoCoreError
        self._lock, self._until, self._keys = threading.Lock(), 0.0, Keys("", "")
        self._name = str(location)
        try:
            core = botocore.session.Session(profile=location.profile or None)
            self._session = boto3.Session(botocore_session=core)
            self.region = location.region or self._session.region_name or REGION
            self.endpoint = location.endpoint or self._configured_endpoint()
            self._bundle: Any = core.get_config_variable("ca_bundle")
            self._credentials = self._session.get_credentials()
        except self._foreign as exc:
            raise self._denied(exc) from exc
        if self._credentials is None:
            raise self._denied("there are none")

    def keys(self) -> Keys:
        """The keys as of now."""
        if time.monotonic() < self._until:
            return self._keys
        with self._lock:
            try:
                found = self._credentials.get_frozen_credentials()
            except self._foreign as exc:
                raise self._denied(exc) from exc
            self._keys = Keys(found.access_key, found.secret_key, found.token or "")
            self._until = time.monotonic() + FRESH
            return self._keys

    def context(self) -> ssl.SSLContext:
        """How certificates are checked: always, against the profile's bundle if it names one."""
        return ssl.create_default_context(cafile=self._bundle or None)

    def _configured_endpoint(self) -> str:
        client = self._session.client("s3", region_name=self.region)
        url = client.meta.endpoint_url
        client.close()
        return str(Origin.parse(url))

    def _denied(self, why: object) -> Denied:
        return Denied(
            f"{self._name}: no usable credentials or configuration: {why}",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile that has them",
        )
