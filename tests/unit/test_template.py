"""Endpoint URLs: what they mean, and what is refused."""

from __future__ import annotations

import pytest

from common.endpoints.template import Template, check_user
from common.errors import Refused


@pytest.mark.parametrize(
    ("url", "fixed", "names"),
    [
        ("file:///srv/home", "/srv/home", ("alice",)),
        ("/srv/home/", "/srv/home", ("alice",)),
        ("file:///srv/{user}/mail", "/srv", ("alice", "mail")),
        ("/srv/{user:0:2}/{user}", "/srv", ("al", "alice")),
        ("/srv/{user:-2:}/{user::1}/u-{user}.d", "/srv", ("ce", "a", "u-alice.d")),
        ("/{user}", "/", ("alice",)),
        ("file:///srv/a%20b/%C3%A9", "/srv/a b/é", ("alice",)),
        ("/srv/a%20b", "/srv/a%20b", ("alice",)),
        ("s3://bucket", "", ("alice",)),
        ("s3://bucket/a//b/?endpoint=http://127.0.0.1:9000", "a/b", ("alice",)),
        ("manifest+https://host:8443/lists/{user}.json", "lists", ("alice.json",)),
    ],
)
def test_a_template_says_where_a_user_is(url: str, fixed: str, names: tuple[str, ...]) -> None:
    template = Template.parse(url)
    assert template.fixed == fixed
    assert template.path_for("alice") == names
    assert template.user_of(names) == "alice"


def test_a_relative_path_is_seen_from_where_it_was_written() -> None:
    assert Template.parse("old", cwd="/srv").fixed == "/srv/old"


def test_options_of_an_endpoint_are_read_once() -> None:
    template = Template.parse("s3://bucket/p?endpoint=http://127.0.0.1:9000&profile=old%20one")
    assert template.host == "bucket"
    assert template.query == {"endpoint": "http://127.0.0.1:9000", "profile": "old one"}
    assert Template.parse(template.url) == template


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "empty"),
        ("old", "relative"),
        ("ftp://host/x", "scheme"),
        ("file://host/x", "host"),
        ("file:///x?y", "%3F"),
        ("file:///x/../y", "dot name"),
        ("file:///x%2fy", "slash"),
        ("file:///x%00y", "NUL"),
        ("/srv/\n", "control"),
        ("/srv/{usr}", "braces"),
        ("/srv/{user:0:2}", "share a place"),
        ("/srv/{user:0:2}/x{user:1:}", "share a place"),
        ("/srv/{user}{user:0:1}", "share a place"),
        ("/.convoy-x/{user}", "reserved"),
        ("s3://", "bucket"),
        ("s3://{user}/x", "bucket"),
        ("s3://key:secret@bucket/x", "password"),
        ("s3://bucket/x?a=1&a=2", "twice"),
    ],
)
def test_an_endpoint_that_cannot_keep_users_apart_or_is_unclear_is_refused(
    url: str, why: str
) -> None:
    with pytest.raises(Refused, match=why) as caught:
        Template.parse(url)
    assert "file:///" in caught.value.hint


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("", "empty"),
        (".", "dot"),
        ("..", "dot"),
        ("../x", "slash"),
        ("a/b", "slash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x9fb", "control"),
        ("x" * 256, "longer"),
        ("é" * 128, "longer"),
        ("\udcff", "UTF-8"),
        (".convoy-1", "reserved"),
    ],
)
def test_what_is_no_user_id_is_refused_with_its_reason(user: str, why: str) -> None:
    assert why in (check_user(user) or "")
    with pytest.raises(Refused, match=why):
        Template.parse("/srv").path_for(user)


@pytest.mark.parametrize("user", ["a", "é" * 127, "x" * 255, ".profile", "a b", "{user}", "%2e"])
def test_odd_but_sound_user_ids_are_taken(user: str) -> None:
    assert check_user(user) is None
    assert Template.parse("/srv").path_for(user) == (user,)


@pytest.mark.parametrize(("layout", "user"), [("1:2", "a"), ("1:2", "..b"), ("0:2", "..b")])
def test_a_user_that_a_layout_gives_no_sound_name_is_refused(layout: str, user: str) -> None:
    with pytest.raises(Refused, match="gives the name"):
        Template.parse(f"/srv/{{user:{layout}}}/{{user}}").path_for(user)


@pytest.mark.parametrize("names", [("al",), ("xx", "alice"), ("al", "alice", "x"), ("al", "al\n")])
def test_what_does_not_fit_the_layout_is_nobodys_place(names: tuple[str, ...]) -> None:
    assert Template.parse("/srv/{user:0:2}/{user}").user_of(names) is None
