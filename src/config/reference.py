"""docs/settings.md, written from the settings' own descriptions."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.environment import Environment

_HEAD = """# Settings

Written by `make settings` from `src/config/environment.py`. Every process but the matcher reads these
from its environment, once, at its start; a fault is told in one line and nothing starts. The matcher's
own stand in [matcher.md](matcher.md).

Give each process only what it needs: `KEYSTEAD_OWNER_DATABASE_URL` to the provisioner and to migrations,
the biometric KMS key to the matcher.

| Variable | Default | Meaning |
|---|---|---|
"""


def render() -> str:
    """The page."""
    rows = [
        f"| `KEYSTEAD_{name.upper()}` | {_default(field)} | {_meaning(field)} |"
        for name, field in Environment.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    # What stands in the code is no secret, whatever the setting may hold.
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return f"`{default}`" if default not in (None, "") else ""


def _meaning(field: FieldInfo) -> str:
    choices: tuple[Any, ...] = get_args(field.annotation)
    named = [f"`{one}`" for one in choices if isinstance(one, str)]
    meaning = (field.description or "").replace("|", "\\|")
    return f"{meaning} One of {', '.join(named)}." if len(named) > 1 else meaning
