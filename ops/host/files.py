"""Small files of a host, written so that whoever reads them finds the old text or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import Denied


def replace(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put `text` there as a whole, durably, for the owner alone unless `mode` says otherwise."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        try:
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(file, "w") as out:
                os.fchmod(file, mode)
                out.write(text)
                out.flush()
                os.fsync(file)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise Denied(
            f"{path} cannot be written: {error.strerror}",
            hint="make room on the disk of the home, and let its owner write there",
        ) from error
