"""Which mover serves which kind. One line per kind, written out, nothing discovered."""

from __future__ import annotations

from collections.abc import Mapping

from common.model import Kind
from consumer.mover import Mover
from consumer.users.mover import UsersMover

MOVERS: Mapping[Kind, Mover] = {
    Kind.USERS: UsersMover(),
}
