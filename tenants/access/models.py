"""Apps and what they were let do, signing keys, and grants of an organization."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from oauth2_provider.models import AbstractApplication

from engine import ids
from engine.models import Model
from engine.principals import Principal
from shared.accounts import selectors as accounts
from tenants.access import rules
from tenants.access.permissions import OWNER
from tenants.sites.rules import Location

_SCOPE = rules.Scope
GROUP = "group"


@dataclass(frozen=True, slots=True)
class Grantee:
    """Whom a grant is for: a principal, or a group of them."""

    kind: str
    id: UUID

    @property
    def public_id(self) -> str:
        """The TypeID, for example ``grp_01h455vb4pex5vsknk084sn02q``."""
        return ids.encode({**ids.PRINCIPAL_PREFIXES, GROUP: Group.id_prefix}[self.kind], self.id)


class App(Model, AbstractApplication):
    """An OAuth client of the organization: a program that calls the API by itself, or for members who let it.

    `client_id` is the public id. The secret has 256 random bits, is shown once and kept as SHA-256, so
    django-oauth-toolkit's slow hash and its switch for storing secrets in clear are taken away. Of the
    toolkit's columns `client_type` and `redirect_uris` are used; `grant_types` stands in for its one grant.
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
    grant_types = ArrayField(models.TextField(), db_default=["client_credentials"])
    auth_method = models.CharField(max_length=20, db_default=rules.AuthMethod.SECRET.value)
    jwks = models.JSONField(db_default=[])
    """The public keys that verify the app's assertions, as JWKs; never a place to fetch them from."""
    delegated_scopes = ArrayField(models.TextField(), db_default=[])
    """The permissions that the app may ask members to lend it."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client_id"], name="access_app_client_id")]

    def redirect_uri_allowed(self, uri: str) -> bool:
        """Whether a code may be sent there: character by character as it was registered, loopback ports too."""
        return uri in self.redirect_uris.split()

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
    """The organization's own key for its tokens. The private half is sealed.

    A key is shown in the JWKS from its making, signs from `signs_at` until a newer one does, and verifies
    until `retired_at`: so that a rotation cuts nobody off.
    """

    id_prefix: ClassVar[str] = "sgk"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    kid = models.CharField(max_length=64)
    algorithm = models.CharField(max_length=16)
    public_jwk = models.JSONField()
    sealed_private_jwk = models.BinaryField()
    signs_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kid"], name="access_signingkey_kid")]


class Role(Model):
    """A role of the organization's own: a flat set of permissions. Grants name it; built-in roles are code."""

    id_prefix: ClassVar[str] = "role"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    name = models.CharField(max_length=40)
    meaning = models.CharField(max_length=200, blank=True)
    permissions = ArrayField(models.CharField(max_length=80))
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="access_role_name"),
            models.CheckConstraint(condition=Q(name__regex=r"^[a-z][a-z0-9_-]*$"), name="access_role_named"),
        ]


class Group(Model):
    """Members, or devices, that are given roles together."""

    id_prefix: ClassVar[str] = "grp"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8)
    """What it is a group of: `member` or `device`."""
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="access_group_name"),
            models.CheckConstraint(condition=~Q(name=""), name="access_group_named"),
            models.CheckConstraint(condition=Q(kind__in=["member", "device"]), name="access_group_kind"),
        ]

    @property
    def grantee(self) -> Grantee:
        """The group as somebody who holds grants."""
        return Grantee("group", self.id)


class GroupMembership(Model):
    """That somebody is in a group."""

    id_prefix: ClassVar[str] = "gms"
    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships", db_index=False)
    principal_id = models.UUIDField()
    created_by = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "principal_id"], name="access_membership_once")]
        indexes = [models.Index(fields=["principal_id"], name="access_membership_principal")]

    @property
    def principal(self) -> Principal:
        """Who is in it. Needs `group` loaded."""
        return Principal(kind=self.group.kind, id=self.principal_id)  # type: ignore[arg-type]


class AuthorizationQuerySet(models.QuerySet["Authorization"]):
    """What members have let apps do."""

    def living(self, *, at: datetime) -> AuthorizationQuerySet:
        """Those whose tokens hold at the moment `at`, if the tokens themselves do."""
        lives = self.filter(revoked_at=None, expires_at__gt=at, app__is_active=True, member__is_active=True)
        return lives.filter(Q(mfa_at__isnull=False) | ~Q(accounts.asks_for_mfa()))


class Authorization(Model):
    """What a member has let an app do: the family that its refresh tokens belong to.

    A refresh token is not stored, not even hashed: it is derived from `sealed_chain_key` and its number in
    the chain, so one row knows every token that ever was. None without `offline_access`.
    """

    id_prefix: ClassVar[str] = "auz"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="authorizations")
    member = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    scopes = ArrayField(models.TextField())
    authenticated_at = models.DateTimeField()
    mfa_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    sealed_chain_key = models.BinaryField(null=True)
    generation = models.IntegerField(default=0)
    """The number of the refresh token that is good now."""
    rotated_at = models.DateTimeField(null=True)
    """When the one before it was used up."""
    revoked_at = models.DateTimeField(null=True)
    revoked_for = models.CharField(max_length=20, blank=True)

    objects = AuthorizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_for="") | (Q(revoked_at__isnull=False) & ~Q(revoked_for="")),
                name="access_authorization_revoked_for",
            ),
            models.CheckConstraint(condition=Q(generation__gte=0), name="access_authorization_generation"),
        ]


