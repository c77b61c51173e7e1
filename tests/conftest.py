"""What every test stands on: the real servers' fixtures, and the roll call at the end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import roll

_SERVERS = Path(__file__).with_name("servers")
pytest_plugins = [
    f"tests.servers.{name}"
    for name in ("redis", "mongo", "stores", "s3", "proxy", "gateways")
    if (_SERVERS / f"{name}.py").exists()
]


# a busy machine is slow, which says nothing about the code
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# started in the background or by nohup we would hand on signals that are ignored, and the
# processes that the tests start must be able to be interrupted
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A pytest-xdist worker hands its part of the roll to the process that reports."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["servers"] = {"used": roll.USED, "absent": roll.ABSENT}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over a worker's part of the roll."""
    part = getattr(node, "workeroutput", {}).get("servers", {})  # none if the worker crashed
    roll.USED.update(part.get("used", {}))
    roll.ABSENT.update(part.get("absent", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each real server these tests ran against, and each that was absent."""
    if roll.USED or roll.ABSENT:
        terminalreporter.section("servers")
    for name, what in sorted(roll.USED.items()):
        terminalreporter.write_line(f"{name}: {what}")
    for name, why in sorted(roll.ABSENT.items()):
        terminalreporter.write_line(f"{name}: ABSENT, {why}")
