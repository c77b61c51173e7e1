"""Which table governs which kind. One line per kind, written out, nothing discovered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.lifecycle.users import USERS
from common.machine import Machine
from common.model import Kind

LIFECYCLES: Mapping[Kind, Machine[Any, Any]] = {
    Kind.USERS: USERS,
}
