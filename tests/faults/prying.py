"""Asks a real control centre whatever its own description allows, and what it does not.

    python -m tests.faults.prying [SECONDS]

Requests are made up by schemathesis: valid ones, damaged ones, and sequences of them, by an
approver with a token, about migrations that are there. No answer may be a fault of the centre,
look otherwise than described, or be given to nobody.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.centre.users import FILE, Role, Users
from tests.guest import Guest
from tests.scenery import ground_of, scenery
from tests.servers.centre import centre

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance,negative_data_rejection,ignored_auth"
)
ENDLESS = "/api/v1/events"


@dataclass(frozen=True)
class Found:
    """How it went."""

    code: int
    said: str
    log: str


def pry(home: Path, *, seconds: int, seed: int) -> Found:
    """Ask for so long; `code` is 0 if every answer was as it must be."""
    with ground_of(home) as ground:
        there = scenery(ground)
    ids = [there.moving.id, there.stuck.id, there.paused.id, there.done.id, there.hostile.id]
    with centre(home) as serving:
        token = Users(home / FILE).add("prying", Role.APPROVER, token=True)
        described = Guest(serving.url, token=token).get("/openapi.json").json
        description = home / "openapi.json"
        description.write_text(json.dumps(_about(described, ids)))
        argv = [f"{sysconfig.get_path('scripts')}/schemathesis", "run", description]
        argv += ["--url", serving.url, "-H", f"Authorization: Bearer {token}", "--no-color"]
        argv += ["--max-time", str(seconds), "--seed", str(seed), "--checks", CHECKS]
        argv += ["--exclude-path", ENDLESS, "--generation-database", "none"]
        argv += ["--request-timeout", "20", "--continue-on-failure"]
        done = subprocess.run(
            list(map(str, argv)), cwd=home, env=dict(os.environ), capture_output=True, text=True
        )
        log = (home / "centre.log").read_text()
    return Found(done.returncode, done.stdout + done.stderr, log)


def _about(described: dict[str, object], ids: list[str]) -> dict[str, object]:
    """The description, about migrations that are there: the others are only ever a 404."""
    paths = described["paths"]
    assert isinstance(paths, dict)
    for item in paths.values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] == "id":
                    parameter["schema"] = {"type": "string", "enum": ids}
    return described


def main() -> None:
    """Pry as long as was said, from anywhere."""
    seconds, seed = int((sys.argv[1:] or ["300"])[0]), random.randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="convoy-prying-") as folder:
        found = pry(Path(folder) / "home", seconds=seconds, seed=seed)
    print(found.said)  # noqa: T201
    print(f"seed {seed}; faults in the log: {found.log.count('centre.fault')}")  # noqa: T201
    sys.exit(found.code)


if __name__ == "__main__":
    main()
