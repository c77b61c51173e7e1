"""Lists of users as people and programs write them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from common.endpoints.template import check_user
from common.errors import Refused
from ops.subjects import LONGEST, column, lines


def read(data: bytes) -> list[str]:
    return list(lines(io.BytesIO(data)))


def test_one_line_is_one_user_with_any_line_end_and_a_byte_order_mark() -> None:
    assert read(b"\xef\xbb\xbfann\r\nbob\ncarl") == ["ann", "bob", "carl"]


def test_the_last_line_end_begins_no_further_line() -> None:
    assert read(b"ann\n") == ["ann"]
    assert read(b"") == []


def test_blank_lines_stay_in_their_place_to_be_refused_by_number() -> None:
    assert read(b"ann\n\n bob\n\n") == ["ann", "", " bob", ""]


def test_no_line_is_a_comment() -> None:
    assert read(b"#x\n# y\n") == ["#x", "# y"]


def test_bytes_that_are_not_utf8_come_out_as_what_they_are_and_are_refused() -> None:
    [odd, fine] = read(b"m\xfcller\nm\xc3\xbcller\n")
    assert odd.encode("utf-8", "surrogateescape") == b"m\xfcller"
    assert check_user(odd) == "it is not valid UTF-8"
    assert fine == "müller"
    assert check_user(fine) is None


def test_only_line_feeds_end_lines() -> None:
    assert read("a\u2028b\x0bc\rd\n".encode()) == ["a\u2028b\x0bc\rd"]


def test_a_line_longer_than_any_id_is_cut_and_counts_as_one() -> None:
    cut, after = read(b"x" * (3 * LONGEST + 5) + b"\nann\n")
    assert len(cut) == LONGEST
    assert after == "ann"


def test_a_line_of_exactly_the_longest_length_swallows_nothing() -> None:
    exact = b"y" * (LONGEST - 1) + b"\n"
    assert [len(line) for line in read(exact + b"ann\n")] == [LONGEST - 1, 3]
    assert [len(line) for line in read(b"y" * LONGEST + b"\nann\n")] == [LONGEST, 3]


def test_a_list_is_read_as_it_is_asked_for() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            self.given += len(buffer)
            buffer[:] = b"ann\n" * (len(buffer) // 4)
            return len(buffer)

    source = Endless()
    stream: Iterator[str] = lines(io.BufferedReader(source))  # type: ignore[type-var]
    assert [next(stream) for _ in range(3)] == ["ann", "ann", "ann"]
    assert source.given <= 1 << 20


def csv_column(data: bytes, name: str) -> list[str]:
    return list(column(io.BytesIO(data), name))


def test_a_column_of_csv_is_found_by_its_name() -> None:
    data = b'\xef\xbb\xbfname,id\r\n"Berg, Ann",ann\r\n"two\nlines",bob\r\n'
    assert csv_column(data, "id") == ["ann", "bob"]
    assert csv_column(data, "name") == ["Berg, Ann", "two\nlines"]


def test_a_row_without_the_column_is_an_empty_id_in_its_place() -> None:
    assert csv_column(b"a,id\n1,ann\n\n2\n3,carl\n", "id") == ["ann", "", "", "carl"]


def test_a_missing_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match=r"no column 'user'; the header has a, id"):
        csv_column(b"a,id\n1,ann\n", "user")
    with pytest.raises(Refused, match="the header has nothing"):
        csv_column(b"", "user")


def test_what_is_no_csv_is_refused_by_line() -> None:
    with pytest.raises(Refused, match=r"line 3 of the list is no CSV"):
        csv_column(b'id\nann\n"bob" x,\n', "id")


def test_bad_bytes_in_csv_are_refused_later_by_row() -> None:
    assert check_user(csv_column(b"id\nm\xfcller\n", "id")[0]) == "it is not valid UTF-8"
