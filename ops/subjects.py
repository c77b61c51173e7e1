"""Reads a list of user IDs, from lines or from a column of CSV, streamed.

It judges nothing: a blank line or bad bytes come out as what they are, in their place, and are
refused by name and line at intake. No line is a comment, because a user may be called `#x`.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO, TextIO

from common.errors import Refused

LONGEST = 1 << 16  # bytes of one line that are kept; far more than any ID may have
_CODING = {"encoding": "utf-8", "errors": "surrogateescape"}


def lines(stream: BinaryIO) -> Iterator[str]:
    """One ID per line; LF or CRLF, with or without a byte order mark, of any length."""
    first = True
    while line := stream.readline(LONGEST):
        if first:
            line, first = line.removeprefix(codecs.BOM_UTF8), False
        _skip_rest(stream, line)
        yield line.removesuffix(b"\n").removesuffix(b"\r").decode(**_CODING)


def _skip_rest(stream: BinaryIO, line: bytes) -> None:
    """Of a line longer than any ID the beginning is enough to refuse it by."""
    while len(line) == LONGEST and not line.endswith(b"\n"):
        line = stream.readline(LONGEST)


def column(stream: BinaryIO, name: str) -> Iterator[str]:
    """The column `name` of a CSV file with a header; a row without it gives "".

    Rows are counted like lines: the header is the first.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        rows = _rows(text)
        header = next(rows, [])
        if name not in header:
            shown = ", ".join(header) or "nothing"
            raise Refused(
                f"there is no column {name!r}; the header has {shown}", hint="see --column"
            )
        at = header.index(name)
        for row in rows:
            yield row[at] if at < len(row) else ""
    finally:
        text.detach()  # the stream is not ours to close


def _rows(text: TextIO) -> Iterator[list[str]]:
    reader = csv.reader(text, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Refused(
                f"line {reader.line_num} of the list is no CSV: {error}",
                hint="quote fields with commas or line breaks, or give one ID per line",
            ) from error
        yield row
