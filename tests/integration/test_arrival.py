"""What a host does with what was shipped: installed beside the rest, switched to in one step."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.fleet import arrive
from ops.fleet.bundle import Bundle

PROGRAM = arrive.__file__
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
SCRIPT = "[console_scripts]\nconvoy = {module}:main\n"
MAIN = "import burden\ndef main():\n    print('convoy {version} with burden', burden.WEIGHT)\n"


def wheel(folder: Path, name: str, version: str, text: str, requires: str = "") -> Path:
    """A small wheel of one module; one that is called convoy has its command."""
    module = f"{name}_module" if name == "convoy" else name
    info = f"{name}-{version}.dist-info"
    files = {
        f"{module}.py": text,
        f"{info}/METADATA": METADATA.format(name=name, version=version, requires=requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "convoy":
        files[f"{info}/entry_points.txt"] = SCRIPT.format(module=module)
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(each, content)
    return path


@dataclass
class Host:
    """A home, and what is done there."""

    home: Path
    shipped: Path

    def bundle(self, version: str) -> Bundle:
        requires = "Requires-Dist: burden>=1\nRequires-Dist: nothing-at-all; extra == 'more'\n"
        ours = wheel(self.shipped, "convoy", version, MAIN.format(version=version), requires)
        load = wheel(self.shipped / "house", "burden", "1.0", "WEIGHT = 7\n")
        return Bundle(ours, (load,))

    def ship(self, bundle: Bundle, env: str = "") -> Path:
        """Put it there, as SSH does."""
        folder = self.home / bundle.folder
        for file, name in bundle.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(file.read_bytes())
        if env:
            (folder / "env.new").write_text(env)
        (folder / "order.json").write_text(bundle.order(env="env.new" if env else ""))
        return folder

    def arrive(self, word: str | Path) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        return subprocess.run(
            [sys.executable, "-I", PROGRAM, str(self.home), str(word)],
            env=env | {"PIP_NO_INDEX": "1"},  # no network, whatever the wheels want
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, word: str | Path) -> dict[str, Any]:
        found = self.arrive(word)
        assert found.returncode == 0, found.stderr
        told: dict[str, Any] = json.loads(found.stdout)
        return told

    def says(self) -> str:
        """What the current version says of itself."""
        program = self.home / "current/bin/convoy"
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "home").mkdir()
    return Host(tmp_path / "home", tmp_path / "shipped")


def test_versions_come_without_a_network_stand_side_by_side_and_go_back(host: Host) -> None:
    first, second = host.bundle("1.0"), host.bundle("2.0")
    told = host.done(host.ship(first, env="A=1\n") / "order.json")
    assert told == {
        "version": first.version,
        "before": "",
        "answer": "convoy 1.0 with burden 7",
    }
    assert ((host.home / "env").read_text(), host.says()) == ("A=1\n", told["answer"])
    again = host.done(host.ship(first) / "order.json")
    assert again["before"] == first.version
    assert not (host.home / "previous").exists()
    assert host.done(host.ship(second) / "order.json")["before"] == first.version
    assert host.says() == "convoy 2.0 with burden 7"
    assert len(list((host.home / "layers").iterdir())) == 1  # the same dependencies
    back = host.done("--back")
    assert (back["version"], back["before"]) == (first.version, second.version)
    assert host.says() == "convoy 1.0 with burden 7"
    assert host.done("--back")["version"] == second.version
    assert (host.home / "env").read_text() == "A=1\n"


def test_what_is_damaged_cut_off_or_mute_is_not_switched_to(host: Host) -> None:
    first, second = host.bundle("1.0"), host.bundle("2.0")
    host.done(host.ship(first) / "order.json")
    folder = host.ship(second)
    damaged = folder / second.wheel.name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    failed = host.arrive(folder / "order.json")
    assert (failed.returncode, "did not arrive as it was" in failed.stderr) == (1, True)
    assert not damaged.exists()  # so that it is shipped again
    text = "def main():\n    raise SystemExit('no')\n"
    mute = Bundle(wheel(host.shipped, "convoy", "3.0", text), first.wheelhouse)
    assert host.arrive(host.ship(mute) / "order.json").returncode == 1
    assert host.says() == "convoy 1.0 with burden 7"
    half = host.home / "versions" / second.version / "bin"
    half.mkdir(parents=True)
    (half / "convoy").write_text("half a program")
    host.done(host.ship(second) / "order.json")
    assert host.says() == "convoy 2.0 with burden 7"


def test_dependencies_that_cannot_be_had_are_named(host: Host) -> None:
    text = "Requires-Dist: burden>=99\n"
    bundle = Bundle(wheel(host.shipped, "convoy", "1.0", "def main(): ...\n", text))
    failed = host.arrive(host.ship(bundle) / "order.json")
    assert failed.returncode == 1
    assert "burden>=99" in failed.stderr
    assert not (host.home / "current").exists()


def test_there_is_nothing_to_go_back_to_before_a_second_version(host: Host) -> None:
    failed = host.arrive("--back")
    assert (failed.returncode, "no earlier version" in failed.stderr) == (1, True)


def test_old_versions_go_except_those_that_somebody_runs(host: Host) -> None:
    versions = host.home / "versions"
    for number in range(8):
        (versions / f"old{number}/bin").mkdir(parents=True)
        os.utime(versions / f"old{number}", (number, number))
    for link, name in (("current", "old7"), ("previous", "old0")):
        (host.home / link).symlink_to(f"versions/{name}")
    runs = versions / "old1/bin/python"
    runs.symlink_to(sys.executable)
    words = [str(runs), "-c", "print(flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # before it runs, it has no command line to be known by
        lock = host.home / "run/consumer/c01@h.lock"
        lock.parent.mkdir(parents=True)
        lock.write_text(json.dumps({"pid": process.pid}).ljust(512))
        arrive.prune(host.home, Path("/elsewhere"))
        process.communicate(b"\n")
    left = {path.name for path in versions.iterdir()}
    assert left == {"old7", "old0", "old1", "old6", "old5", "old4"}


def test_a_bundle_is_named_by_what_is_in_it(host: Host) -> None:
    first, other = host.bundle("1.0"), host.bundle("2.0")
    sha = hashlib.sha256(first.wheel.read_bytes()).hexdigest()
    assert first.version == f"1.0-{sha[:8]}"
    assert first.layer == other.layer
    assert Bundle(first.wheel).layer != first.layer  # from elsewhere, so perhaps others
    assert first.requires == ["burden>=1"]
    spoken = Bundle(first.wheel, settings="CONVOY_HOST={host}\nX={user}\n").env("h7")
    assert spoken == "CONVOY_HOST=h7\nX={user}\n"
