"""An absent server skips its tests on a laptop, and is an error where CI is set."""

from __future__ import annotations

import pytest

from tests.servers import roll


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A roll of its own: the real one is reported at the end."""
    monkeypatch.setattr(roll, "ABSENT", {})


def test_an_absent_server_skips_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="teapot is not installed"):
        roll.absent("teapot")
    assert roll.ABSENT == {"teapot": "is not installed"}


def test_an_absent_server_is_an_error_where_ci_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(RuntimeError, match="CI requires it"):
        roll.absent("teapot")


def test_a_server_that_is_not_required_only_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.skip.Exception):
        roll.absent("teapot", required=False)
