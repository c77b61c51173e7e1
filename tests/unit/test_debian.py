"""While Debian packages are installed no service starts; afterwards all is as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "exit 101\n"


def shell(policy: Path, script: str) -> str:
    """Run with the policy of a machine of its own, which needs no rights."""
    before = f'source "{ROOT}/ops/bin/debian.sh"; policy="{policy}"; as_root() {{ "$@"; }}; '
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", before + script],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


def test_services_are_held_and_then_free_again(policy: Path) -> None:
    assert shell(policy, 'hold_services; cat "$policy"; calm_services').endswith(OURS)
    assert not policy.exists()


def test_a_policy_of_the_machines_own_waits_aside_and_comes_back(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 104\n")
    assert shell(policy, 'hold_services; cat "$policy"; calm_services').endswith(OURS)
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"
    assert [path.name for path in policy.parent.iterdir()] == [policy.name]


def test_a_policy_that_forbids_already_is_not_touched(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 101\n")
    before = policy.stat()
    shell(policy, "hold_services; calm_services")
    assert policy.stat() == before


def test_what_a_killed_run_left_is_put_right_by_the_next(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 104\n")
    shell(policy, "hold_services")
    shell(policy, "hold_services; calm_services")
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_packages_that_are_there_need_no_rights_and_no_network(policy: Path) -> None:
    script = "missing() { :; }; as_root() { echo asked; }; debian_install bash && echo done"
    assert shell(policy, f"apt-get() {{ :; }}; dpkg-query() {{ :; }}; {script}") == "done\n"
