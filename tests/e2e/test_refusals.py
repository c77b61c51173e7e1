"""What cannot be done is refused in a sentence, with an exit code that says why. Starts nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import Terminal


@pytest.fixture
def me(tmp_path: Path) -> Terminal:
    """A person at a home of their own."""
    return Terminal(tmp_path / "home")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report", "users-nobody"], 2, "there is no migration"),
        (["migrate", "users", "--source", "/nowhere/at/all", "--target", "/tmp"], 2, "nowhere"),
        (["migrate", "users", "--source", "s3://u:p@x", "--target", "/tmp"], 2, "plain"),
        (["migrate", "users", "--source", "/tmp", "--target", "/tmp"], 2, "in common"),
        (["migrate", "users", "--source", "/tmp"], 2, "Missing option"),
        (["limits", "x", "--bandwidth", "fast"], 2, "no size"),
        (["consumer", "-n", "a b"], 2, "no name"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused_in_a_sentence(
    me: Terminal, words: list[str], code: int, said: str
) -> None:
    done = me.called(*words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_broker_that_does_not_answer_is_told_from_a_refusal(me: Terminal, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    away = Terminal(
        me.home,
        {
            "CONVOY_BROKER_URL": "redis://:geheim@127.0.0.1:1/0",
            "CONVOY_STATE_URL": f"sqlite:///{tmp_path}/state.db",
        },
    )
    done = away.called("doctor")
    assert (done.code, "geheim" in done.out + done.err) == (1, False)
    done = Terminal(me.home, {"CONVOY_STATE_URL": "sqlite:////x"}).called("list")
    assert (done.code, "CONVOY_BROKER_URL is not set" in done.err) == (2, True)
    done = Terminal(me.home, {"CONVOY_ATTEMPTS": "none"}).called("--debug", "list")
    assert (done.code, "CONVOY_ATTEMPTS" in done.err, "Traceback" in done.err) == (2, True, True)


def test_a_command_helps_with_an_example(me: Terminal) -> None:
    listed = me.called("--help")
    assert "Exit codes: 0 complete" in listed.out
    for command in ("migrate users", "limits"):
        shown = me.called(*command.split(), "--help")
        assert (shown.code, f"Example: convoy {command}" in shown.out) == (0, True)
