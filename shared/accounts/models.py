"""People who sign in, their sessions and their invitations.

The tables stand in the public schema, where the rows are operators, and in every organization's schema,
where they are members. The search path never shows both (docs/adr/0020-accounts-in-both-kinds-of-schema.md).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models.functions import Lower

from engine import ids
from engine.models import Model
from engine.principals import Principal, PrincipalKind
from engine.tenancy.context import NoOrganization, current_organization, current_scope
from shared.accounts import rules


def principal_kind() -> PrincipalKind:
    """What the users of the present context are: members of an organization, or operators."""
    current_scope()  # raises outside every context: a missing one must not make somebody an operator
    try:
        current_organization()
    except NoOrganization:
        return "operator"
    return "member"


class UserQuerySet(models.QuerySet["User"]):
    """Users of the present schema."""

    def with_email(self, email: str) -> UserQuerySet:
        """The users, at most one, that own the address in any spelling."""
        return self.filter(email=rules.normalise_email(email))


class User(Model, AbstractBaseUser):
    """A human who signs in. The kind follows from the schema: see `principal_kind`."""

    id_prefix: ClassVar[str] = ids.PRINCIPAL_PREFIXES["member"]
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    email = models.EmailField(max_length=254)
    display_name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    # When the invitation was accepted, by a password or at the organization's identity provider.
    joined_at = models.DateTimeField(null=True, blank=True)

    objects = UserQuerySet.as_manager()

    class Meta:
        constraints = [
            # Together: no two addresses that differ by case only.
            models.UniqueConstraint(fields=["email"], name="accounts_user_email"),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="accounts_user_email_lower"),
        ]

    @property
    def principal(self) -> Principal:
        """This person as an actor, of the kind that the present context says."""
        return Principal(kind=principal_kind(), id=self.id, display=self.display_name or self.email)

    @property
    def public_id(self) -> str:
        """`mem_...` in an organization, `opr_...` on the platform."""
        return self.principal.public_id

    @property
    def state(self) -> str:
        """`invited` until the invitation is accepted, then `active`, or `deactivated`."""
        if not self.is_active:
            return "deactivated"
        return "active" if self.joined_at or self.has_usable_password() else "invited"


def id_of(user: User | None) -> UUID:
    """The user's id, or for nobody one that no row has: so that the same questions are asked of the database."""
    return user.id if user else UUID(int=0)


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions of the present schema."""

    def alive(self, *, at: datetime) -> SessionQuerySet:
        """Those that still sign their owner in at the moment `at`."""
        return self.filter(revoked_at=None, expires_at__gt=at, user__is_active=True)


class Session(Model):
    """One sign-in. The bearer token itself is shown once and never stored."""

    id_prefix: ClassVar[str] = "ses"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sessions")
    token_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    # Values of RFC 8176, separated by spaces: what the sign-in, and step-ups since, have shown.
    methods = models.CharField(max_length=60, default="pwd", db_default="pwd")
    authenticated_at = models.DateTimeField(null=True, blank=True)
    mfa_at = models.DateTimeField(null=True, blank=True)

    # Set by `sessions.authenticate`, which asks the policy in the same query.
    lacks_mfa: bool = False

    objects = SessionQuerySet.as_manager()

    class Meta:
        # A constraint and not unique=True, which would add an index for LIKE that nobody queries.
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="accounts_session_token_hash")]

    @property
    def principal(self) -> Principal:
        """The owner, with the moments at which this session proved it."""
        return replace(
            self.user.principal,
            authenticated_at=self.authenticated_at or self.created_at,
            mfa_at=self.mfa_at,
        )


class Invitation(Model):
    """A single-use token with which an invited person sets the first password."""

    id_prefix: ClassVar[str] = "inv"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="invitations")
    token_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="accounts_invitation_token_hash")]


class KnownDevice(Model):
    """A browser in which its owner has signed in before. It proves nothing by itself: attempts that come with
    its token are counted apart, so that a guesser elsewhere cannot lock the owner out."""

    id_prefix: ClassVar[str] = "kdv"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="known_devices")
    token_hash = models.CharField(max_length=64, editable=False)
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="accounts_knowndevice_token_hash")]


class Attempts(models.Model):
    """How often something was tried within a window of time. Counted here and not in Valkey, which may lose
    everything: a guesser would gain from that."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    # The first half of the SHA-256 of what is counted: see `attempts.py`.
    key = models.UUIDField(primary_key=True)
    count = models.IntegerField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="accounts_attempts_expires")]


class Ceremony(Model):
    """Something that takes two requests: the second factor of a sign-in, a passkey, a reset of the password.

    The token is shown once. `attempts` bounds the guesses, `ended_at` makes it good once.
    """

    id_prefix: ClassVar[str] = "cer"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    purpose = models.CharField(max_length=24)
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    token_hash = models.CharField(max_length=64, editable=False)
    data = models.JSONField(default=dict)
    attempts = models.SmallIntegerField(default=0)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="accounts_ceremony_token_hash")]
        indexes = [models.Index(fields=["expires_at"], name="accounts_ceremony_expires")]


class Passkey(Model):
    """A WebAuthn credential. It is good at this organization's own host alone, which is its RP id."""

    id_prefix: ClassVar[str] = "pky"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="passkeys")
    name = models.CharField(max_length=60)
    credential_id = models.BinaryField(max_length=1023)
    public_key = models.BinaryField(max_length=2048)
    sign_count = models.BigIntegerField(default=0)
    transports = models.CharField(max_length=100, blank=True)
    is_backed_up = models.BooleanField(default=False)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential_id"], name="accounts_passkey_credential")]


class SignInPolicy(models.Model):
    """One row, or none: how the people of this schema have to sign in."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.SmallIntegerField(primary_key=True, default=1)
    mfa_required = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="accounts_signinpolicy_one")]
