"""What the page is made of: small modules that fetch from nowhere else and obey no strange text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "ops/centre/page"
FILES = sorted(PAGE.iterdir())
MODULES = [path for path in FILES if path.suffix == ".js"]
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|setHTML|\beval\(|new Function|javascript:|srcdoc="
)
ELSEWHERE = re.compile(r"(?:https?:)?//[\w.-]+\.\w+")
NAMESPACE = "http://www.w3.org/2000/svg"

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)


@every_module
def test_a_module_is_small_says_what_it_is_for_and_has_no_way_in_for_markup(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert text.startswith("// ")
    assert SINKS.findall(text) == []


@every_module
def test_what_a_module_imports_is_there_and_is_exported(path: Path) -> None:
    text = path.read_text()
    for names, module in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', text):
        there = (PAGE / module).read_text()
        for name in names.split(","):
            word = name.strip().split(" as ")[0]
            pattern = rf"export (?:async )?(?:function|const|class|let) {word}\b"
            assert re.search(pattern, there), (module, word)
            assert len(re.findall(rf"\b{name.split()[-1]}\b", text)) > 1, f"{word} is not used"
    for module in re.findall(r'import\("\./([\w.]+)"\)', text):
        assert (PAGE / module).is_file()


@every_file
def test_no_file_leads_elsewhere(path: Path) -> None:
    text = path.read_text().replace(NAMESPACE, "").replace("https://\\u2026", "")
    assert ELSEWHERE.findall(text) == []


def test_the_page_names_files_that_exist_and_carries_no_script_or_style_of_its_own() -> None:
    text = (PAGE / "index.html").read_text()
    named = set(re.findall(r'(?:href|src)="([\w.]+)"', text))
    assert named <= {path.name for path in FILES}
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text) == []
    styles = {path.name for path in FILES if path.suffix == ".css"}
    assert styles <= named
