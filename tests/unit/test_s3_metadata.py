"""What an object carries besides its contents: ours is found again, others' is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.digest import EMPTY
from common.endpoints.place import Item, Type
from common.endpoints.s3 import metadata

numbers = st.integers(0, 2**31 - 1)
unknown = st.just(-1)
files = st.tuples(
    st.just("x"),
    st.sampled_from([Type.FILE, Type.DIRECTORY]),
    st.just(0),
    unknown | st.integers(-(10**18), 9 * 10**18).filter(lambda ns: ns != -1),
    unknown | st.integers(0, 0o7777),
    unknown | numbers,
    unknown | numbers,
).map(lambda fields: Item(*fields))


@given(item=files)
def test_whatever_an_item_has_comes_back_and_nothing_else(item: Item) -> None:
    sent = metadata.headers(item, {})
    bare = Item("x", item.type)
    assert metadata.described(bare, sent) == item
    assert not metadata.attributes(item, sent, {})
    assert len(sent) == sum(field != -1 for field in item[3:7])


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_link_that_fits_comes_back(text: str) -> None:
    item = Item("l", Type.LINK, link=text)
    sent = metadata.headers(item, {})
    assert all(value.isascii() and value.isprintable() for value in sent.values())
    assert metadata.described(Item("l", Type.DIRECTORY), sent) == item


printable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@given(value=printable.map(str.strip).filter(bool))
def test_any_user_metadata_comes_back(value: str) -> None:
    item = Item("x", Type.FILE)
    sent = metadata.headers(item, {"meta:note": value})
    assert sent[f"{metadata.META}note"].isascii()
    found = metadata.attributes(item, sent, {})["meta:note"]
    assert " ".join(found.split()) == " ".join(value.split())


@given(tags=st.dictionaries(printable, st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_tags_come_back(tags: dict[str, str]) -> None:
    sent = metadata.headers(Item("x", Type.FILE), {f"tag:{k}": v for k, v in tags.items()})
    assert metadata.tags(sent.get(metadata.TAGGING, "")) == tags


def test_times_are_spelled_as_rclone_spells_them() -> None:
    spelled = [metadata.spelled_time(ns) for ns in (0, 10**9, 1_500_000_000, 1, -1_500_000_000)]
    assert spelled == ["0", "1", "1.5", "0.000000001", "-1.5"]


def test_a_spelling_that_is_not_ours_is_kept_as_it_is() -> None:
    answer = {"x-amz-meta-mtime": "1.500", "x-amz-meta-mode": "0644"}
    item = metadata.described(Item("x", Type.FILE), answer)
    assert (item.mtime_ns, item.mode) == (1_500_000_000, 0o644)
    kept = metadata.attributes(item, answer, {})
    assert kept == {"meta:mtime": "1.500", "meta:mode": "0644"}
    assert metadata.headers(item, kept) == answer


def test_modes_that_other_tools_write_in_decimal_are_not_taken_for_octal() -> None:
    for decimal in ("33188", "33206", "33152", "16877"):
        answer = {"x-amz-meta-mode": decimal}
        item = metadata.described(Item("x", Type.FILE), answer)
        assert item.mode == -1
        assert metadata.attributes(item, answer, {}) == {"meta:mode": decimal}


def test_only_a_plain_etag_of_an_unencrypted_object_vouches() -> None:
    etag = {"etag": f'"{EMPTY}"'}
    kms = "x-amz-server-side-encryption"
    assert metadata.vouched(etag) == metadata.vouched({**etag, kms: "AES256"}) == EMPTY
    assert metadata.vouched({"etag": f'"{EMPTY}-2"'}) == ""
    assert metadata.vouched({**etag, kms: "aws:kms"}) == ""
    assert metadata.vouched({**etag, f"{kms}-customer-algorithm": "AES256"}) == ""
    assert metadata.vouched({}) == metadata.vouched({"etag": "W/x"}) == ""


def test_attributes_of_other_worlds_are_left_out() -> None:
    alien = {"xattr:user.x": "eA==", "layout:part": "5", "header:x-evil": "1"}
    assert metadata.headers(Item("x", Type.FILE), alien) == {}
