"""Apps, signing keys and grants of an organization."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from oauth2_provider.models import AbstractApplication

from engine.models import Model
from engine.principals import Principal
from tenants.access import rules
from tenants.sites.rules import Location

_SCOPE = rules.Scope


class App(Model, AbstractApplication):
    """An OAuth client of the organization: a program that calls the API by itself.

    `client_id` is the public id. The secret has 256 random bits, is shown once and kept as SHA-256, so
    django-oauth-toolkit's slow hash and its switch for storing secrets in clear are taken away.
    """

    id_prefix: ClassVar[str] = "app"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    user = None
    created = None
    hash_client_secret = None

    client_id = models.CharField(max_length=255)
    client_secret = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    secret_rotated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client_id"], name="access_app_client_id")]

    def is_usable(self, request: object) -> bool:
        """Asked by django-oauth-toolkit before it lets the client authenticate."""
        return self.is_active

    @property
    def principal(self) -> Principal:
        """This app as an actor."""
        return Principal(kind="app", id=self.id, display=self.name)


class SigningKeyQuerySet(models.QuerySet["SigningKey"]):
    """Signing keys of the organization."""

    def verifying(self, *, at: datetime) -> SigningKeyQuerySet:
        """Keys whose tokens are accepted, and which the JWKS shows, at the moment `at`."""
        return self.filter(Q(retired_at=None) | Q(retired_at__gt=at))


class SigningKey(Model):
    """The organization's own key for its access tokens. The private half is sealed.

    The newest key that is not retired signs. A retired one verifies until `retired_at`, so that a
    rotation cuts nobody off.
    """

    id_prefix: ClassVar[str] = "sgk"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    kid = models.CharField(max_length=64)
    algorithm = models.CharField(max_length=16)
    public_jwk = models.JSONField()
    sealed_private_jwk = models.BinaryField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kid"], name="access_signingkey_kid")]


class Grant(Model):
    """Principal x role x where. Taking it away deletes the row; the audit log keeps what it was."""

    id_prefix: ClassVar[str] = "grant"
    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    principal_kind = models.CharField(max_length=8)
    principal_id = models.UUIDField()
    role = models.CharField(max_length=40)
    scope = models.CharField(max_length=12)
    site = models.ForeignKey("sites.Site", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    # Devices lie above access in the order of apps, so there is no foreign key to one.
    device_id = models.UUIDField(null=True, blank=True)
    created_by = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["principal_kind", "principal_id", "role", "scope", "site", "device_id"],
                name="access_grant_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(principal_kind__in=["member", "app", "device"]),
                name="access_grant_kind",
            ),
            models.CheckConstraint(
                condition=Q(scope=_SCOPE.ORGANIZATION.value, site=None, device_id=None)
                | Q(scope=_SCOPE.SITE.value, site__isnull=False, device_id=None)
                | Q(scope=_SCOPE.DEVICE.value, site=None, device_id__isnull=False),
                name="access_grant_target",
            ),
        ]
        indexes = [models.Index(fields=["role"], name="access_grant_role")]

    @property
    def held(self) -> rules.HeldGrant:
        """As the decision sees it. Needs `site` loaded."""
        return rules.HeldGrant(
            id=self.id,
            role=self.role,
            scope=_SCOPE(self.scope),
            site_path=self.site.path if self.site else None,
            device_id=self.device_id,
        )

    @property
    def location(self) -> Location:
        """Over what the grant reaches, as a place. Needs `site` loaded."""
        return Location(site_path=self.site.path if self.site else None, device_id=self.device_id)

    @property
    def principal(self) -> Principal:
        """Whom the grant is for."""
        return Principal(kind=self.principal_kind, id=self.principal_id)  # type: ignore[arg-type]


class PolicyRevision(models.Model):
    """One row: how often the organization's grants have changed. Changing them locks it."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.SmallIntegerField(primary_key=True)
    revision = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="access_policyrevision_one")]
