"""Operators who have signed in with password and one-time code.

admin = operator(Role.ADMIN)
answer = admin.client().post("/v1/plans", {...})
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import transaction
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.test import APIClient

from engine.ids import uuid7
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, public_schema
from provisioning import impersonation
from shared.accounts import services as accounts
from shared.operators import services
from shared.operators.rules import IMPERSONATION_MINUTES_MAX, Role
from tests.factories.access import PASSWORD, signed_in


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator with a session."""

    principal: Principal
    email: str
    otpauth_url: str
    recovery_codes: tuple[str, ...]
    token: str

    def client(self) -> APIClient:
        """A client of the platform's host that sends the session's token."""
        return signed_in(platform_client(), self.token)

    def fresh_code(self) -> str:
        """The present one-time code, accepted though one of this half minute was used before."""
        with public_schema(), transaction.atomic():
            TOTPDevice.objects.filter(user_id=self.principal.id).update(last_t=-1)
        return code_of(self.otpauth_url)


def operator(role: str = Role.ADMIN, *, email: str | None = None) -> Operator:
    """A new operator with the role, signed in."""
    email = email or f"{role}-{uuid7().hex[-12:]}@platform.example"
    with public_schema():
        made = services.create(email=email, password=PASSWORD, role=role, by=SYSTEM, display_name=f"Test {role}")
        _, token = accounts.sign_in(email=email, password=PASSWORD, code=code_of(made.otpauth_url))
        return Operator(
            principal=made.operator.user.principal,
            email=email,
            otpauth_url=made.otpauth_url,
            recovery_codes=made.recovery_codes,
            token=token,
        )


def impersonation_token(org: OrganizationContext, role: str = "assist") -> str:
    """The token of a new admin who looks into the organization."""
    admin = operator(Role.ADMIN)
    with public_schema():
        started = impersonation.start(
            organization_id=org.id,
            by=admin.principal,
            otp_code=admin.recovery_codes[0],
            reason="a test",
            minutes=IMPERSONATION_MINUTES_MAX,
            role=role,
        )
    return started.token


def code_of(otpauth_url: str, *, after: timedelta = timedelta()) -> str:
    """What an authenticator app shows that was given the URL."""
    secret = parse_qs(urlsplit(otpauth_url).query)["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    moment = int(time.time() + after.total_seconds())
    return f"{totp(key, t0=int(time.time()) - moment):06d}"


def platform_client() -> APIClient:
    """An anonymous client of the platform's host."""
    return APIClient(HTTP_HOST=settings.PLATFORM_HOST, raise_request_exception=False)
