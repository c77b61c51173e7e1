"""Which hosts are meant, as people write them: `user@host:port`, with commas or in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from common.errors import Missing, Refused

_HOST = re.compile(
    r"(?:[^@\s,:-][^@\s,:]*@)?(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
)
_OLD = re.compile(r"-([Hup])(.+)", re.DOTALL)


def chosen(given: str, file: str) -> list[str]:
    """Those on the command line and those in the file, each once, in order; Refused if none."""
    found = [*given.split(","), *(_lines(Path(file)) if file else ())]
    hosts = list(dict.fromkeys(filter(None, map(str.strip, found))))
    if not hosts:
        raise Refused("no hosts are given", hint="fab -H h1,root@h2:2222 ..., or --hosts-file FILE")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise Refused(f"{host!r} is no host", hint="write it like h1, root@h2 or root@h2:2222")
    return hosts


def bare(host: str) -> str:
    """Its name alone, without user and port: what `{host}` in a settings file becomes."""
    name = host.rpartition("@")[2]
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


def modern(words: Sequence[str]) -> str:
    """How to say today what was said in the old spelling (`-Hip1,ip2 -uroot -ppassword`); "" if it
    was not. A password is not repeated."""
    old = {}
    rest: list[str] = []
    for number, word in enumerate(words):
        if word == "--":
            rest += words[number:]
            break
        match = _OLD.fullmatch(word)
        if match:
            old[match[1]] = match[2]
        else:
            rest.append(word)
    if not old:
        return ""
    user = f"{old['u']}@" if "u" in old else ""
    hosts = ",".join(user + host for host in old.get("H", "HOST").lstrip("=").split(","))
    prompt = ["--prompt-for-login-password"] if "p" in old else []
    return " ".join(["fab", "-H", hosts, *prompt, *rest])


def _lines(path: Path) -> Iterable[str]:
    """One host per line; what follows a # is a comment."""
    try:
        text = path.read_text()
    except OSError as error:
        raise Missing(
            f"{path} cannot be read: {error.strerror}", hint="one host per line"
        ) from error
    return [line.partition("#")[0] for line in text.splitlines()]
