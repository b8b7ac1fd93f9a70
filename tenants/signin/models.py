"""An organization's own identity providers, and which account there is which member here."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from engine.models import Model


class IdentityProvider(Model):
    """An OpenID Connect provider at which members may sign in. The client's secret is sealed."""

    id_prefix: ClassVar[str] = "idp"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    name = models.CharField(max_length=60)
    issuer = models.CharField(max_length=255)
    client_id = models.CharField(max_length=255)
    sealed_client_secret = models.BinaryField(null=True, blank=True)
    trusts_mfa = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_by = models.CharField(max_length=64)


class LinkedIdentity(Model):
    """An account at a provider, known by its `sub`, that is a member here. The e-mail address plays no part."""

    id_prefix: ClassVar[str] = "lid"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    # The constraints below index both.
    provider = models.ForeignKey(IdentityProvider, on_delete=models.PROTECT, related_name="identities", db_index=False)
    subject = models.CharField(max_length=255)
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "subject"], name="signin_linkedidentity_subject"),
            models.UniqueConstraint(fields=["user", "provider"], name="signin_linkedidentity_user"),
        ]
