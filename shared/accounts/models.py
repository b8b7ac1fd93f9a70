"""People who sign in, their sessions and their invitations.

The tables stand in the public schema, where the rows are operators, and in every organization's schema,
where they are members. The search path never shows both (docs/adr/0020-accounts-in-both-kinds-of-schema.md).
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

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
        """`invited` until the first password is set, then `active`, or `deactivated`."""
        if not self.is_active:
            return "deactivated"
        return "active" if self.has_usable_password() else "invited"


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

    objects = SessionQuerySet.as_manager()

    class Meta:
        # A constraint and not unique=True, which would add an index for LIKE that nobody queries.
        constraints = [models.UniqueConstraint(fields=["token_hash"], name="accounts_session_token_hash")]


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
