"""What the design asks for: by path and peer, how many times as fast as the peer we must be."""

from __future__ import annotations

from dataclasses import dataclass

CP, RCLONE, CHECKED, RSYNC, S5CMD = (
    "cp -a", "rclone", "rclone --checksum", "two rsync -a", "s5cmd"
)  # fmt: skip
BOUND = "two cp -a, md5sum"  # what C makes of the same work on two cores: copy, digest


def synced(tool: str) -> str:
    """A tool in our terms: when it ends, what it wrote is on the disk."""
    return f"{tool}, sync"


@dataclass(frozen=True, slots=True)
class Goal:
    """Against `peer` on `path`: the least ratio, and the one we would like."""

    path: str
    peer: str
    least: float
    stretch: float | None = None
    of: str = "seconds"


SMALL, LARGE = "small files", "large files"
UP, ACROSS = "small files to S3", "small files S3 to S3"
BIG_UP, BIG_DOWN = "1 GiB file to S3", "1 GiB object from S3"
SKIP, SKIP_STORE = "skip by manifest", "skip by manifest, S3"
REREAD = "skip by content"

GOALS = (
    Goal(SMALL, synced(CP), 2.0),
    Goal(SMALL, synced(CHECKED), 2.0),
    Goal(SMALL, synced(RSYNC), 0.0, 1.0),
    Goal(SMALL, synced(BOUND), 0.0),
    Goal(SMALL, CP, 0.0),
    Goal(LARGE, synced(RCLONE), 1.4),
    Goal(LARGE, synced(RSYNC), 0.7, 1.0),
    Goal(UP, S5CMD, 1.0, 1.3),
    Goal(UP, CHECKED, 1.5),
    Goal(UP, S5CMD, 1 / 0.7, of="cpu"),
    Goal(ACROSS, CHECKED, 1.25, 1.6),
    Goal(BIG_UP, S5CMD, 1.0, 1.2),
    Goal(BIG_UP, RCLONE, 1.0, 1.2),
    Goal(BIG_DOWN, synced(S5CMD), 1.0, 1.2),
    Goal(BIG_DOWN, synced(RCLONE), 1.0, 1.2),
    Goal(SKIP, RCLONE, 2.0, 3.0),
    Goal(SKIP_STORE, CHECKED, 3.0, 5.0),
    Goal(REREAD, f"{RCLONE} check", 1.5, 2.0),
)
