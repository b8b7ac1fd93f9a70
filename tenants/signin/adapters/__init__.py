"""Who speaks with identity providers."""

from __future__ import annotations

from tenants.signin.adapters.base import IdentityProviders
from tenants.signin.adapters.oidc import shared


def providers() -> IdentityProviders:
    """OpenID Connect is the one protocol that there is."""
    return shared()
