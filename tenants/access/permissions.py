"""Every permission of the platform and the built-in roles: the one list, with words for humans.

Imports no Django. docs/access.md explains the roles; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from engine.principals import PrincipalKind

PEOPLE_AND_APPS: frozenset[PrincipalKind] = frozenset({"member", "app"})
DEVICES: frozenset[PrincipalKind] = frozenset({"device"})


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that may be allowed."""

    name: str
    meaning: str
    kinds: frozenset[PrincipalKind] = PEOPLE_AND_APPS
    """Which principals can use it at all."""
    handed_out_with: str = ""
    """The permission that lets one hand it out, where nobody who grants can hold it himself."""


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions."""

    name: str
    meaning: str
    permissions: frozenset[str]
    kinds: frozenset[PrincipalKind] = PEOPLE_AND_APPS
    """Which principals can be given the role."""


_LIST = (
    Permission("people.read", "See people and their consents and templates, never the biometrics."),
    Permission("people.write", "Enrol, change and erase people."),
    Permission("consents.write", "Record and withdraw consents."),
    Permission("templates.write", "Enrol and remove biometric templates."),
    Permission("verifications.create", "Compare a probe with one person (1:1)."),
    Permission("identifications.create", "Search a probe among all people (1:N)."),
    Permission("payment_methods.write", "Attach and remove people's payment methods."),
    Permission("payments.read", "See payments, attempts and refunds."),
    Permission("payments.write", "Charge, capture, refund and void."),
    Permission("checkouts.read", "See what devices asked to charge and what came of it."),
    Permission("devices.read", "See devices, their presence and where they stand."),
    Permission("devices.write", "Enrol, change and revoke devices."),
    Permission("sites.read", "See the tree of sites."),
    Permission("sites.write", "Make, rename and move sites."),
    Permission("events.read", "Read the organization's events."),
    Permission("webhooks.read", "See webhook endpoints and deliveries."),
    Permission("webhooks.write", "Make, change and remove webhook endpoints; replay deliveries."),
    Permission("members.read", "See members, roles and grants."),
    Permission("members.write", "Invite and deactivate members; give and take roles."),
    Permission("apps.read", "See apps, never their secrets."),
    Permission("apps.write", "Make and deactivate apps; rotate their secrets."),
    Permission("audit.read", "Read the audit log."),
    Permission("usage.read", "See what the organization used."),
    Permission("ledger.read", "Read the ledger: accounts, transactions, balances."),
    Permission("provider_accounts.read", "See payment provider accounts, never their credentials."),
    Permission("provider_accounts.write", "Add payment provider accounts and set their order."),
    Permission("settings.read", "See the organization's settings."),
    Permission("settings.write", "Change the organization's settings, such as match thresholds."),
    Permission(
        "checkout.create",
        "Take a payment from a recognised person, as a device.",
        kinds=DEVICES,
        handed_out_with="devices.write",
    ),
)
PERMISSIONS = MappingProxyType({one.name: one for one in _LIST})

_ORDINARY = frozenset(one.name for one in _LIST if one.kinds == PEOPLE_AND_APPS)
_READS = frozenset(name for name in _ORDINARY if name.endswith(".read"))

_ROLES = (
    Role(
        "owner",
        "Everything. At least one active member always holds it.",
        _ORDINARY,
        kinds=frozenset({"member"}),
    ),
    Role(
        "admin",
        "Runs the organization, but moves no money and touches no provider credentials.",
        _ORDINARY - {"payments.write", "provider_accounts.write"},
    ),
    Role(
        "operator",
        "Daily work: enrols and recognises people, takes and refunds payments.",
        frozenset(
            {
                "people.read",
                "people.write",
                "consents.write",
                "templates.write",
                "verifications.create",
                "identifications.create",
                "payment_methods.write",
                "payments.read",
                "payments.write",
                "checkouts.read",
                "devices.read",
                "sites.read",
                "events.read",
            }
        ),
    ),
    Role(
        "analyst",
        "Sees figures and flows, and nobody's identity.",
        frozenset(
            {
                "payments.read",
                "checkouts.read",
                "devices.read",
                "sites.read",
                "events.read",
                "usage.read",
                "ledger.read",
            }
        ),
    ),
    Role("auditor", "Reads everything, the audit log included, and changes nothing.", _READS),
    Role(
        "terminal",
        "What a payment terminal does.",
        frozenset({"checkout.create"}),
        kinds=DEVICES,
    ),
)
ROLES = MappingProxyType({one.name: one for one in _ROLES})
OWNER = "owner"

IMPERSONATION_ROLES = MappingProxyType(
    {
        "read": _READS,
        "assist": _READS | {"sites.write"},
    }
)
"""What an operator of the platform may do who looks into an organization. Never what moves money, touches
biometrics, or would outlive the impersonation: accounts, apps, devices, endpoints, credentials, settings."""
