"""The wheel holds the four packages whole and nothing else, and works once it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"common", "producer", "consumer", "ops"}
LOOK = """
import importlib.metadata, json, common.model, consumer, producer, ops
script, = importlib.metadata.distribution("convoy").entry_points
print(json.dumps([common.model.__file__, consumer.__file__, producer.__file__, ops.__file__,
                  script.name, script.value]))
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = tmp_path.glob("*.whl")
    return built


def files_of(package: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_four_packages_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in ours} == PACKAGES
    assert ours == set().union(*map(files_of, PACKAGES))
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_installs_and_finds_itself_where_it_was_installed(
    wheel: Path, tmp_path: Path
) -> None:
    there = tmp_path / "installed"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(there)]
    subprocess.run([sys.executable, *install, str(wheel)], check=True)
    looked = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(there)},
        capture_output=True,
        text=True,
        check=True,
    )
    *paths, name, value = json.loads(looked.stdout)
    assert [Path(path).is_relative_to(there) for path in paths] == [True] * 4
    assert (name, value) == ("convoy", "ops.cli.main:main")
