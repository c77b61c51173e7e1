"""Names and reasons as people can read them and every store can hold them."""

from __future__ import annotations


def legible(text: str) -> str:
    """Odd bytes (lone surrogates) become \\xNN; the rest stays as it is."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
