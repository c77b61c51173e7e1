"""Migrates real trees of this machine every way, and lets independent tools compare.

    python -m tests.e2e.real_trees --tree /usr/share --tree /usr/lib/python3 --stores ceph,swift

Every folder in a tree is a user. Ways: files to files, files to S3, S3 to S3, S3 to files; each is
run twice, and the second run must move nothing. The judges are `rsync -anicHX --checksum` and
`rclone check --download`; ours are only asked for the counts. Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.fleet import Fleet, fleet
from tests.servers import ceph, swift
from tests.servers.s3 import CEPH, SWIFT, Store

CLUSTERS = {"ceph": (CEPH, ceph.cluster), "swift": (SWIFT, swift.cluster)}
PATIENCE = 1500  # seconds that one migration may take


class Journey:
    """One fleet and what the judges said."""

    def __init__(self, running: Fleet, home: Path) -> None:
        self.fleet, self.home = running, home
        self.wrong: list[str] = []

    def migrate(self, old: str, new: str, users: list[str]) -> None:
        """Twice: all moved, nothing moved."""
        for attempt in ("first", "second"):
            began = time.monotonic()
            migration = self.fleet.order(old, new, users)
            while not self.fleet.ended(migration):
                if time.monotonic() - began > PATIENCE:
                    self.wrong.append(f"{old} -> {new}: not done after {PATIENCE} s")
                    return
                time.sleep(0.2)
            sums = self.fleet.units.sums(self.fleet.migrations.get(migration.id))
            said = f"{attempt} {old} -> {new}: {sums.counts} {time.monotonic() - began:.1f} s"
            sys.stderr.write(said + "\n")
            if sums.quarantined or sums.counts.failed:
                seen = self.fleet.migrations.get(migration.id)
                reasons = [d["reason"] for d in self.fleet.units.of(seen) if d["state"] != "done"]
                self.wrong.append(f"{said}: {reasons[:3]}")
            if attempt == "second" and sums.counts.moved + sums.counts.mended:
                self.wrong.append(f"{said}: the second run moved something")

    def files_agree(self, old: Path, new: Path, users: list[str]) -> None:
        """By rsync: contents, modes, owners, times, links, hard links, attributes."""
        for user in users:
            argv = ["rsync", "-anicHX", "--checksum", "--delete"]
            self._judge([*argv, f"{old / user}/", f"{new / user}/"])

    def stores_agree(self, old: str, new: str, users: list[str]) -> None:
        """By rclone, which reads both sides."""
        found = shutil.which("rclone", path=sysconfig.get_path("scripts"))
        assert found, "rclone is not installed"
        listed = self.home / "users.txt"
        listed.write_text("".join(f"/{user}/**\n" for user in users))
        argv = [found, "check", "--download", "--include-from", str(listed), "--checkers", "8"]
        self._judge([*argv, "-q", old, new])

    def _judge(self, argv: list[str]) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        if done.returncode or lines:
            self.wrong.append(f"{' '.join(argv)}: {done.returncode} {lines[:5]}")


@contextmanager
def store(name: str, home: Path) -> Iterator[Store]:
    """A running cluster with two buckets, its keys where boto3 and rclone look for them."""
    character, cluster = CLUSTERS[name]
    home.mkdir()
    with cluster(home) as endpoint:
        ready = replace(character, endpoint=endpoint, bucket="old")
        client = ready.independent()
        for bucket in ("old", "new"):
            client.create_bucket(Bucket=bucket)
        client.close()
        credentials = home / "credentials"
        keys = f"aws_access_key_id={ready.access}\naws_secret_access_key={ready.secret}\n"
        credentials.write_text(f"[{name}]\n{keys}")
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(credentials)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint}
        settings |= {"ACCESS_KEY_ID": ready.access, "SECRET_ACCESS_KEY": ready.secret}
        for key, value in settings.items():
            os.environ[f"RCLONE_CONFIG_S_{key}"] = value
        yield ready


def travel(tree: Path, names: list[str], home: Path) -> list[str]:
    """Every way for one tree; what went wrong."""
    users = sorted(p.name for p in tree.iterdir() if p.is_dir() and not p.is_symlink())
    wrong: list[str] = []
    with ExitStack() as stack:
        (home / "files").mkdir()
        with fleet(home / "fleet", lease=20) as running:
            journey = Journey(running, home)
            journey.migrate(str(tree), str(home / "files"), users)
            journey.files_agree(tree, home / "files", users)
            wrong += journey.wrong
        for name in names:
            place = stack.enter_context(store(name, home / name))
            with fleet(home / f"fleet-{name}", lease=20) as running:
                journey = Journey(running, home)
                old, new = place.url("t"), place.url("t").replace("s3://old", "s3://new")
                journey.migrate(str(tree), old, users)
                journey.stores_agree(str(tree), "s:old/t", users)
                journey.migrate(old, new, users)
                journey.stores_agree("s:old/t", "s:new/t", users)
                (home / f"back-{name}").mkdir()
                journey.migrate(new, str(home / f"back-{name}"), users)
                journey.files_agree(tree, home / f"back-{name}", users)
                wrong += journey.wrong
            stack.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", action="append", type=Path)
    parser.add_argument("--stores", default="ceph,swift")
    arguments = parser.parse_args()
    wrong: list[str] = []
    for tree in arguments.tree or [Path("/usr/lib/python3"), Path("/usr/share")]:
        with tempfile.TemporaryDirectory(prefix="convoy-trees-") as home:
            wrong += travel(tree, [n for n in arguments.stores.split(",") if n], Path(home))
    for line in wrong:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{len(wrong)} differences\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
