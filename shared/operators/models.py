"""What an account of the public schema may do there.

The account itself is `accounts.User`, whose table stands in organizations' schemas too; the role stands
beside it, in public alone, so that no row of an organization's can ever name one (ADR 0073).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from engine import ids
from engine.models import Model
from shared.operators.rules import IMPERSONATION_MINUTES_MAX, Role

ROLES = [role.value for role in Role]
MINUTES_MAX = timedelta(minutes=IMPERSONATION_MINUTES_MAX)


class OperatorQuerySet(models.QuerySet["Operator"]):
    """Operators with their accounts."""

    def active_admins(self) -> OperatorQuerySet:
        """Those who can sign in and change things."""
        return self.filter(role=Role.ADMIN, user__is_active=True)


class Operator(models.Model):
    """The role of one operator. An account without a row here may do nothing."""

    id_prefix: ClassVar[str] = ids.PRINCIPAL_PREFIXES["operator"]

    user = models.OneToOneField("accounts.User", on_delete=models.PROTECT, primary_key=True, related_name="operator")
    role = models.CharField(max_length=16, choices={role: role for role in ROLES})

    objects = OperatorQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(role__in=ROLES), name="operator_role_known")]

    def __str__(self) -> str:
        return self.user.email

    @property
    def public_id(self) -> str:
        """`opr_...`"""
        return ids.encode(self.id_prefix, self.user_id)


class ImpersonationQuerySet(models.QuerySet["Impersonation"]):
    """Impersonations with their operators."""

    def alive(self, *, at: datetime) -> ImpersonationQuerySet:
        """Those whose token works: not over, and the operator is an admin who can still sign in."""
        operators = Operator.objects.active_admins()
        return self.filter(ended_at=None, expires_at__gt=at, operator__in=operators)


class Impersonation(Model):
    """An operator's look into one organization. The token is shown once and kept as a hash.

    It stands in public, where disabling the operator ends it with the commit. What it did is told in the
    organization's own audit log.
    """

    id_prefix: ClassVar[str] = "imp"

    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="impersonations")
    organization_id = models.UUIDField()
    role = models.CharField(max_length=16)
    reason = models.CharField(max_length=500)
    token_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=64, blank=True)

    objects = ImpersonationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_hash"], name="operators_impersonation_token_hash"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at"), expires_at__lte=F("created_at") + MINUTES_MAX),
                name="operators_impersonation_is_short",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="operators_impersonation_has_a_reason"),
        ]
        indexes = [models.Index(fields=["organization_id", "id"], name="operators_impersonation_of_org")]

    def state(self, *, at: datetime) -> str:
        """`active`, `ended` before its time, or `expired`."""
        if self.ended_at is not None:
            return "ended"
        return "active" if self.expires_at > at else "expired"
