"""What the documents say is so: paths, links, commands, settings, failpoints, tests and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from common import quantities
from common.model import Kind, Migration
from common.settings import Settings
from ops import documents
from ops import report as reports
from ops.cli import exits
from ops.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
CODE = [p for room in ("common", "producer", "consumer", "ops") for p in (ROOT / room).rglob("*")]
ROOMS = "common|producer|consumer|ops|tests|docs|bench|\\.ci"
PATH = re.compile(rf"(?<![\w./-])(?:{ROOMS})/[\w./-]*")
MODULE = re.compile(rf"`((?:{ROOMS})(?:\.\w+)+)`")
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
SPAN = re.compile(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
COMMAND = re.compile(r"(?:^|\s|/)convoy ((?:[a-z]+ ?)+)([^|;&#\n]*)")
ROW = re.compile(r"\| `([A-Z_]+)` \| ([^|]+) \|")
VARIABLE = re.compile(r"\bCONVOY_[A-Z_]+\b")
MADE = "bench/out"  # written by the benchmarks, not kept

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def paths(text: str) -> set[str]:
    return {match.rstrip(".") for match in PATH.findall(text) if not match.startswith(MADE)}


def is_named(module: str) -> bool:
    """A module, or something that its module holds."""
    inside, _, last = module.replace(".", "/").rpartition("/")
    if (ROOT / inside / last).is_dir() or (ROOT / inside / f"{last}.py").is_file():
        return True
    holder = ROOT / f"{inside}.py"
    return holder.is_file() and re.search(rf"\b{last}\b", holder.read_text()) is not None


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def leads_nowhere(document: Path, link: str, anchor: str) -> bool:
    page = document.parent / link if link else document
    return not page.exists() or bool(anchor and anchor not in anchors(page))


def spoken(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Every `convoy ...` in code: its words, and the options behind them."""
    for block, inline in SPAN.findall(text):
        for words, rest in COMMAND.findall((block or inline).replace("\\\n", " ")):
            yield words.split(), re.findall(r"(?<!\S)--?[a-z][\w-]*", rest)


def options_of(words: list[str]) -> set[str] | None:
    """The options of a command; None if there is no such command."""
    found: Any = get_command(app)
    for word in words:
        if not hasattr(found, "commands"):
            break
        if word not in found.commands:
            return None
        found = found.commands[word]
    return {name for parameter in found.params for name in parameter.opts} | {"--help", "-h"}


@every_document
def test_every_path_module_and_link_in_a_document_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    lost = [path for path in sorted(paths(text)) if not (ROOT / path).exists()]
    lost += [name for name in MODULE.findall(text) if not is_named(name)]
    lost += [f"{to}#{at}" for to, at in LINK.findall(text) if leads_nowhere(document, to, at)]
    assert lost == []


def test_a_path_that_leads_nowhere_would_be_found() -> None:
    text = "see `ops/nowhere.py`, tests/unit, ops/bin/test. and https://host/docs/x or bench/out/a"
    assert paths(text) == {"ops/nowhere.py", "tests/unit", "ops/bin/test"}
    assert not is_named("common.errors.Nothing")
    assert is_named("common.errors.Transient")
    assert leads_nowhere(DOCS / "states.md", "architecture.md", "no-such-heading")
    assert leads_nowhere(DOCS / "states.md", "nowhere.md", "")


@every_document
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = TEST.findall(document.read_text())
    lost = [f"{path}::{name}" for path, name in named if not _defines(ROOT / path, name)]
    assert lost == []


def _defines(path: Path, name: str) -> bool:
    return path.is_file() and f"\ndef {name}(" in path.read_text()


def test_every_invariant_names_a_test_that_holds_it() -> None:
    _, *invariants = re.split(r"^## ", (DOCS / "invariants.md").read_text(), flags=re.MULTILINE)
    bare = [text.partition("\n")[0] for text in invariants if not TEST.search(text)]
    assert len(invariants) >= 10
    assert bare == []


@every_document
def test_every_command_and_option_in_a_document_exists(document: Path) -> None:
    wrong = []
    for words, options in spoken(document.read_text()):
        known = options_of(words)
        unknown = None if known is None else [option for option in options if option not in known]
        if unknown is None or unknown:
            wrong.append((words, unknown))
    assert wrong == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    text = "`convoy fly ID`\n```\nbash ops/bin/convoy report ID --loud\n```\n"
    assert list(spoken(text)) == [(["fly"], []), (["report"], ["--loud"])]
    assert options_of(["fly"]) is None
    assert "--loud" not in (options_of(["report"]) or set())


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        links = {(page.parent / to).resolve() for to, _ in LINK.findall(page.read_text()) if to}
        todo += [to for to in links if to.suffix == ".md" and to.exists()]
    assert [str(page) for page in DOCUMENTS if page not in seen] == []


@pytest.mark.parametrize("path", documents.PAGES)
def test_generated_pages_are_what_their_tables_say(path: str) -> None:
    assert (ROOT / path).read_text() == documents.PAGES[path](), f"run {documents.COMMAND}"


def test_every_failpoint_is_listed_and_every_listed_one_exists() -> None:
    listed = re.findall(r"^\| `([\w.]+)` \|", (DOCS / "faults.md").read_text(), re.MULTILINE)
    code = "".join(path.read_text() for path in CODE if path.suffix == ".py")
    assert sorted(listed) == sorted(set(re.findall(r'failpoint\("([\w.]+)"\)', code)))


def test_every_setting_is_listed_with_its_default() -> None:
    listed = dict(ROW.findall((DOCS / "settings.md").read_text()))
    settings = Settings.model_fields
    ours = {f"CONVOY_{name.upper()}": field for name, field in settings.items()}
    assert ours.keys() <= listed.keys()
    wrong = {name: listed[name] for name in ours if not _says(listed[name], ours[name])}
    assert wrong == {}


def _says(cell: str, field: Any) -> bool:
    default, text = field.get_default(call_default_factory=True), cell.strip().strip("`")
    if isinstance(default, timedelta):
        return quantities.span(text) == default
    if isinstance(default, int):
        return quantities.size(text) == default
    if isinstance(default, Path):
        return Path(text).expanduser() == default
    return text == "none" and not default


def test_every_variable_that_the_code_reads_is_listed() -> None:
    listed = set(VARIABLE.findall((DOCS / "settings.md").read_text()))
    files = [path for path in CODE if path.is_file() and path.suffix in (".py", ".sh", "")]
    read = {name for path in files for name in VARIABLE.findall(path.read_text())}
    assert read - listed == set()


def test_the_readme_says_what_exit_codes_mean() -> None:
    text = (ROOT / "README.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    codes = (exits.COMPLETE, exits.INCOMPLETE, exits.USAGE, exits.UNREACHABLE, exits.FAULT)
    assert told == {*codes, exits.INTERRUPTED}


def test_every_field_of_the_report_is_listed() -> None:
    text = (DOCS / "report.md").read_text()
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    migration = replace(a_migration(), options={"pass": reports.VERIFY})
    made = reports.compose(migration, {}, reports.Proofs("", []), [], more=0, now=0.0)
    assert listed == made.keys()


def a_migration() -> Migration:
    return Migration(
        "users-0", Kind.USERS, "file:///a", "file:///b", "done", 1, 1, 0.0, 0.0, 1.0, "", None,
        {}, {}, 0, None,
    )  # fmt: skip


def test_every_command_is_in_some_document() -> None:
    app_: Any = get_command(app)
    told = {word for path in DOCUMENTS for words, _ in spoken(path.read_text()) for word in words}
    assert app_.commands.keys() - told == set()
