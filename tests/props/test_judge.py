"""Laws of the judge of items. What it looks at is little, so all of it is tried.

An item that is carried (a file or a link) meets whatever a target may hold, under everything we
may remember of it, each number being unknown, as at the source, or another one.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

from common.endpoints.place import Held, Item, Type
from common.model import Check
from consumer.users.judge import Verdict, as_published, judge, unchanged
from consumer.users.manifest import Entry

UNKNOWN = -1
REPLACES = {Verdict.NEW, Verdict.UPDATE, Verdict.MEND}
KEEPS = {Verdict.SKIP, Verdict.COMPARE, Verdict.CONFLICT}

ITEMS = [
    Item("a", Type.FILE, 10, mtime_ns=mtime, md5=md5, version=version)
    for mtime, md5, version in product([UNKNOWN, 100], ["", "m"], ["", "v"])
] + [Item("a", Type.LINK, mtime_ns=100, link="here")]
HELD = [
    Held(Type.FILE, size, mtime, md5=md5, version=version)
    for size, mtime, md5, version in product(
        [10, 11], [UNKNOWN, 100, 200], ["", "m", "n"], ["", "e"]
    )
] + [
    Held(Type.LINK, link="here"),
    Held(Type.LINK, link="there"),
    Held(Type.DIRECTORY),
    Held(Type.OTHER),
]
ENTRIES = [
    Entry("file", size, mtime, "m", source, held, "", 1)
    for size, mtime, source, held in product(
        [10, 11], [UNKNOWN, 100, 200], ["", "v"], ["", "e", "f"]
    )
] + [Entry("link", 0, 100, "", "", "", link, 1) for link in ("here", "there")]
# what is remembered of two generations: as published, as published but older, and neither
KEY = [
    Entry("file", 10, mtime, "m", "v", held, "", 1) for mtime in (100, 200) for held in ("", "e")
]
OURS = [(), *((entry,) for entry in ENTRIES), *product(KEY, repeat=2)]


class Case(NamedTuple):
    """One look of the judge, and what it said to each wish and finding."""

    item: Item
    held: Held
    ours: tuple[Entry, ...]

    def say(self, check: Check, *, same: bool | None = None, overwrite: bool = False) -> Verdict:
        return judge(self.item, self.held, self.ours, check=check, overwrite=overwrite, same=same)


CASES = [Case(*case) for case in product(ITEMS, HELD, OURS)]
every_check = pytest.mark.parametrize("check", Check)
contents_count = pytest.mark.parametrize("check", [Check.MD5, Check.MANIFEST])
FOUND = (None, True, False)


@cache
def looks(check: Check) -> list[tuple[Case, bool | None, Verdict]]:
    """Everything that can be asked without --overwrite. Links have nothing to be read inside."""
    return [
        (case, same, case.say(check, same=same))
        for case in CASES
        for same in (FOUND if case.item.type is Type.FILE else FOUND[:1])
    ]


def is_ours(case: Case) -> bool:
    """Said in other words than the judge's: does something we know explain what is there?"""
    held = case.held
    for e in case.ours:
        if e.type != held.type or (e.size, e.link) != (held.size, held.link):
            continue
        if held.type is Type.LINK or (e.held and e.held == held.version):
            return True
        if (
            not e.held
            and UNKNOWN not in (e.mtime_ns, held.mtime_ns)
            and e.mtime_ns == held.mtime_ns
        ):
            return True
    return False


def is_left(case: Case) -> bool:
    """Do both sides show one and the same publication of ours?"""
    item, held = case.item, case.held
    for e in case.ours:
        told = (item.mtime_ns, e.mtime_ns) if item.mtime_ns != UNKNOWN else (item.version, e.source)
        alike = (e.type, e.size, e.link) == (item.type, item.size, item.link)
        if alike and told[0] == told[1] != "" and is_ours(Case(item, held, (e,))):
            return True
    return False


def unlike(case: Case) -> bool:
    """Nobody needs to look inside to see that these are two things."""
    item, held = case.item, case.held
    return (item.type, item.size, item.link) != (held.type, held.size, held.link)


def known_to_differ(case: Case, same: bool | None) -> bool:
    """Contents that were read tell; else those that both sides vouch for."""
    if same is not None:
        return not same
    return bool(case.item.md5 and case.held.md5 and case.item.md5 != case.held.md5)


def test_what_is_not_there_is_new() -> None:
    for item, ours, check, overwrite, same in product(ITEMS, OURS, Check, [True, False], FOUND):
        said = judge(item, None, ours, check=check, overwrite=overwrite, same=same)
        assert said is Verdict.NEW


@every_check
def test_what_is_there_is_never_new(check: Check) -> None:
    assert all(said is not Verdict.NEW for _, _, said in looks(check))


@every_check
def test_what_is_plainly_another_thing_is_never_skipped(check: Check) -> None:
    for case, same, said in looks(check):
        assert said is not Verdict.SKIP or not unlike(case), (case, same)


@contents_count
def test_contents_known_or_found_to_differ_are_never_skipped(check: Check) -> None:
    for case, same, said in looks(check):
        assert said is not Verdict.SKIP or not known_to_differ(case, same), (case, same)


def test_md5_skips_a_file_only_if_its_contents_were_read_or_vouched_for_and_agree() -> None:
    for case, same, said in looks(Check.MD5):
        if said is Verdict.SKIP and case.item.type is Type.FILE:
            assert same or (case.item.md5 and case.item.md5 == case.held.md5), (case, same)


