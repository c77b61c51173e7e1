"""Names and reasons as people can read them and every store can hold them."""

from __future__ import annotations


def legible(text: str) -> str:
    """Odd bytes become \\xNN, other lone surrogates \\uNNNN, NUL \\x00; the rest stays as it is."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # not from a file system: no byte stands behind it
        data = text.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
