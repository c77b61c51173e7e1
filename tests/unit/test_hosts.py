"""Which hosts an operator means, and how the old spelling is said today."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import Missing, Refused
from ops.fleet.hosts import bare, chosen, modern


def test_hosts_come_from_the_command_line_and_from_a_file_each_once_in_order(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hosts"
    file.write_text("# rack one\nh3\nroot@h2:2222  # the odd one\n\nh1\n")
    assert chosen("h1,root@h2:2222,h1", "") == ["h1", "root@h2:2222"]
    assert chosen(" h1 , h2", str(file)) == ["h1", "h2", "h3", "root@h2:2222"]


@pytest.mark.parametrize("given", ["", ",", " , "])
def test_no_hosts_are_refused(given: str) -> None:
    with pytest.raises(Refused, match="no hosts"):
        chosen(given, "")


@pytest.mark.parametrize("given", ["-oProxyCommand=x", "a b", "@h", "h:ssh", "root@", "h;rm", "-"])
def test_what_is_no_host_is_refused_by_name(given: str) -> None:
    with pytest.raises(Refused, match="is no host"):
        chosen(f"h1,{given}", "")


def test_a_hosts_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="nowhere"):
        chosen("", str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("h1", "h1"),
        ("root@h1", "h1"),
        ("root@h1:2222", "h1"),
        ("10.0.0.7:22", "10.0.0.7"),
        ("root@[2001:db8::7]:22", "2001:db8::7"),
    ],
)
def test_a_host_has_a_name_without_user_and_port(host: str, name: str) -> None:
    assert bare(host) == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("start -Hip1,ip2", "fab -H ip1,ip2 start"),
        ("-Hip1,ip2 -uroot start", "fab -H root@ip1,root@ip2 start"),
        (
            "-Hip1,ip2 -uroot -psecret stop --now",
            "fab -H root@ip1,root@ip2 --prompt-for-login-password stop --now",
        ),
        ("-uroot start", "fab -H root@HOST start"),
        ("-Hh1 run -- ls -Hh2", "fab -H h1 run -- ls -Hh2"),
    ],
)
def test_the_old_spelling_is_said_anew_without_its_password(old: str, new: str) -> None:
    assert modern(old.split()) == new


@pytest.mark.parametrize(
    "words",
    ["start -H h1,h2", "-H h1,h2 start", "status", "-H h1 run -- ls -Hh2 -pq", "-p run"],
)
def test_the_new_spelling_is_left_alone(words: str) -> None:
    assert modern(words.split()) == ""