def test_manifest_skips_a_file_unread_only_if_both_sides_are_as_we_left_them() -> None:
    for case, same, said in looks(Check.MANIFEST):
        if said is Verdict.SKIP and case.item.type is Type.FILE and not same:
            vouched = case.item.md5 and case.item.md5 == case.held.md5
            assert vouched or is_left(case), (case, same)


def test_mtime_skips_a_file_unread_only_if_it_is_known_and_agrees_or_is_as_we_left_it() -> None:
    for case, same, said in looks(Check.MTIME):
        if said is Verdict.SKIP and case.item.type is Type.FILE and not same:
            assert is_left(case) or case.item.mtime_ns == case.held.mtime_ns != UNKNOWN, (
                case,
                same,
            )


def test_what_is_as_we_left_it_is_not_read_again_where_that_is_enough() -> None:
    for check in (Check.MANIFEST, Check.MTIME):
        for case in CASES:
            known = check is Check.MANIFEST and known_to_differ(case, None)
            if is_left(case) and not unlike(case) and not known:
                assert case.say(check) is Verdict.SKIP, (check, case)


def test_an_mtime_that_is_known_and_agrees_is_enough_for_its_check() -> None:
    for case in CASES:
        if not unlike(case) and case.item.mtime_ns == case.held.mtime_ns != UNKNOWN:
            assert case.say(Check.MTIME) is Verdict.SKIP, case


def test_damage_is_mended_and_what_the_source_changed_is_updated() -> None:
    for case in CASES:
        if case.item.type is Type.FILE and not unlike(case) and is_ours(case):
            said = case.say(Check.MD5, same=False)
            assert said in (Verdict.MEND, Verdict.UPDATE), case
            if len(case.ours) == 1:
                assert (said is Verdict.MEND) == is_left(case), case


@every_check
def test_contents_found_the_same_are_skipped(check: Check) -> None:
    for case in CASES:
        if not unlike(case):
            assert case.say(check, same=True) is Verdict.SKIP, case


@every_check
def test_nothing_that_is_not_ours_is_replaced_without_overwrite(check: Check) -> None:
    for case, same, said in looks(check):
        assert said in KEEPS or is_ours(case), (case, same)


@every_check
def test_what_is_ours_and_not_right_is_replaced(check: Check) -> None:
    for case, same, said in looks(check):
        assert said is not Verdict.CONFLICT or not is_ours(case), (case, same)


@every_check
def test_overwrite_turns_conflicts_into_updates_and_changes_nothing_else(check: Check) -> None:
    for case, same, said in looks(check):
        turned = said is Verdict.CONFLICT and case.held.type is not Type.DIRECTORY
        expected = Verdict.UPDATE if turned else said
        assert case.say(check, same=same, overwrite=True) is expected, (case, same)


@every_check
def test_a_directory_is_never_replaced(check: Check) -> None:
    for case, same, overwrite in product(CASES, FOUND, [True, False]):
        if case.held.type is Type.DIRECTORY:
            assert case.say(check, same=same, overwrite=overwrite) is Verdict.CONFLICT


@every_check
def test_comparing_is_asked_for_once(check: Check) -> None:
    for case, same, said in looks(check):
        assert said is not Verdict.COMPARE or same is None, (case, same)


def test_comparing_is_asked_for_only_where_it_can_tell_something() -> None:
    for case, _, said in looks(Check.MD5):
        if said is Verdict.COMPARE:
            assert case.item.type is Type.FILE and not unlike(case)
            assert not (case.item.md5 and case.held.md5)


@pytest.mark.parametrize("check", [Check.SIZE, Check.MTIME])
def test_checks_by_size_and_mtime_never_read(check: Check) -> None:
    assert all(said is not Verdict.COMPARE for _, _, said in looks(check))


def test_check_by_size_looks_at_nothing_but_the_size() -> None:
    for case, same, said in looks(Check.SIZE):
        assert (said is Verdict.SKIP) == (not unlike(case)), (case, same)


@every_check
def test_only_damage_is_mended(check: Check) -> None:
    for case, same, said in looks(check):
        if said is Verdict.MEND:
            assert is_ours(case), (case, same)
            assert is_left(case), (case, same)
            assert known_to_differ(case, same), (case, same)


def test_every_verdict_is_given_in_some_case() -> None:
    said = {verdict for _, _, verdict in looks(Check.MD5)}
    assert said == set(Verdict) - {Verdict.NEW}


def test_what_is_unknown_on_both_sides_proves_nothing() -> None:
    blank = Entry("file", 10, UNKNOWN, "m", "", "", "", 1)
    assert not as_published(Held(Type.FILE, 10), blank)
    assert not unchanged(Item("a", Type.FILE, 10), blank)
    assert not unchanged(Item("a", Type.FILE, 10), blank._replace(mtime_ns=100))


def test_the_first_moment_of_the_epoch_is_a_time_like_any_other() -> None:
    item, held = Item("a", Type.FILE, 10, mtime_ns=0, version="v"), Held(Type.FILE, 10, mtime_ns=0)
    known = Entry("file", 10, 0, "m", "w", "", "", 1)
    assert as_published(held, known) and unchanged(item, known)
    assert not as_published(held, known._replace(mtime_ns=1))
    assert judge(item, held, (), check=Check.MTIME, overwrite=False) is Verdict.SKIP


def test_a_version_tells_where_there_is_no_mtime() -> None:
    known = Entry("file", 10, UNKNOWN, "m", "v", "e", "", 1)
    assert as_published(Held(Type.FILE, 10, version="e"), known)
    assert not as_published(Held(Type.FILE, 10, version="f"), known)
    assert unchanged(Item("a", Type.FILE, 10, version="v"), known)
    assert not unchanged(Item("a", Type.FILE, 10, version="w"), known)
