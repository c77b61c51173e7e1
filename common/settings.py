"""Everything that can be set, read once at the start and handed down as a value.

Environment variables are `CONVOY_<NAME>` (for example CONVOY_LEASE=2s). Secrets stand in URLs
only and are never printed. One set of times fits everywhere: a unit is planned for ten minutes,
asked to stop after 18, stopped after 20, and redelivered by the broker after 30.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common import quantities
from common.errors import Refused

_PREFIX = "CONVOY_"


def _read(parse: Callable[[str], object]) -> BeforeValidator:
    """Text is read as people write it; anything else is left to pydantic."""

    def read(value: object) -> object:
        try:
            return parse(value) if isinstance(value, str) else value
        except Refused as error:
            raise ValueError(f"{error}: {error.hint}") from None

    return BeforeValidator(read)


Pause = Annotated[timedelta, Field(ge=timedelta(0)), _read(quantities.span)]  # may be none at all
Span = Annotated[timedelta, Field(gt=timedelta(0)), _read(quantities.span)]
Size = Annotated[int, Field(ge=1), _read(quantities.size)]


class Settings(BaseSettings):
    """All settings; frozen. Refused, naming every variable that is wrong and no secret."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # they hold passwords
    )

    broker_url: SecretStr | None = None  # redis://... ; both unset: the embedded default
    state_url: SecretStr | None = None  # mongodb://... or sqlite:///path
    home: Path = Field(default_factory=lambda: Path.home() / ".local/state/convoy")
    host: str = ""  # the name of this machine in the names of its consumers; "": its host name

    lease: Span = timedelta(seconds=60)
    unit_soft_limit: Span = timedelta(minutes=18)
    unit_hard_limit: Span = timedelta(minutes=20)
    visibility: Span = timedelta(minutes=30)
    attempts: int = Field(default=8, ge=1)
    backoff: Pause = timedelta(seconds=15)
    backoff_most: Pause = timedelta(minutes=10)
    resend: Span = timedelta(seconds=60)  # a published unit nobody claimed is published again
    window: int = Field(default=4, ge=1)  # messages in the queue per consumer
    window_least: int = Field(default=64, ge=1)  # ... but never fewer than this
    sweep: Span = timedelta(seconds=1)
    generations: int = Field(default=2, ge=2)  # whose units are kept, up to a complete one
    prune: int = Field(default=1_000, ge=1)  # records of older ones removed at one look

    unit_items: int = Field(default=12_000, ge=1)  # a user with more is cut into spans
    unit_bytes: Size = 1 << 30  # at 1 MB/s it takes as long as a unit may
    range_bytes: Size = 256 << 20  # a file larger than unit_bytes is cut into ranges of this

    connect_limit: Span = timedelta(seconds=10)
    first_byte_limit: Span = timedelta(seconds=60)
    idle_limit: Span = timedelta(seconds=60)
    pool: int = Field(default=32, ge=1)  # connections kept per host

    watch: Span = timedelta(seconds=5)  # between two rounds of a watchdog that runs as a loop
    watch_grace: Pause = timedelta(seconds=10)  # for a hung process between TERM and KILL
    watch_first_sign: Span = timedelta(minutes=2)  # from the start of a process to its first beat
    watch_pause: Pause = timedelta(seconds=5)  # after an early death, doubled each time
    watch_pause_most: Pause = timedelta(minutes=10)

    wanted: int = Field(default=0, ge=0)  # consumers of the whole fleet; 0: those that are known
    alarm_look: Span = timedelta(seconds=15)  # between two rounds of `convoy alarms`
    alarm_webhook: SecretStr | None = None  # https://...; its path may be a secret
    alarm_smtp: SecretStr | None = None  # smtps://user:password@host, or smtp:// with STARTTLS
    alarm_from: str = ""
    alarm_to: str = ""  # addresses, parted by commas
    alarm_command: str = ""  # gets the notice as JSON on its standard input

    exporter_listen: str = ""  # host:port of the metrics; "": 127.0.0.1:9464
    centre_listen: str = ""  # host:port of the control centre; "": 127.0.0.1:8480
    centre_users: Path | None = None  # who may come in; none: the file centre.users in the home
    centre_tls_cert: Path | None = None
    centre_tls_key: Path | None = None
    centre_idle: Span = timedelta(minutes=30)  # without an act, a session ends
    centre_session: Span = timedelta(hours=12)  # and so it does in any case

    bucket_quiet: Span = timedelta(minutes=30)  # without a write a bucket counts as quiet
    bucket_tracking: Span = timedelta(minutes=60)  # longer than this no quiet is waited for
    bucket_hold: Span = timedelta(seconds=10)  # that writes are held while a bucket is switched
    bucket_settle: Pause = timedelta(minutes=5)  # after it no request of a copier can be under way

    failpoints: str = ""  # for the fault tests only: "name=kill:3,name=fail"

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = "; ".join(map(_complaint, error.errors(include_input=False)))
            raise Refused(wrong, hint="mend or unset it; see docs/settings.md") from error

    @property
    def node(self) -> str:
        """The name of this machine."""
        return self.host or socket.gethostname()

    @property
    def beat(self) -> timedelta:
        """How often a lease is renewed."""
        return self.lease / 4

    @property
    def embedded(self) -> bool:
        """Neither address is set: everything runs on this machine."""
        return self.broker_url is None and self.state_url is None

    @model_validator(mode="after")
    def _times_fit(self) -> Settings:
        if not self.unit_soft_limit < self.unit_hard_limit < self.visibility:
            raise ValueError("unit_soft_limit < unit_hard_limit < visibility must hold")
        return self

    def broker(self) -> str:
        """The broker's URL, with its password: hand it on, never print it."""
        return _given(self.broker_url, "CONVOY_BROKER_URL", "CONVOY_STATE_URL")

    def state(self) -> str:
        """The store's URL, with its password: hand it on, never print it."""
        return _given(self.state_url, "CONVOY_STATE_URL", "CONVOY_BROKER_URL")


def _complaint(error: Any) -> str:
    name = "".join(f"{_PREFIX}{part}".upper() + ": " for part in error["loc"])
    return name + str(error["msg"]).removeprefix("Value error, ")


def _given(url: SecretStr | None, name: str, other: str) -> str:
    if url is None:
        raise Refused(f"{name} is not set", hint=f"set {name} as well as {other}, or neither")
    return url.get_secret_value()
