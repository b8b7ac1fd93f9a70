"""The matcher's settings: its own few KEYSTEAD_* variables, checked before it starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, NoReturn, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.keys.tree import MAX_CACHE_SECONDS


class Settings(BaseSettings):
    """What one matcher process is told by its environment."""

    model_config = SettingsConfigDict(env_prefix="KEYSTEAD_", extra="ignore", frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL as `ks_app`.")
    isolation: Literal["role", "login"] = Field(default="role", description="As the other processes' setting.")
    login_secret: SecretStr | None = Field(default=None, description="As the other processes' setting.")
    login_secret_previous: SecretStr | None = Field(default=None, description="As the other processes' setting.")
    login_idle_seconds: float = Field(default=300, gt=0, description="As the other processes' setting.")
    kms_url: str = Field(description="The KMS key of the biometric tree, which no other process may use.")
    matcher_service_public_key_file: Path = Field(
        description="PEM file with the public key, or keys, of the processes that may call."
    )
    matcher_host: str = Field(default="127.0.0.1", description="Where to listen.")
    matcher_port: int = Field(default=8100, ge=1, le=65_535, description="Where to listen.")
    matcher_memory_mb: float = Field(default=1024, gt=0, description="Most memory for galleries, in MiB.")
    matcher_key_seconds: float = Field(
        default=MAX_CACHE_SECONDS, gt=0, le=MAX_CACHE_SECONDS, description="How long a key in clear is kept."
    )
    matcher_feed_seconds: float = Field(
        default=1.0, gt=0, le=1.0, description="How old an organization's view of its changes may be at a search."
    )
    matcher_database_connections: int = Field(default=8, ge=2, le=200, description="Most database connections.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least level written.")

    @property
    def login_secrets(self) -> tuple[str, ...]:
        """The secrets that logins may be derived from, the present one first."""
        both = (self.login_secret, self.login_secret_previous)
        return tuple(secret.get_secret_value() for secret in both if secret)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.isolation == "login" and self.login_secret is None:
            raise ValueError("KEYSTEAD_LOGIN_SECRET is missing, which KEYSTEAD_ISOLATION=login needs")
        return self


def load() -> Settings:
    """The settings, or one line per fault on standard error and exit status 2."""
    try:
        return Settings()  # type: ignore[call-arg]  # fields come from the environment
    except ValidationError as error:
        _explain(error)


def _explain(error: ValidationError) -> NoReturn:
    lines = ["The matcher cannot start:"]
    for fault in error.errors(include_input=False, include_url=False):
        name = "_".join(str(part) for part in fault["loc"]).upper()
        message = "is missing" if fault["type"] == "missing" else fault["msg"]
        lines.append(f"  KEYSTEAD_{name}: {message}")
    sys.stderr.write("\n".join(lines) + "\n")
    raise SystemExit(2)
