"""What the documents name exists: a path in README.md or docs/ that leads nowhere is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
ROOMS = "common|producer|consumer|ops|tests|docs|bench|\\.ci"
PATH = re.compile(rf"(?<![\w./-])(?:{ROOMS})/[\w./-]*")
MODULE = re.compile(rf"`((?:{ROOMS})(?:\.\w+)+)`")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
MADE = "bench/out"  # written by the benchmarks, not kept


def paths(text: str) -> set[str]:
    return {match.rstrip(".") for match in PATH.findall(text) if not match.startswith(MADE)}


def is_named(module: str) -> bool:
    """A module, or something that its module holds."""
    inside, _, last = module.replace(".", "/").rpartition("/")
    if (ROOT / inside / last).is_dir() or (ROOT / inside / f"{last}.py").is_file():
        return True
    holder = ROOT / f"{inside}.py"
    return holder.is_file() and re.search(rf"\b{last}\b", holder.read_text()) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_module_and_link_in_a_document_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    lost = [path for path in sorted(paths(text)) if not (ROOT / path).exists()]
    lost += [name for name in MODULE.findall(text) if not is_named(name)]
    lost += [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    assert lost == []


def test_a_path_that_leads_nowhere_would_be_found() -> None:
    text = "see `ops/nowhere.py`, tests/unit, ops/bin/test. and https://host/docs/x or bench/out/a"
    assert paths(text) == {"ops/nowhere.py", "tests/unit", "ops/bin/test"}
    assert not is_named("common.errors.Nothing")
    assert is_named("common.errors.Transient")
