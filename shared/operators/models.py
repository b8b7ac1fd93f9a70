"""What an account of the public schema may do there.

The account itself is `accounts.User`, whose table stands in organizations' schemas too; the role stands
beside it, in public alone, so that no row of an organization's can ever name one (ADR 0073).
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from engine import ids
from shared.operators.rules import Role

ROLES = [role.value for role in Role]


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
