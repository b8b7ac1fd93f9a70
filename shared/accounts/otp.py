"""One-time codes (TOTP, RFC 6238) of the platform's operators. django-otp's tables stand in public."""

from __future__ import annotations

from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from shared.accounts.models import User

ISSUER = "Keystead"
_CODE_CHARACTERS = 6


def enrol(*, user: User) -> str:
    """Give the user an authenticator; returns its secret as an `otpauth://` URL, shown this once."""
    device = TOTPDevice.objects.create(user=user, name="authenticator", confirmed=True)
    scheme, _, rest = str(device.config_url).partition("totp/")
    return f"{scheme}totp/{ISSUER}:{rest}&issuer={ISSUER}"


def verify(*, user: User, code: str) -> bool:
    """Whether `code` is the present one of an authenticator of the user. A code is good once.

    django-otp makes each failure double the wait before the next code is looked at, so whoever knows
    the password cannot run through the million codes.
    """
    if len(code) != _CODE_CHARACTERS or not (code.isascii() and code.isdigit()):
        return False
    # The row is locked: two sign-ins with one code at the same moment must not both find it unused.
    with transaction.atomic():
        devices = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True)
        return any(device.verify_token(code) for device in devices)
