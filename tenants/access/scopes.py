"""Scopes: our permissions, and the four words of OpenID Connect that are about the member, not the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from engine.principals import Principal
from tenants.access import rules, selectors
from tenants.access.models import App
from tenants.access.permissions import PERMISSIONS

OPENID = "openid"
OFFLINE = "offline_access"
IDENTITY: Mapping[str, str] = MappingProxyType(
    {
        OPENID: "Know that it is you.",
        "profile": "See your name.",
        "email": "See your e-mail address.",
        OFFLINE: "Keep this access while you are away.",
    }
)


def meaning(scope: str) -> str:
    """What a member is told that the scope allows."""
    return IDENTITY.get(scope) or PERMISSIONS[scope].meaning


def held(app: App) -> list[str]:
    """What an app may ask for itself: what its roles allow somewhere."""
    return sorted(rules.held_permissions(selectors.grants_of(app.principal)))


def lendable(app: App) -> frozenset[str]:
    """What an app may ask a member to lend it."""
    known = {name for name in app.delegated_scopes if name in PERMISSIONS and "member" in PERMISSIONS[name].kinds}
    return frozenset(known) | frozenset(IDENTITY)


def lent(scopes: Iterable[str], *, by: Principal) -> list[str]:
    """Of the scopes those that the member can lend: nobody lends what they do not hold."""
    own = rules.held_permissions(selectors.grants_of(by)) | frozenset(IDENTITY)
    return [scope for scope in dict.fromkeys(scopes) if scope in own]


def advertised() -> list[str]:
    """Every scope that some app may ask for."""
    return [*IDENTITY, *sorted(name for name, one in PERMISSIONS.items() if one.kinds & {"app", "member"})]
