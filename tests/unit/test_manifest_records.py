"""What is believed of a manifest, and what is refused by name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.digest import EMPTY, md5
from common.endpoints.manifest.catalogue import Catalogue
from common.endpoints.manifest.records import RECORD, Record, read
from common.errors import Refused
from common.model import Failure

BASE = "https://host/users/alice.json"
GOOD = {"path": "a/b.txt", "url": "/files/1", "length": 5, "md5": EMPTY}


def parsed(text: str | bytes, *, table: bool = False, size: int = 7) -> list[Record | Failure]:
    data = text.encode() if isinstance(text, str) else text
    return list(read(pieces(data, size), BASE, table=table))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def only(**changes: Any) -> Record | Failure:
    [found] = parsed(json.dumps([GOOD | changes]))
    return found


def test_a_record_is_read_with_its_address_resolved() -> None:
    assert only() == Record("a/b.txt", "https://host/files/1", 5, EMPTY)
    assert only(mtime=1.5, mode="0640", more="ignored") == Record(
        "a/b.txt", "https://host/files/1", 5, EMPTY, 1_500_000_000, 0o640
    )


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("f 1", "https://host/users/f%201"),
        ("../up?x=1&y=a%20b", "https://host/up?x=1&y=a%20b"),
        ("//cdn.example/x", "https://cdn.example/x"),
        ("https://other:8443/\u00fc", "https://other:8443/%C3%BC"),
        ("a\nb", "https://host/users/a%0Ab"),
    ],
)
def test_addresses_are_seen_from_the_manifest(url: str, resolved: str) -> None:
    found = only(url=url)
    assert isinstance(found, Record) and found.url == resolved


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../x"}, {"path": "/etc/passwd"}, {"path": "a//b"}, {"path": "a/./b"},
        {"path": ""}, {"path": "a/"}, {"path": "a\0b"}, {"path": "x" * 256}, {"path": ".."},
        {"path": ".convoy-mine"}, {"path": "/".join(["x" * 200] * 30)}, {"path": "\ud800"},
        {"url": ""}, {"url": None}, {"url": 7}, {"url": "file:///etc/passwd"},
        {"url": "http://host/downgraded"}, {"url": "ftp://host/x"}, {"url": "https://u:p@host/x"},
        {"url": "https://[bad/x"}, {"url": "data:,x"}, {"url": "gopher://h"},
        {"length": -1}, {"length": "many"}, {"length": 1.5}, {"length": None}, {"length": True},
        {"length": 1 << 70}, {"length": "\u0663"}, {"length": [5]},
        {"md5": "xyz"}, {"md5": None}, {"md5": EMPTY + "0"}, {"md5": 5}, {"md5": ""},
        {"mtime": "soon"}, {"mtime": True}, {"mtime": []}, {"mtime": 1e300}, {"mtime": "NaN"},
        {"mtime": "2026-01-01T00:00:00"}, {"mtime": "Infinity"},
        {"mode": "rw"}, {"mode": -1}, {"mode": 1 << 20}, {"mode": True}, {"mode": "9"},
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_by_name_and_harms_no_other(change: dict[str, Any]) -> None:
    found = parsed(json.dumps([GOOD, GOOD | change, GOOD | {"path": "last"}]), size=100_000)
    assert [type(record) for record in found] == [Record, Failure, Record]
    assert isinstance(found[1], Failure) and "entry 2" in found[1].reason and found[1].advice


@pytest.mark.parametrize("odd", [None, 5, "text", [], {}, {"path": 5}, {"path": None}])
def test_what_has_no_path_is_refused_by_number(odd: Any) -> None:
    [found] = parsed(json.dumps([odd]))
    assert isinstance(found, Failure) and found.item == "entry 1"


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "{}", '"x"', "[", "[1", "[1,", "[1 2]", "[1,]", "[1] x", "<html>", "[" * 100_000,
        "[{]", "nul", '[{"path": "x"', "[,1]",
    ],
)  # fmt: skip
def test_a_document_that_is_no_list_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(Refused, match="no manifest"):
        parsed(text)


def test_a_document_that_is_not_utf8_is_refused_as_a_whole() -> None:
    with pytest.raises(Refused, match="UTF-8"):
        parsed(b'[{"path": "\xff"}]')


def test_a_record_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    endless = b'[{"path": "' + b"x" * 10 * RECORD
    with pytest.raises(Refused):
        parsed(endless, size=4096)
    with pytest.raises(Refused, match="too long"):
        parsed(b"path,url,length,md5\n" + b"x" * 10 * RECORD, table=True, size=4096)


def test_an_empty_list_is_a_manifest_of_nothing() -> None:
    assert parsed(" [ ] ") == [] == parsed("\ufeff[]")


@pytest.mark.parametrize(
    ("mtime", "expected"),
    [
        (0, 0), ("1700000000.123456789", 1_700_000_000_123_456_789), (-1.5, -1_500_000_000),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000_000_000),
        ("2026-01-01T01:00:00.25+01:00", 1_767_225_600_250_000_000), (None, -1),
    ],
)  # fmt: skip
def test_times_are_exact(mtime: Any, expected: int) -> None:
    found = only(mtime=mtime)
    assert isinstance(found, Record) and found.mtime_ns == expected


def test_a_table_says_the_same_as_a_list() -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["md5", "path", "length", "url", "mtime", "mode"])
    writer.writeheader()
    rows = [GOOD | {"path": 'q"uote,\nnewline', "mtime": "1.5", "mode": "0644"}, GOOD]
    writer.writerows(rows)
    assert parsed(out.getvalue(), table=True) == parsed(json.dumps(rows))


@pytest.mark.parametrize("text", ["", "path,url\na,b\n", 'path,url,length,md5\n"a,b', "\0"])
def test_a_table_without_the_right_columns_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(Refused, match="no manifest"):
        parsed(text, table=True)


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=20)
rows_ = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.lists(names, min_size=1, max_size=3).map("/".join),
            "url": st.text(max_size=20),
            "length": st.integers(0, 1 << 40),
            "md5": st.binary(max_size=3).map(lambda data: md5(data).hexdigest()),
        }
    ),
    max_size=8,
)


@given(rows=rows_, size=st.integers(1, 64), indent=st.sampled_from([None, 2]))
def test_however_a_list_is_cut_on_its_way_it_says_the_same(
    rows: list[dict[str, Any]], size: int, indent: int | None
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=size % 2 == 0)
    found = parsed(text, size=size)
    assert found == parsed(text, size=1 << 20)
    assert len(found) == len(rows)
    for row, record in zip(rows, found, strict=True):
        assert isinstance(record, Failure) or record.path == row["path"]


def test_the_same_record_twice_is_there_once_and_contradictions_are_refused() -> None:
    one = Record("a", "https://h/1", 1, EMPTY)
    two = Record("b", "https://h/2", 2, EMPTY)
    catalogue = Catalogue([one, two, one, two._replace(size=3), Failure("x", "bad")])
    assert [getattr(found, "path", None) or found.item for found in catalogue.all()] == [  # type: ignore[union-attr]
        "x", "a", "b",
    ]  # fmt: skip
    assert catalogue.find("a") == one
    assert catalogue.find("b") is None and catalogue.find("c") is None
    catalogue.close()


def test_a_large_catalogue_is_sorted_by_bytes_and_whole() -> None:
    paths = [f"d{number % 7}/f{number}" for number in range(2500)]
    catalogue = Catalogue(Record(path, "https://h/", 0, EMPTY) for path in paths)
    found = [record.path for record in catalogue.all() if isinstance(record, Record)]
    assert found == sorted(paths)
    assert catalogue.below("d3") and not catalogue.below("d") and not catalogue.below("d3/f3")
    catalogue.close()
