"""Where results go: `bench/out` for every run, `bench/results` for those that are committed."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
OUT, KEPT = HERE / "out", HERE / "results"


def keep(name: str) -> None:
    """Copy the files of one benchmark to those that are committed."""
    KEPT.mkdir(exist_ok=True)
    for file in OUT.glob(f"{name}[.-]*"):
        shutil.copy(file, KEPT / file.name)
