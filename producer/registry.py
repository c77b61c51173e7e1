"""Which planner serves which kind. One line per kind, written out, nothing discovered."""

from __future__ import annotations

from collections.abc import Mapping

from common.model import Kind
from producer.planner import Planner
from producer.users import UsersPlanner

PLANNERS: Mapping[Kind, Planner] = {
    Kind.USERS: UsersPlanner(),
}
