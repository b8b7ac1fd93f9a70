"""The decision, as pure functions of grants, places and circumstances."""

from __future__ import annotations

from tenants.access.rules.decisions import (
    Considered,
    Decision,
    Facts,
    barrier,
    conclude,
    decide,
    decide_for_operator,
    explain,
    local_times,
    reach,
    weigh,
)
from tenants.access.rules.holdings import EVERYWHERE, SOMEWHERE, HeldGrant, Holdings, Scope, Somewhere, held_permissions
from tenants.access.rules.limits import NO_LIMITS, Circumstances, Hours, InvalidHoursError, Limits
from tenants.access.rules.mastery import lacking_to_hand_out
from tenants.access.rules.oauth import REGISTRABLE_GRANT_TYPES, AuthMethod, GrantType
from tenants.access.rules.reasons import Reason

__all__ = [
    "EVERYWHERE",
    "NO_LIMITS",
    "REGISTRABLE_GRANT_TYPES",
    "SOMEWHERE",
    "AuthMethod",
    "Circumstances",
    "Considered",
    "Decision",
    "Facts",
    "GrantType",
    "HeldGrant",
    "Holdings",
    "Hours",
    "InvalidHoursError",
    "Limits",
    "Reason",
    "Scope",
    "Somewhere",
    "barrier",
    "conclude",
    "decide",
    "decide_for_operator",
    "explain",
    "held_permissions",
    "lacking_to_hand_out",
    "local_times",
    "reach",
    "weigh",
]
