"""Signatures, held against botocore's own signer as an independent judge."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import example, given
from hypothesis import strategies as st

from common.endpoints.s3.account import Keys
from common.endpoints.s3.signer import UNSIGNED, Signer, encoded, query_string

KEYS = Keys("AKID", "secret/+=", "")
WHEN = 1_790_000_000.5
HOST = "127.0.0.1:9000"
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
HOSTILE = "a b+c%41/.././/d\n;e=f&g?#'\"<>~ü😀\\*!()@,:$\x01"


def judge(method: str, path: str, headers: dict[str, str], payload: str, keys: Keys) -> str:
    """The Authorization header that botocore would send."""
    request = botocore.awsrequest.AWSRequest(method, f"http://{HOST}{path}", headers=headers)
    request.headers["X-Amz-Content-SHA256"] = payload
    credentials = botocore.credentials.Credentials(keys.access, keys.secret, keys.token or None)
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-9")
    when = datetime.datetime.fromtimestamp(int(WHEN), datetime.UTC)
    with (
        mock.patch.object(signer, "payload", return_value=payload),
        mock.patch.object(botocore.auth, "get_current_datetime", return_value=when),
    ):
        signer.add_auth(request)
    return str(request.headers["Authorization"])


def ours(
    method: str, path: str, query: str, headers: dict[str, str], payload: str, keys: Keys = KEYS
) -> str:
    sent = {"host": HOST, **headers}
    Signer("eu-west-9", lambda: WHEN).sign(keys, method, path, query, sent, payload)
    return sent["authorization"]


@given(key=names)
@example(key=HOSTILE)
@example(key="/")
@example(key="..")
def test_any_key_is_signed_as_an_independent_signer_does(key: str) -> None:
    path = f"/bucket/{encoded(key)}"
    assert ours("GET", path, "", {}, UNSIGNED) == judge("GET", path, {}, UNSIGNED, KEYS)


@given(query=st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]))))
@example(query={"prefix": HOSTILE, "list-type": "2", "a": "", "a-b": "1", "a=": "2"})
def test_any_query_is_signed_as_an_independent_signer_does(query: dict[str, str]) -> None:
    text = query_string(query)
    expected = judge("GET", f"/bucket?{text}" if text else "/bucket", {}, UNSIGNED, KEYS)
    assert ours("GET", "/bucket", text, {}, UNSIGNED) == expected


values = st.text(st.characters(codec="ascii", exclude_categories=["Cc"])).map(str.strip)


@given(meta=st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True), values))
@example(meta={"double": "a  b   c"})
def test_any_metadata_is_signed_as_an_independent_signer_does(meta: dict[str, str]) -> None:
    headers = {f"x-amz-meta-{name}": value for name, value in meta.items()}
    headers |= {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==", "content-type": "text/plain"}
    assert ours("PUT", "/b/k", "", headers, "ab" * 32) == judge(
        "PUT", "/b/k", headers, "ab" * 32, KEYS
    )


def test_a_session_token_is_signed_and_sent() -> None:
    keys = Keys("AKID", "secret", "token/+=")
    expected = judge("GET", "/b/k", {}, UNSIGNED, keys)
    assert ours("GET", "/b/k", "", {}, UNSIGNED, keys) == expected


def test_the_key_of_the_day_changes_with_the_day_and_with_the_keys() -> None:
    now = [WHEN]
    signer = Signer("eu-west-9", lambda: now[0])

    def signed(keys: Keys) -> str:
        sent = {"host": HOST}
        signer.sign(keys, "GET", "/b/k", "", sent, UNSIGNED)
        return sent["authorization"]

    first, other = signed(KEYS), signed(Keys("AKID", "another", ""))
    now[0] += 86400
    later = signed(KEYS)
    now[0] = WHEN
    assert signed(KEYS) == first
    assert len({first, other, later}) == 3


def test_keys_never_show_their_secret() -> None:
    assert "secret" not in f"{KEYS}{KEYS!r}{[KEYS]}"


def test_a_key_that_is_not_text_of_this_world_cannot_be_signed_by_accident() -> None:
    caught: Any = None
    try:
        encoded("\udcff")
    except UnicodeEncodeError as exc:
        caught = exc
    assert caught is not None
