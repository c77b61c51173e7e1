"""Laws of templates, for any layout and any users: nobody is ever given another's place."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, event, given
from hypothesis import strategies as st

from common.endpoints.template import Template, check_user
from common.errors import Refused

USERS = st.text(min_size=1, max_size=12) | st.text("ab.", min_size=1, max_size=4)
INDEX = st.sampled_from(["", "0", "1", "2", "-1", "-2"])
SLICE = st.builds("{{user:{}:{}}}".format, INDEX, INDEX) | st.just("{user}")
PIECE = SLICE | st.text("ab-.", max_size=2)
NAME = st.lists(PIECE, min_size=1, max_size=3).map("".join)
LAYOUT = st.lists(NAME, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))


def parsed(layout: str) -> Template:
    try:
        return Template.parse(layout)
    except Refused:
        assume(False)
        raise


def place(template: Template, user: str) -> tuple[str, ...] | None:
    try:
        return template.path_for(user)
    except Refused:
        return None


@given(LAYOUT, USERS, USERS)
def test_no_two_users_share_a_place_and_no_place_lies_in_another(
    layout: str, one: str, other: str
) -> None:
    template = parsed(layout)
    first, second = place(template, one), place(template, other)
    assume(first is not None and second is not None)
    assert first is not None
    assert second is not None
    event("both have a place")
    assert (first == second) == (one == other)
    assert len(first) == len(second)


@given(LAYOUT, USERS)
def test_a_place_is_made_of_names_and_leads_back_to_its_user(layout: str, user: str) -> None:
    template = parsed(layout)
    names = place(template, user)
    if names is None:
        return
    assert check_user(user) is None
    assert template.user_of(names) == user
    for name in names:
        assert name not in ("", ".", "..")
        assert not set(name) & {"/", "\0"}
        assert not name.startswith(".convoy")
        assert len(name.encode("utf-8", "surrogateescape")) <= 255


@given(LAYOUT)
def test_an_endpoint_has_one_spelling(layout: str) -> None:
    template = parsed(layout)
    assert Template.parse(template.url) == template
    assert Template.parse(template.url).url == template.url


def test_neighbours_in_a_sharded_layout_stay_apart() -> None:
    template = Template.parse("/srv/{user:0:1}/{user}")
    users = ["a", "aa", "ab", "a.", "b"]
    places = sorted("/".join(template.path_for(user)) for user in users)
    assert all(not right.startswith(f"{left}/") for left, right in pairwise(places))
