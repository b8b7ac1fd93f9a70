"""The wrapped keys of an organization. What wraps them is outside this database."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.db import models
from django.db.models import Q

from engine.keys.contexts import PURPOSES
from engine.keys.contexts import Purpose as PurposeName
from engine.keys.tree import OrganizationKeyRow, PersonKeyRow
from engine.models import Model
from engine.tenancy.privileges import DELETE, UPDATE


class OrganizationKeyState(models.TextChoices):
    ACTIVE = "active"
    """Wraps and seals."""
    RETIRING = "retiring"
    """Another version is active; person keys under this one are being moved to it."""
    RETIRED = "retired"
    """Wraps no person key any more. Still opens secrets that it sealed."""


class OrganizationKeyQuerySet(models.QuerySet["OrganizationKey"]):
    def active(self, purpose: PurposeName) -> OrganizationKeyQuerySet:
        return self.filter(purpose=purpose, state=OrganizationKeyState.ACTIVE)


class OrganizationKey(Model):
    """One version of the organization's key for one purpose, wrapped by a KMS key."""

    id_prefix = "okey"
    privileges = frozenset({UPDATE})

    purpose = models.CharField(max_length=16, choices=[(name, name) for name in PURPOSES])
    version = models.PositiveIntegerField()
    wrapped = models.BinaryField()
    kms_key_id = models.CharField(max_length=512)
    state = models.CharField(max_length=16, choices=OrganizationKeyState, default=OrganizationKeyState.ACTIVE)

    objects = OrganizationKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(purpose__in=PURPOSES), name="organizationkey_purpose_known"),
            models.CheckConstraint(
                condition=Q(state__in=OrganizationKeyState.values), name="organizationkey_state_known"
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="organizationkey_version_from_1"),
            models.UniqueConstraint(fields=["purpose", "version"], name="organizationkey_version_unique"),
            models.UniqueConstraint(fields=["purpose"], condition=Q(state="active"), name="organizationkey_one_active"),
        ]

    def row(self, *, organization_id: UUID) -> OrganizationKeyRow:
        """This row as engine.keys knows it."""
        return OrganizationKeyRow(
            id=self.id,
            organization_id=organization_id,
            purpose=cast(PurposeName, self.purpose),
            version=self.version,
            wrapped=bytes(self.wrapped),
            kms_key_id=self.kms_key_id,
        )


class PersonKey(Model):
    """A person's key for one purpose, wrapped by the organization's. Deleting the row is the erasure."""

    id_prefix = "pkey"
    privileges = frozenset({UPDATE, DELETE})

    # No foreign key: people stand in an app above this one, and the key goes before the person does.
    person_id = models.UUIDField()
    purpose = models.CharField(max_length=16, choices=[(name, name) for name in PURPOSES if name != "secrets"])
    organization_key_version = models.PositiveIntegerField()
    wrapped = models.BinaryField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(purpose__in=["biometric", "documents"]), name="personkey_purpose_known"),
            models.UniqueConstraint(fields=["person_id", "purpose"], name="personkey_one_per_purpose"),
        ]
        indexes = [
            # A rotation asks again and again which keys are still under an old version.
            models.Index(fields=["purpose", "organization_key_version", "id"], name="personkey_rotation"),
        ]

    def row(self, *, organization_id: UUID) -> PersonKeyRow:
        """This row as engine.keys knows it."""
        return PersonKeyRow(
            id=self.id,
            organization_id=organization_id,
            person_id=self.person_id,
            purpose=cast(PurposeName, self.purpose),
            wrapped=bytes(self.wrapped),
        )
