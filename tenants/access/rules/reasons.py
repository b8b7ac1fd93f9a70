"""Why a decision is what it is."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Part of the API: never renamed. Those of limits stand in the order in which they are named."""

    GRANTED = "granted"
    UNKNOWN_PERMISSION = "unknown_permission"
    WRONG_KIND = "wrong_kind"
    TOKEN_SCOPE = "token_scope"  # noqa: S105 - not a password
    NO_GRANT = "no_grant"
    OUT_OF_SCOPE = "out_of_scope"
    GRANT_EXPIRED = "grant_expired"
    OUTSIDE_HOURS = "outside_hours"
    AMOUNT_UNKNOWN = "amount_unknown"
    CURRENCY_NOT_ALLOWED = "currency_not_allowed"
    AMOUNT_ABOVE_LIMIT = "amount_above_limit"
    DAILY_AMOUNT_ABOVE_LIMIT = "daily_amount_above_limit"
    MFA_REQUIRED = "mfa_required"
