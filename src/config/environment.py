"""Every setting that the environment decides, typed and checked before anything starts.

Read once by `config.settings`; the rest of the platform asks `django.conf.settings`.
docs/settings.md is generated from the descriptions below.
"""

from __future__ import annotations

import sys
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal, NoReturn, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIN_SECRET_CHARACTERS = 32


class Environment(BaseSettings):
    """The process's KEYSTEAD_* variables."""

    model_config = SettingsConfigDict(env_prefix="KEYSTEAD_", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = Field(
        default="production",
        description="`development` permits http, loopback webhooks and the sandbox.",
    )
    process: str = Field(default="cli", description="Name of this process in logs and metrics.")
    base_url: str = Field(
        description="Where organizations live: `https://keystead.example` serves `https://acme.keystead.example`."
    )
    gateway_base_url: str = Field(
        default="",
        description="Where devices connect, `wss://keystead.example`. Default: the base URL with ws or wss.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL as `ks_app`. Required unless `KEYSTEAD_OWNER_DATABASE_URL` is set.",
    )
    owner_database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL as `ks_owner`. Only for provisioning and migrations; used instead of the former.",
    )
    redis_url: SecretStr = Field(description="Valkey or Redis, `redis://host:6379/0`. It may lose everything.")
    secret_key: SecretStr = Field(
        description="At least 32 random characters, the same everywhere. It keys cursors, the answers to repeated "
        "requests, enrolment codes, the marks of used probes and operators' authenticators: with another one all "
        "these are void. A repeated request does not act again then, but is refused."
    )
    kms_url: str = Field(
        description="Keys of the documents and secrets trees: `file:///folder` or `aws://region?key_id=..`."
    )
    matcher_url: str = Field(description="The matcher, `http://matcher:8100`.")
    service_key_file: Path | None = Field(
        default=None,
        description="Ed25519 private key (PEM) that signs the tokens shown to the matcher.",
    )
    blob_url: str = Field(
        description="Append-only storage of the erasure journal, of the archives of organizations that left, "
        "and of the certificates of their destruction: `file:///folder`."
    )
    isolation: Literal["role", "login"] = Field(
        default="role",
        description="How organizations are kept apart in PostgreSQL: `role` switches per transaction, `login` logs "
        "in as each organization (docs/scaling.md).",
    )
    login_secret: SecretStr | None = Field(
        default=None,
        description="At least 32 random characters, from which `login` derives the roles' passwords. Required there. "
        "Set in `role` too, new organizations are ready for `login`.",
    )
    login_secret_previous: SecretStr | None = Field(
        default=None,
        description="The former login secret, while `keystead database rotate-logins` replaces it.",
    )
    login_connections: int = Field(
        default=24,
        ge=1,
        description="Most database connections of one process in `login`. Each of its threads may hold one: with "
        "fewer than threads, some wait for another to finish, and fail after five seconds.",
    )
    login_idle_seconds: float = Field(
        default=300,
        gt=0,
        description="A connection of `login` that nobody has used for so long is closed.",
    )
    organizations_per_connection: int = Field(
        default=200,
        ge=1,
        description="A database connection is replaced after it served this many organizations.",
    )
    mail_url: SecretStr = Field(
        default=SecretStr("console:"),
        description="Who sends mails: `smtps://user:password@host:465`, `smtp://host:587` (STARTTLS; `?tls=off` for a "
        "server on this machine), or `console:`, which writes them to standard error, in production without the text.",
    )
    mail_from: str = Field(default="", description="Sender of mails. Default: `no-reply@` and the base URL's host.")
    breached_passwords_file: Path | None = Field(
        default=None,
        description="A list of breached passwords in the form of Have I Been Pwned: SHA-1 in hex, a colon, a count, "
        "ordered by hash. Without it only the 44,000 commonest are refused.",
    )
    identity_provider_allow_private: bool = Field(
        default=False,
        description="Let organizations' OIDC providers stand at private addresses: in a company's own network.",
    )
    body_bytes_max: int = Field(default=1_048_576, ge=1024, description="Largest request body, in bytes.")
    trusted_proxies: str = Field(
        default="",
        description="Networks of the proxies in front, `10.0.0.0/8,fd00::/8`: their X-Forwarded-For is believed.",
    )
    dns_servers: str = Field(
        default="",
        description="Name servers that are asked about custom domains, `10.0.0.53,10.0.0.54:5353`. "
        "Default: those of the system.",
    )
    offboarding_grace_hours: float = Field(
        default=720,
        ge=0,
        description="How long an offboarding that two operators have agreed on can still be cancelled, in hours.",
    )
    webhook_allow_private: bool = Field(
        default=False, description="Let webhooks reach private addresses. Development only."
    )
    outbox_visibility_timeout_ms: int = Field(
        default=15_000,
        ge=1_000,
        description="How long a dispatched message may stay unacknowledged before it is sent again.",
    )
    organization_concurrency: int = Field(
        default=4,
        ge=1,
        description="Background messages of one organization and queue that may run at the same time. "
        "A worker needs more threads than this times its queues.",
    )
    ready_schemas: int = Field(
        default=8,
        ge=0,
        le=1_000,
        description="Schemas that the provisioner keeps ready for new organizations, 3 MB each. With none ready, "
        "or with 0, a new organization waits a moment longer for its own.",
    )
    ready_schemas_pace_ms: int = Field(
        default=2_000,
        ge=10,
        description="Least time between two schemas made ahead, so that a burst of new organizations has the "
        "database to itself.",
    )
    log_format: Literal["json", "console"] = Field(default="json", description="How log records are written.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level written.")

    @field_validator("base_url", "gateway_base_url", "matcher_url")
    @classmethod
    def _bare_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (not parts.scheme or not parts.hostname or parts.path not in ("", "/") or parts.query):
            raise ValueError("must be a scheme and a host, with a port if need be, and nothing after it")
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < _MIN_SECRET_CHARACTERS:
            raise ValueError(f"must have at least {_MIN_SECRET_CHARACTERS} characters")
        return value

    @field_validator("login_secret", "login_secret_previous")
    @classmethod
    def _long_login_secret(cls, value: SecretStr | None) -> SecretStr | None:
        return cls._long_secret(value) if value else None

    @field_validator("mail_url")
    @classmethod
    def _mailer(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("console", "smtp", "smtps") or (parts.scheme != "console" and not parts.hostname):
            raise ValueError("must be console:, smtp://host or smtps://host")
        return value

    @field_validator("breached_passwords_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not (value.is_file() and value.stat().st_size):
            raise ValueError("is not a file with anything in it")
        return value

    @field_validator("dns_servers")
    @classmethod
    def _name_servers(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            _address_and_port(part)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            try:
                ip_network(part.strip())
            except ValueError as error:
                raise ValueError(f"{part.strip()} is not a network such as 10.0.0.0/8") from error
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.database_url is None and self.owner_database_url is None:
            raise ValueError("KEYSTEAD_DATABASE_URL: is missing")
        if self.isolation == "login" and self.login_secret is None:
            raise ValueError("KEYSTEAD_LOGIN_SECRET: is missing, which KEYSTEAD_ISOLATION=login needs")
        if self.environment == "production":
            if self.base.scheme != "https":
                raise ValueError("KEYSTEAD_BASE_URL: must be https in production")
            if self.webhook_allow_private:
                raise ValueError("KEYSTEAD_WEBHOOK_ALLOW_PRIVATE: contradicts KEYSTEAD_ENVIRONMENT=production")
        return self

    @cached_property
    def name_servers(self) -> tuple[tuple[str, int], ...]:
        """Address and port of each name server; none for those of the system."""
        return tuple(_address_and_port(part) for part in self.dns_servers.split(",") if part.strip())

    @cached_property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the proxies in front."""
        return tuple(ip_network(part.strip()) for part in self.trusted_proxies.split(",") if part.strip())

    @cached_property
    def base(self) -> SplitResult:
        """The base URL, taken apart."""
        return urlsplit(self.base_url)

    @cached_property
    def gateway(self) -> SplitResult:
        """The gateway's base URL, taken apart."""
        if self.gateway_base_url:
            return urlsplit(self.gateway_base_url)
        return self.base._replace(scheme="wss" if self.base.scheme == "https" else "ws")

    @property
    def login_secrets(self) -> tuple[str, ...]:
        """The secrets that logins may be derived from, the present one first; in role mode for new roles only."""
        both = (self.login_secret, self.login_secret_previous)
        return tuple(secret.get_secret_value() for secret in both if secret)

    @property
    def effective_database_url(self) -> SplitResult:
        """The database of this process: the owner's where it holds that login, else the app's."""
        secret = self.owner_database_url or self.database_url
        if secret is None:
            raise RuntimeError("validated at start: one of the two is set")
        return urlsplit(secret.get_secret_value())


def _address_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    try:
        return str(ip_address(parts.hostname or "")), parts.port or 53
    except ValueError as error:
        raise ValueError(f"{text.strip()} is not an address such as 10.0.0.53 or 10.0.0.53:5353") from error


def load() -> Environment:
    """The environment, or one line per fault on standard error and exit status 2."""
    try:
        return Environment()  # type: ignore[call-arg]  # fields come from the environment
    except ValidationError as error:
        _explain(error)


def _explain(error: ValidationError) -> NoReturn:
    print("Keystead cannot start:", file=sys.stderr)  # noqa: T201  # no logging before settings
    for fault in error.errors(include_input=False, include_url=False):
        message = "is missing" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        name = f"KEYSTEAD_{'_'.join(str(part) for part in fault['loc']).upper()}: " if fault["loc"] else ""
        print(f"  {name}{message}", file=sys.stderr)  # noqa: T201
    print("Each setting is described in docs/settings.md; `make up` writes them to .keystead/env.", file=sys.stderr)  # noqa: T201
    raise SystemExit(2)
