"""The roll of real servers: which ones these tests ran against, and which were absent.

A server that is absent skips its tests on a laptop, visibly, and is an error where CI is set and
the server is required.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

USED: dict[str, str] = {}
ABSENT: dict[str, str] = {}


def used(server: str, what: str) -> None:
    """Note that `server` answered, and which version from where it was."""
    USED[server] = what


def absent(server: str, why: str = "is not installed", *, required: bool = True) -> NoReturn:
    """Give up on `server`: the test is skipped, or fails where CI requires the server."""
    ABSENT[server] = why
    if required and os.environ.get("CI"):
        raise RuntimeError(f"{server} {why}, and CI requires it")
    pytest.skip(f"{server} {why}")