class AuthorizationCode(Model):
    """A code on its way from the authorization endpoint to the token endpoint; kept as a hash, good once."""

    id_prefix: ClassVar[str] = "acode"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    code_hash = models.CharField(max_length=64)
    redirect_uri = models.TextField()
    scopes = ArrayField(models.TextField())
    code_challenge = models.CharField(max_length=128)
    nonce = models.CharField(max_length=255, blank=True)
    authenticated_at = models.DateTimeField()
    mfa_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    authorization = models.OneToOneField(Authorization, on_delete=models.PROTECT, null=True, related_name="+")
    """What came of it. A code that comes again ends this."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["code_hash"], name="access_authorizationcode_hash")]


class DeviceAuthorization(Model):
    """A request of an app without a browser (RFC 8628) that waits for a member to type its user code."""

    id_prefix: ClassVar[str] = "dauz"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="+")
    device_code_hash = models.CharField(max_length=64)
    user_code_hash = models.CharField(max_length=64)
    scopes = ArrayField(models.TextField())
    interval_s = models.SmallIntegerField()
    polled_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    member = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    """Who has decided."""
    approved = models.BooleanField(null=True)
    authenticated_at = models.DateTimeField(null=True)
    mfa_at = models.DateTimeField(null=True)
    authorization = models.OneToOneField(Authorization, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device_code_hash"], name="access_deviceauthorization_device"),
            models.UniqueConstraint(fields=["user_code_hash"], name="access_deviceauthorization_user"),
            models.CheckConstraint(
                condition=Q(approved=None, member=None)
                | Q(approved__isnull=False, member__isnull=False, authenticated_at__isnull=False),
                name="access_deviceauthorization_decided",
            ),
        ]


class UsedAssertion(Model):
    """A `jti` of an app's assertion that has been shown. It is kept for as long as the assertion would hold."""

    id_prefix: ClassVar[str] = "uas"
    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="+", db_index=False)
    jti_hash = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "jti_hash"], name="access_usedassertion_once")]


class Grant(Model):
    """Whom x role x where x limits. Taking it away deletes the row; the audit log keeps what it was."""

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

    amount_max_minor = models.BigIntegerField(null=True, blank=True)
    amount_per_day_max_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    hours = models.JSONField(null=True, blank=True)
    """Windows of the week as the API takes them; they are read on the clock of the place that is asked about."""
    expires_at = models.DateTimeField(null=True, blank=True)
    mfa_max_age_s = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["principal_kind", "principal_id", "role", "scope", "site", "device_id"],
                name="access_grant_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(principal_kind__in=["member", "app", "device", "group"]),
                name="access_grant_kind",
            ),
            models.CheckConstraint(
                condition=Q(scope=_SCOPE.ORGANIZATION.value, site=None, device_id=None)
                | Q(scope=_SCOPE.SITE.value, site__isnull=False, device_id=None)
                | Q(scope=_SCOPE.DEVICE.value, site=None, device_id__isnull=False),
                name="access_grant_target",
            ),
            models.CheckConstraint(
                condition=Q(currency="", amount_max_minor=None, amount_per_day_max_minor=None)
                | (~Q(currency="") & (Q(amount_max_minor__isnull=False) | Q(amount_per_day_max_minor__isnull=False))),
                name="access_grant_amounts",
            ),
            models.CheckConstraint(
                condition=(Q(amount_max_minor=None) | Q(amount_max_minor__gt=0))
                & (Q(amount_per_day_max_minor=None) | Q(amount_per_day_max_minor__gt=0)),
                name="access_grant_positive",
            ),
            # Limits could lock the last owner out.
            models.CheckConstraint(
                condition=~Q(role=OWNER)
                | Q(
                    principal_kind="member",
                    currency="",
                    hours__isnull=True,
                    expires_at=None,
                    mfa_max_age_s=None,
                ),
                name="access_grant_owner",
            ),
        ]
        indexes = [models.Index(fields=["role"], name="access_grant_role")]

    @property
    def limits(self) -> rules.Limits:
        """What bounds it beside its place."""
        return rules.Limits(
            amount_max_minor=self.amount_max_minor,
            amount_per_day_max_minor=self.amount_per_day_max_minor,
            currency=self.currency,
            hours=rules.Hours.of(self.hours) if self.hours else None,
            expires_at=self.expires_at,
            mfa_max_age_s=self.mfa_max_age_s,
        )

    @property
    def location(self) -> Location:
        """Over what the grant reaches, as a place. Needs `site` loaded."""
        return Location(site_path=self.site.path if self.site else None, device_id=self.device_id)

    @property
    def principal(self) -> Grantee:
        """Whom the grant is for."""
        return Grantee(self.principal_kind, self.principal_id)


class PolicyRevision(models.Model):
    """One row: how often grants, roles, groups or the tree of sites have changed. Changing them locks it."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.SmallIntegerField(primary_key=True)
    revision = models.BigIntegerField()
    token = models.UUIDField(null=True, blank=True)
    """Another one with each change, and never one that was there before, not even after a rollback."""

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="access_policyrevision_one")]


class DailySpend(models.Model):
    """What a principal took on one day by one grant that is limited by the day. The place's own day."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.BigAutoField(primary_key=True)
    # Not a foreign key: what was spent is still known when the grant is taken away.
    grant_id = models.UUIDField()
    principal_id = models.UUIDField()
    day = models.DateField()
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant_id", "principal_id", "day"], name="access_dailyspend_once"),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="access_dailyspend_positive"),
        ]


class Spending(models.Model):
    """One part of a `DailySpend`, so that it can be given back once."""

    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=64)
    """The public id of what it was spent on."""
    daily = models.ForeignKey(DailySpend, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source"], name="access_spending_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="access_spending_positive"),
        ]
