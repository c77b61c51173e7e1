"""File trees on a mounted file system, as source and as target."""

from __future__ import annotations

from common.endpoints.posix.capabilities import capabilities, prepare, probe
from common.endpoints.posix.listing import users
from common.endpoints.posix.source import PosixSource
from common.endpoints.posix.target import PosixTarget

__all__ = ["PosixSource", "PosixTarget", "capabilities", "prepare", "probe", "users"]
