"""The organization's rules for checkouts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from engine.errors import Conflict, InvalidInput
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.audit import services as audit
from tenants.checkouts import rules
from tenants.checkouts.models import CheckoutPolicy
from tenants.identity import services as identity

AMOUNT_MAX_MINOR = 10**12
UNSAVED = 0
"""The version of the platform's own rules, before the organization changes them."""


class PolicyChanged(Conflict):
    """Two callers set the rules for the first time at the same moment."""

    code = "policy_changed"
    title = "The rules were set by somebody else"


def current_policy() -> CheckoutPolicy:
    """The organization's rules, or the platform's (version 0, unsaved)."""
    return CheckoutPolicy.objects.first() or CheckoutPolicy(version=UNSAVED)


def probe_freshness() -> timedelta:
    """How long after its capture a probe may still be presented, a device's fast clock included."""
    return timedelta(seconds=current_policy().probe_age_max_s) + rules.CLOCK_SKEW


def update_policy(*, values: dict[str, Any], guard: Callable[[CheckoutPolicy], None], by: Principal) -> CheckoutPolicy:
    """Replace the rules. `guard` is shown the present ones, under lock, and may refuse by raising.

    Raises InvalidInput (confirmation_above_minor), PolicyChanged when somebody else was faster.
    """
    if values["confirmation_above_minor"] > values["limit_minor"]:
        raise InvalidInput(
            "A confirmation above the limit would never be asked for.",
            field="confirmation_above_minor",
        )
    try:
        with transaction.atomic():
            row = CheckoutPolicy.objects.select_for_update().first() or CheckoutPolicy(version=UNSAVED)
            guard(row)
            for name, value in values.items():
                setattr(row, name, value)
            row.version += 1
            row.save()
            audit.write(
                action="checkout_policy.updated",
                actor=by,
                resource=row.public_id,
                detail={**values, "version": row.version},
            )
    except IntegrityError as error:
        if "checkouts_policy_one" not in str(error):
            raise
        raise PolicyChanged("Somebody else has just set the rules.") from error
    return row


def as_rules(row: CheckoutPolicy) -> rules.Policy:
    """The rules as the decision takes them."""
    return rules.Policy(
        currency=current_organization().currency,
        limit_minor=row.limit_minor,
        confirmation_above_minor=row.confirmation_above_minor,
        probe_age_max=timedelta(seconds=row.probe_age_max_s),
        liveness_min=row.liveness_min,
    )


def matching(row: CheckoutPolicy, *, modality: str, model: str) -> rules.Matching:
    """How sure one has to be for a modality and model."""
    base = identity.threshold_of(modality=modality, model=model).identification_min
    return rules.Matching(
        threshold=base,
        growth_per_tenfold=row.score_growth_per_tenfold,
        margin=row.score_margin,
    )
