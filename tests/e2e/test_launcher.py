"""`ops/bin/convoy` in a checkout of its own: what it prepares, when, and what it refuses to touch.

The checkout is this one's launcher and packaging around a command that only tells how it was
called, without dependencies, so that an environment is made in seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import roll
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
MAIN = """
import json, os, sys
def main():
    print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "python": sys.prefix}))
    sys.exit(3 if "fail" in sys.argv else 0)
"""
PREPARING = "convoy: preparing its environment"
HIDE = """
for folder in "$1" "$2"; do if [ -d "$folder" ]; then mount -t tmpfs none "$folder"; fi; done
shift 2; exec "$@"
"""

pytestmark = pytest.mark.xdist_group("launcher")


def lay_out(root: Path) -> Path:
    for package in ("common", "producer", "consumer", "ops", "ops/cli"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").touch()
    (root / "ops/cli/main.py").write_text(MAIN)
    shutil.copytree(ROOT / "ops/bin", root / "ops/bin")
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    project = (ROOT / "pyproject.toml").read_text()
    alone, cuts = re.subn(r"(?ms)^dependencies = \[$.*?^\]$", "dependencies = []", project)
    assert cuts == 1
    (root / "pyproject.toml").write_text(alone)
    return root


def command(root: Path, *words: str) -> list[str]:
    return ["bash", str(root / "ops/bin/convoy"), *words]


def environ(**changes: str | None) -> dict[str, str]:
    found: dict[str, str | None] = {**os.environ, "CONVOY_APT": "no", **changes}
    return {name: value for name, value in found.items() if value is not None}


def run(root: Path, *words: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    argv = command(root, *words)
    return subprocess.run(argv, env=environ(**changes), capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def first_two(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A fresh checkout with an unkind name, started twice at the same moment, with no HOME."""
    root = lay_out(tmp_path_factory.mktemp("checkout") / "a 'new' checkout")
    both = [
        subprocess.Popen(
            command(root, "list", name),
            env=environ(HOME=None),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    ends = [process.communicate(timeout=100) for process in both]
    return root, [
        subprocess.CompletedProcess(process.args, process.returncode, *end)
        for process, end in zip(both, ends, strict=True)
    ]


@pytest.fixture
def checkout(first_two: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> Path:
    return first_two[0]


def test_two_first_starts_at_once_prepare_one_environment_and_both_run(
    first_two: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    root, ends = first_two
    assert [told(done)["argv"] for done in ends] == [["list", "one"], ["list", "two"]]
    assert {told(done)["python"] for done in ends} == {str(root / ".venv")}
    said = "".join(done.stderr for done in ends).splitlines()
    assert sum(line.startswith(PREPARING) for line in said) == 1
    assert len(said) <= 2  # the other one may have said that it waits


def test_a_later_start_says_nothing_and_hands_everything_on(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "convoy"
    link.symlink_to(checkout / "ops/bin/convoy")
    words = ["show", "", "two words", "*", "--json"]
    done = subprocess.run(
        ["bash", str(link), *words],
        cwd=tmp_path,
        env={"HOME": "/proc/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told(done) == {
        "argv": words,
        "cwd": str(tmp_path),
        "python": str(checkout / ".venv"),
    }
    assert done.stderr == ""
    assert run(checkout, "fail").returncode == 3


def test_modules_of_the_same_name_elsewhere_do_not_shadow_ours(
    checkout: Path, tmp_path: Path
) -> None:
    for name in ("ops", "common"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    assert told(run(checkout, PYTHONPATH=str(tmp_path)))["argv"] == []


def test_a_changed_project_file_is_followed_once(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text() + "\n# changed\n")
    assert "bringing" in run(checkout, "list").stderr
    assert run(checkout, "list").stderr == ""


@pytest.fixture
def killed_halfway(tmp_path: Path) -> Path:
    root = lay_out(tmp_path / "checkout")
    with subprocess.Popen(
        command(root),
        env=environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        eventually((root / ".venv/bin/pip").exists)
        os.killpg(process.pid, signal.SIGKILL)
    return root


def test_an_environment_whose_making_was_cut_off_is_made_anew_even_with_no_home_to_write_to(
    killed_halfway: Path,
) -> None:
    done = run(killed_halfway, "list", HOME="/proc/nowhere")
    assert told(done)["argv"] == ["list"]
    assert PREPARING in done.stderr


def test_a_python_without_ensurepip_gets_its_environment_all_the_same(tmp_path: Path) -> None:
    """As Debian ships it. The folders are hidden from this one process only."""
    root = lay_out(tmp_path / "checkout")
    library = Path(os.__file__).parent
    hidden = [library / "ensurepip", "/usr/share/python-wheels"]
    without = ["unshare", "--mount", "sh", "-c", HIDE, "sh", *map(str, hidden)]
    if subprocess.run([*without, "true"], capture_output=True, check=False).returncode:
        roll.absent("unshare", "may not hide folders here", required=False)
    done = subprocess.run(
        [*without, *command(root, "list")],
        env=environ(CONVOY_PYTHON=os.path.realpath(sys.executable)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told(done)["argv"] == ["list"]
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_convoy_did_not_make_is_left_alone(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "checkout")
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis").write_text("years")
    done = run(root, CONVOY_VENV=str(precious))
    assert done.returncode == 1
    assert "holds something that convoy did not make" in done.stderr
    assert [path.name for path in precious.iterdir()] == ["thesis"]


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = run(lay_out(tmp_path / "checkout"), CONVOY_VENV="/proc/nowhere/venv")
    assert done.returncode == 1
    assert "cannot write /proc/nowhere/venv" in done.stderr
    assert "set CONVOY_VENV" in done.stderr


def test_a_missing_python_is_named_with_what_to_install(tmp_path: Path) -> None:
    done = run(lay_out(tmp_path / "checkout"), CONVOY_PYTHON="/bin/false")
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "apt install" in done.stderr


def test_what_pip_cannot_install_is_shown_and_tried_again_next_time(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "checkout")
    project = root / "pyproject.toml"
    good = project.read_text()
    project.write_text(re.sub(r'"hatchling>=[^"]*"', '"hatchling>=9999"', good))
    failed = run(root)
    assert failed.returncode == 1
    assert "hatchling>=9999" in failed.stderr
    assert "could not install" in failed.stderr
    project.write_text(good)
    assert told(run(root, "list"))["argv"] == ["list"]
