"""What may bound a grant: from what the API takes to the columns of the row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from engine.errors import InvalidInput
from engine.permissions import PERMISSIONS
from tenants.access import rules
from tenants.access.models import Grant
from tenants.access.permissions import OWNER

AMOUNTS = ("amount_max_minor", "amount_per_day_max_minor")
FIELDS = (*AMOUNTS, "currency", "hours", "expires_at", "mfa_max_age_s")
MFA_AGE_MIN_S, MFA_AGE_MAX_S = 60, 86_400


def columns(
    *, limits: Mapping[str, Any], role: str, permissions: Iterable[str], kind: str, now: datetime
) -> dict[str, Any]:
    """The columns of a grant with these limits, for a role and a kind of principal.

    A limit that nothing would hold is refused: it would only look like one. Raises InvalidInput, whose
    field begins with `limits`.
    """
    given = {name: value for name, value in limits.items() if value not in (None, "", [])}
    if unknown := sorted(given.keys() - set(FIELDS)):
        raise InvalidInput("There is no such limit.", field=f"limits.{unknown[0]}")
    if not given:
        return {}
    if role == OWNER:
        raise InvalidInput("An owner has no limits: they could lock the last one out.", field="limits")
    _check_amounts(given, permissions)
    if "hours" in given:
        _check_hours(given["hours"])
    if "expires_at" in given and given["expires_at"] <= now:
        raise InvalidInput("It lies in the past.", field="limits.expires_at")
    if "mfa_max_age_s" in given:
        if kind != "member":
            raise InvalidInput("Only members have a second factor.", field="limits.mfa_max_age_s")
        if not MFA_AGE_MIN_S <= given["mfa_max_age_s"] <= MFA_AGE_MAX_S:
            raise InvalidInput(f"Choose {MFA_AGE_MIN_S} to {MFA_AGE_MAX_S} seconds.", field="limits.mfa_max_age_s")
    return given


def as_told(grant: Grant) -> dict[str, Any]:
    """The limits of a grant as JSON values, without those that it does not have."""
    values = {name: getattr(grant, name) for name in FIELDS}
    if values["expires_at"] is not None:
        values["expires_at"] = values["expires_at"].isoformat()
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def from_told(told: Mapping[str, Any]) -> rules.Limits:
    """The limits that `as_told` tells of."""
    hours, expires_at = told.get("hours"), told.get("expires_at")
    return rules.Limits(
        amount_max_minor=told.get("amount_max_minor"),
        amount_per_day_max_minor=told.get("amount_per_day_max_minor"),
        currency=told.get("currency", ""),
        hours=rules.Hours.of(hours) if hours else None,
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        mfa_max_age_s=told.get("mfa_max_age_s"),
    )


def _check_amounts(given: Mapping[str, Any], permissions: Iterable[str]) -> None:
    amounts = [name for name in AMOUNTS if name in given]
    if amounts and "currency" not in given:
        raise InvalidInput("Name the currency of the amounts.", field="limits.currency")
    if "currency" in given and not amounts:
        raise InvalidInput("A currency belongs to an amount.", field="limits.currency")
    if not amounts:
        return
    for name in amounts:
        if given[name] <= 0:
            raise InvalidInput("An amount is positive.", field=f"limits.{name}")
    if not any(one in PERMISSIONS and PERMISSIONS[one].is_measured for one in permissions):
        raise InvalidInput("The role takes no amounts: nothing would hold this limit.", field=f"limits.{amounts[0]}")


def _check_hours(windows: Any) -> None:
    try:
        rules.Hours.of(windows)
    except rules.InvalidHoursError as error:
        raise InvalidInput(str(error), field="limits.hours") from error
