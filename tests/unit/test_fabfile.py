"""What the documents say of `fab` is so: every command and every option of it exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fabric.main import make_program

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SPAN = re.compile(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
VALUED = ("-H", "-i")
OLD = "-Hip1,ip2"  # how it was spelled once


@pytest.fixture(scope="module")
def tasks() -> dict[str, set[str]]:
    """The options of every task."""
    before, sys.argv = sys.argv, ["fab"]
    try:
        spec = importlib.util.spec_from_file_location("fabfile", ROOT / "fabfile.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.argv = before
    found = [each for each in vars(module).values() if hasattr(each, "get_arguments")]
    return {task.name.replace("_", "-"): _options(task) for task in found}


def _options(task: Any) -> set[str]:
    return {f"--{name}" for argument in task.get_arguments() for name in argument.names}


def core() -> set[str]:
    """The options of fab itself."""
    names = (name for argument in make_program().core_args() for name in argument.names)
    return {f"--{name}" if len(name) > 1 else f"-{name}" for name in names}


def spoken(text: str) -> Iterator[list[str]]:
    """Every `fab` command in a document, as words."""
    for block, span in SPAN.findall(text):
        for line in (block or span).splitlines():
            if line.startswith("fab "):
                yield shlex.split(line.partition(" #")[0])[1:]


def wrong(words: list[str], tasks: dict[str, set[str]]) -> list[str]:
    """Words that mean nothing, up to what is another program's."""
    known, found = core(), list[str]()
    words = words[: words.index("--")] if "--" in words else words
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in VALUED:
            skip = True
        elif word in tasks:
            known = core() | tasks[word]
        elif word.startswith("-") and word.partition("=")[0] not in known:
            found.append(word)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_fab_command_and_option_in_a_document_exists(
    document: Path, tasks: dict[str, set[str]]
) -> None:
    for words in spoken(document.read_text()):
        if words[-1] != "..." and words[0] not in ("--list", OLD):
            assert any(word in tasks for word in words), words
            assert wrong(words, tasks) == [], words


def test_a_command_or_option_that_does_not_exist_would_be_found(
    tasks: dict[str, set[str]],
) -> None:
    assert wrong(["-H", "h1", "stop", "--now", "--loud"], tasks) == ["--loud"]
    assert wrong(["-H", "h1", "run", "--", "ls", "--loud"], tasks) == []
    assert list(spoken("```\nfab -H h1 fly # high\n```")) == [["-H", "h1", "fly"]]


def test_every_task_says_what_it_does_and_has_the_shared_options(
    tasks: dict[str, set[str]],
) -> None:
    assert len(tasks) == 11
    shared = {"--hosts-file", "--home", "--at-once", "--known-hosts", "--json", "--serial"}
    assert all(shared <= options for options in tasks.values())
