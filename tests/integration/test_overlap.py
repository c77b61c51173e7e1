"""A migration whose target lies in its source, or the other way round, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.endpoints.overlap import overlap
from common.endpoints.template import Template

S3 = "s3://bucket/{}?endpoint=http://127.0.0.1:1"


def between(old: str, new: str) -> bool:
    return overlap(Template.parse(old), Template.parse(new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("file:///a", "file:///a"),
        ("file:///a", "file:///a/b"),
        ("file:///a/b", "file:///a"),
        ("file:///a", "file:///a/{user}/copy"),
        ("file:///a/{user}/home", "file:///a"),
        ("file:///a/{user}", "file:///a/{user:0:1}/{user}"),
        ("file:///a/{user}/x", "file:///a/b/{user}"),
        (S3.format("old"), S3.format("old")),
        (S3.format("{user}"), S3.format("new")),
    ],
)
def test_places_that_may_meet_are_told(old: str, new: str) -> None:
    assert between(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("file:///a", "file:///b"),
        ("file:///a/b", "file:///a/c"),
        ("file:///a/{user}/home", "file:///a/{user}/copy"),
        ("file:///a/old-{user}", "s3://a/old-{user}"),
        (S3.format("old"), S3.format("new")),
        (S3.format("old"), "s3://other/old?endpoint=http://127.0.0.1:1"),
    ],
)
def test_places_that_never_meet_are_no_trouble(old: str, new: str) -> None:
    assert not between(old, new)


def test_a_link_to_the_source_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").symlink_to("old")
    assert between(f"file://{tmp_path}/old", f"file://{tmp_path}/new")
