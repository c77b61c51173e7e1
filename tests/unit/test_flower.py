"""What Flower is told: a password that nobody reads off a command line, and limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import Denied, Refused
from ops import flower


def told(home: Path, **environ: str) -> dict[str, str]:
    return flower.environment(home, environ, address="127.0.0.1", port=5555, control=False)


def test_a_password_is_drawn_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = told(tmp_path)["FLOWER_BASIC_AUTH"]
    assert first.startswith("convoy:")
    assert len(first) > 30
    assert told(tmp_path)["FLOWER_BASIC_AUTH"] == first
    assert (tmp_path / flower.FILE).stat().st_mode & 0o777 == 0o600
    assert first.partition(":")[2] not in " ".join(flower.argv())


def test_a_password_that_is_given_outweighs_the_file_and_is_handed_on_once(tmp_path: Path) -> None:
    env = told(tmp_path, CONVOY_FLOWER_AUTH="ann:geheim", PATH="/bin")
    assert [name for name, value in env.items() if "geheim" in value] == ["FLOWER_BASIC_AUTH"]
    assert env["PATH"] == "/bin"
    assert not (tmp_path / flower.FILE).exists()


@pytest.mark.parametrize("given", ["ann", ":x", "ann:", "ann:a,b", "ann:a\nb"])
def test_what_is_no_user_and_password_is_refused_and_never_shown(
    tmp_path: Path, given: str
) -> None:
    with pytest.raises(Refused) as caught:
        told(tmp_path, CONVOY_FLOWER_AUTH=given)
    assert given not in str(caught.value)


def test_a_password_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    told(tmp_path)
    (tmp_path / flower.FILE).chmod(0o644)
    with pytest.raises(Denied) as caught:
        told(tmp_path)
    assert caught.value.hint.startswith("chmod 600")


def test_it_only_looks_unless_told_so_and_its_interface_is_never_open(tmp_path: Path) -> None:
    env = told(tmp_path, FLOWER_UNAUTHENTICATED_API="1", FLOWER_READ_ONLY="False")
    assert env["FLOWER_READ_ONLY"] == "True"
    assert "FLOWER_UNAUTHENTICATED_API" not in env
    free = flower.environment(tmp_path, {}, address="::1", port=1, control=True)
    assert free["FLOWER_READ_ONLY"] == "False"


def test_its_memory_is_bounded_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    assert told(tmp_path)["FLOWER_MAX_TASKS"] == "10000"
    assert told(tmp_path, FLOWER_MAX_TASKS="50")["FLOWER_MAX_TASKS"] == "50"


@pytest.mark.parametrize(
    ("address", "local"),
    [
        *((address, True) for address in ("127.0.0.1", "127.0.0.9", "localhost", "::1")),
        *((address, False) for address in ("0.0.0.0", "10.0.0.7", "")),
    ],
)
def test_an_address_that_others_reach_is_known(address: str, local: bool) -> None:
    assert flower.local(address) is local
