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
    OFFBOARDING = "offboarding"
    """Past its grace period: nobody is served any more, and what it had is being destroyed."""
    OFFBOARDED = "offboarded"
    """A tombstone: nothing is left but this row, its hosts and the certificate."""


GONE = (OrganizationStatus.OFFBOARDING, OrganizationStatus.OFFBOARDED)
"""Nobody works for these any more, and no door opens."""


class HostUse(models.TextChoices):
    """What a host does for its organization."""

    SERVES = "serves"
    REDIRECTS = "redirects"
    """Sends callers on to the canonical host."""
    RETIRED = "retired"
    """Answers nothing. It is kept, so that nobody else is ever given it."""


class Environment(models.TextChoices):
    LIVE = "live"
    TEST = "test"


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def served(self) -> OrganizationQuerySet:
        """Those whose host answers, if only to say that they are suspended."""
        return self.exclude(status__in=[OrganizationStatus.PROVISIONING, *GONE])

    def living(self) -> OrganizationQuerySet:
        """Those that are worked for."""
        return self.exclude(status__in=GONE)


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
    use = models.CharField(max_length=16, choices=HostUse, default=HostUse.SERVES, db_default=HostUse.SERVES)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(use__in=HostUse.values), name="domain_use_known"),
            models.CheckConstraint(condition=Q(is_canonical=False) | Q(use="serves"), name="domain_canonical_serves"),
            models.CheckConstraint(condition=Q(host__regex=r"^[a-z0-9.-]+$"), name="domain_host_is_lower_case"),
            models.UniqueConstraint(
                fields=["organization"], condition=Q(is_canonical=True), name="domain_one_canonical"
            ),
        ]


class DomainClaim(Model):
    """An organization's wish for a host of its own, until DNS has shown that the host is its to give.

    Several may claim one host: the first that proves it gets the `Domain`, whose host is unique.
    """

    id_prefix = "claim"

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="domain_claims")
    host = models.CharField(max_length=253)
    # Published in DNS by whoever proves the host, so not a secret; unguessable all the same.
    challenge = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    # What the last look at DNS found; empty when it found the challenge.
    finding = models.CharField(max_length=200, default="", blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(host__regex=r"^[a-z0-9.-]+$"), name="domainclaim_host_is_lower_case"),
            models.UniqueConstraint(
                fields=["organization", "host"], condition=Q(removed_at=None), name="domainclaim_one_of_a_host"
            ),
        ]

    @property
    def record_name(self) -> str:
        """The name of the TXT record that proves it."""
        return f"_keystead-challenge.{self.host}"
