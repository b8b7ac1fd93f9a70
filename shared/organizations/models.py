"""Organizations and the hosts they answer on."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from engine.models import Model
from engine.tenancy.context import OrganizationContext


class OrganizationStatus(models.TextChoices):
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Environment(models.TextChoices):
    LIVE = "live"
    TEST = "test"


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def served(self) -> OrganizationQuerySet:
        """Those whose host answers, if only to say that they are suspended."""
        return self.exclude(status=OrganizationStatus.PROVISIONING)


class Organization(Model):
    """A tenant. Slug, status and plan may change; everything else is fixed at birth (ADR 0010)."""

    id_prefix = "org"
    FIXED: ClassVar[tuple[str, ...]] = (
        "issuer",
        "environment",
        "cell",
        "schema_name",
        "role_name",
        "time_zone",
        "locale",
        "currency",
    )

    slug = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=16, choices=OrganizationStatus, default=OrganizationStatus.PROVISIONING)
    plan = models.ForeignKey("plans.Plan", on_delete=models.PROTECT, related_name="+")
    issuer = models.URLField(max_length=255, unique=True)
    environment = models.CharField(max_length=8, choices=Environment)
    cell = models.CharField(max_length=32, default="default")
    schema_name = models.CharField(max_length=63, unique=True)
    role_name = models.CharField(max_length=63, unique=True)
    time_zone = models.CharField(max_length=64)
    locale = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    # Which migrations the schema has, written by its owner in the transaction that applies them;
    # empty while there is no schema.
    schema_fingerprint = models.CharField(max_length=64, default="", db_default="", blank=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(slug__regex=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$"),
                name="organization_slug_is_a_label",
            ),
            models.CheckConstraint(condition=Q(status__in=OrganizationStatus.values), name="organization_status_known"),
            models.CheckConstraint(
                condition=Q(environment__in=Environment.values),
                name="organization_environment_known",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="organization_currency_is_iso_4217"
            ),
            models.CheckConstraint(condition=~Q(schema_name=F("slug")), name="organization_schema_name_is_opaque"),
        ]

    def context(self) -> OrganizationContext:
        """What a process needs in order to work for this organization."""
        return OrganizationContext(
            id=self.id,
            slug=self.slug,
            schema_name=self.schema_name,
            role_name=self.role_name,
            issuer=self.issuer,
            environment=self.environment,
            cell=self.cell,
            time_zone=self.time_zone,
            locale=self.locale,
            currency=self.currency,
            status=self.status,
        )


class Domain(Model):
    """A host that belongs to one organization for ever, also after it is no longer used."""

    id_prefix = "dom"

    host = models.CharField(max_length=253, unique=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="domains")
    is_canonical = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(host__regex=r"^[a-z0-9.-]+$"), name="domain_host_is_lower_case"),
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_canonical=True), name="domain_one_canonical"
            ),
        ]
