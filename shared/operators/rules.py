"""What an operator's role allows."""

from __future__ import annotations

from enum import StrEnum

IMPERSONATION_MINUTES_MAX = 60


class Role(StrEnum):
    """Support reads what the platform knows of its organizations; admins change it."""

    SUPPORT = "support"
    ADMIN = "admin"


def allows(role: str, *, write: bool) -> bool:
    """Whether the role may read, or change things too."""
    return role == Role.ADMIN or (role == Role.SUPPORT and not write)
