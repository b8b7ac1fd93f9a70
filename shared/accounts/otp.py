"""One-time codes (TOTP, RFC 6238) of the platform's operators. django-otp's tables stand in public.

django-otp keeps the secret in clear. Here the column holds it sealed, so that a copy of the database
alone makes no codes; which is why the codes are checked here and not by its `verify_token`.
"""

from __future__ import annotations

import base64
import secrets
from urllib.parse import quote, urlencode
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from engine.clock import Clock, utc_now
from shared.accounts.models import User

log = structlog.get_logger("keystead.accounts")

ISSUER = "Keystead"
_CODE_CHARACTERS = 6
# RFC 4226, section 4: a shared secret of 160 bits.
_SECRET_BYTES = 20
_NONCE_BYTES = 12


def enrol(*, user: User) -> str:
    """Give the user an authenticator; returns its secret as an `otpauth://` URL, shown this once."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    TOTPDevice.objects.create(user=user, name="authenticator", key=_seal(secret, user.id))
    label = quote(f"{ISSUER}:{user.email}", safe=":@")
    text = base64.b32encode(secret).decode()
    return f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': ISSUER})}"


def verify(*, user: User, code: str, clock: Clock = utc_now) -> bool:
    """Whether `code` is the present one of an authenticator of the user. A code is good once.

    Each failure doubles the wait before the next code is looked at, so whoever knows the password
    cannot run through the million codes.
    """
    if len(code) != _CODE_CHARACTERS or not (code.isascii() and code.isdigit()):
        return False
    # The row is locked: two sign-ins with one code at the same moment must not both find it unused.
    with transaction.atomic():
        devices = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True)
        return any(_matches(device, int(code), clock().timestamp()) for device in devices)


def _matches(device: TOTPDevice, code: int, now: float) -> bool:
    if not device.verify_is_allowed()[0]:
        return False
    try:
        secret = _open(device.key, device.user_id)
    except (InvalidTag, ValueError):
        # Another KEYSTEAD_SECRET_KEY, or a row that somebody moved.
        log.error("accounts.authenticator_unreadable", user=str(device.user_id))
        return False
    totp = TOTP(secret, device.step, device.t0, device.digits, device.drift)
    totp.time = now
    if not totp.verify(code, device.tolerance, device.last_t + 1):
        device.throttle_increment()
        return False
    device.last_t, device.drift = totp.t(), totp.drift
    device.throttle_reset(commit=False)
    device.set_last_used_timestamp(commit=False)
    device.save()
    return True


def _seal(secret: bytes, user_id: UUID) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher().encrypt(nonce, secret, user_id.bytes)).decode()


def _open(sealed: str, user_id: UUID) -> bytes:
    raw = base64.b64decode(sealed)
    return _cipher().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], user_id.bytes)


def _cipher() -> AESGCM:
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"keystead-operator-totp")
    return AESGCM(derive.derive(settings.SECRET_KEY.encode()))
