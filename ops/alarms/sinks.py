"""Where notices go: log, webhook, mail, a command. Which ones, and their secrets, is said in the
settings; nothing secret is ever on a command line, in a log or in an error.

A sink either took a notice or raised; whoever calls tries again later.
"""

from __future__ import annotations

import json
import os
import shlex
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr

from common.errors import Refused, Transient
from common.settings import Settings
from ops.alarms.standing import RAISED, Notice

PATIENCE = 15.0  # seconds for one notice at one sink
SECRETS = ("BROKER_URL", "STATE_URL", "ALARM_WEBHOOK", "ALARM_SMTP", "FLOWER_AUTH")
log = structlog.get_logger(__name__)


class Sink(Protocol):
    """One way to tell somebody."""

    def send(self, notice: Notice) -> None:
        """Tell it; Transient if it was not taken."""


@dataclass(frozen=True, slots=True)
class Log:
    """Our own log: an alarm is an error, its end is not."""

    def send(self, notice: Notice) -> None:
        say = log.error if notice.event == RAISED else log.warning
        say(f"alarm.{notice.event}", **{k: v for k, v in notice.document().items() if k != "event"})


class _Straight(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body: no."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of JSON; anything but a success is tried again."""

    url: SecretStr

    def __post_init__(self) -> None:
        if urlsplit(self.url.get_secret_value()).scheme not in ("http", "https"):
            raise Refused("CONVOY_ALARM_WEBHOOK is no web address", hint="https://host/path")

    def send(self, notice: Notice) -> None:
        request = urllib.request.Request(
            self.url.get_secret_value(),
            data=json.dumps(notice.document()).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "convoy"},
        )
        try:
            with urllib.request.build_opener(_Straight).open(request, timeout=PATIENCE):
                return
        except urllib.error.HTTPError as error:
            error.close()
            why = f"it answers {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            why = type(error).__name__  # its text may hold the address, which may be a secret
        raise Transient(f"the webhook did not take it: {why}") from None


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail per notice, over TLS wherever a password is sent."""

    url: SecretStr
    sender: str
    receivers: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise Refused("CONVOY_ALARM_SMTP is no mail server", hint="smtps://user:pass@host:465")
        if not self.sender or not self.receivers:
            raise Refused("a mail without sender or receiver", hint="set CONVOY_ALARM_FROM and _TO")

    def send(self, notice: Notice) -> None:
        try:
            with self._server() as server:
                server.send_message(self._message(notice))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise Transient(f"the mail server did not take it: {type(error).__name__}") from None

    def _server(self) -> smtplib.SMTP:
        parts, context = urlsplit(self.url.get_secret_value()), ssl.create_default_context()
        host, port = parts.hostname or "", parts.port or 0
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=PATIENCE)
        try:
            if parts.username:
                if parts.scheme == "smtp":
                    server.starttls(context=context)
                server.login(unquote(parts.username), unquote(parts.password or ""))
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(notice.line.split())
        message["From"], message["To"] = self.sender, ", ".join(self.receivers)
        said = [notice.line, f"severity: {notice.severity}", f"runbook: {notice.runbook}"]
        message.set_content("\n".join([*said, f"seen from: {notice.host}", ""]))
        return message


@dataclass(frozen=True, slots=True)
class Command:
    """A program of the operator's (a phone, a pager); success is exit code 0."""

    argv: tuple[str, ...]

    def send(self, notice: Notice) -> None:
        try:
            done = subprocess.run(
                self.argv,
                input=json.dumps(notice.document()).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_harmless(os.environ),
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Transient(f"{self.argv[0]} did not take it: {type(error).__name__}") from error
        if done.returncode:
            raise Transient(f"{self.argv[0]} ended with {done.returncode}")


def configured(settings: Settings) -> Mapping[str, Sink]:
    """The sinks of the settings by name, the log always; Refused if one makes no sense."""
    sinks: dict[str, Sink] = {"log": Log()}
    if settings.alarm_webhook:
        sinks["webhook"] = Webhook(settings.alarm_webhook)
    if settings.alarm_smtp:
        receivers = tuple(filter(None, map(str.strip, settings.alarm_to.split(","))))
        sinks["mail"] = Mail(settings.alarm_smtp, settings.alarm_from, receivers)
    if settings.alarm_command.strip():
        try:
            sinks["command"] = Command(tuple(shlex.split(settings.alarm_command)))
        except ValueError as error:
            raise Refused(
                f"CONVOY_ALARM_COMMAND: {error}", hint="quote it as a shell would"
            ) from None
    return sinks


def _harmless(environ: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environ.items() if k.removeprefix("CONVOY_") not in SECRETS}
