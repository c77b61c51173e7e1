"""What the gateway answers when it refuses: S3's own codes, each with its status.

A fault is raised where the reason is found and written to the client in one place. It never says
more than S3 would: no address, no key of a store, nothing of our own.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.errors import Refused

STATUS: Mapping[str, int] = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "IncompleteBody": 400,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidRequest": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "UnexpectedContent": 400,
    "XAmzContentSHA256Mismatch": 400,
}
RETRY = "1"  # seconds after which one who was told to slow down may come again


class Fault(Refused):
    """The request is answered with an error of S3."""

    def __init__(self, code: str, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.close = close  # what follows on the connection can no longer be told apart

    @property
    def status(self) -> int:
        return STATUS[self.code]


def slow_down(why: str) -> Fault:
    """Fail closed: come again. Never a 404 for what is only out of reach."""
    return Fault("SlowDown", why)
