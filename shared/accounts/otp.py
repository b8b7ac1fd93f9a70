"""One-time codes (TOTP, RFC 6238) and recovery codes of the platform's operators. django-otp's tables
stand in public.

django-otp keeps secrets and recovery codes in clear. Here the columns hold them sealed or hashed under a
key, so that a copy of the database alone makes no codes; which is why they are checked here and not by
its `verify_token`.
"""

from __future__ import annotations

import base64
import hmac
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
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from engine.clock import Clock, utc_now
from shared.accounts.models import User

log = structlog.get_logger("keystead.accounts")

ISSUER = "Keystead"
_CODE_CHARACTERS = 6
# RFC 4226, section 4: a shared secret of 160 bits.
_SECRET_BYTES = 20
_NONCE_BYTES = 12
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
# What the column holds: 16 characters of base32, 80 bits, as many as a code has.
_RECOVERY_CHARACTERS = 16


def enrol(*, user: User) -> str:
    """Give the user an authenticator; returns its secret as an `otpauth://` URL, shown this once."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    TOTPDevice.objects.create(user=user, name="authenticator", key=_seal(secret, user.id))
    label = quote(f"{ISSUER}:{user.email}", safe=":@")
    text = base64.b32encode(secret).decode()
    return f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': ISSUER})}"


def enrol_again(*, user: User) -> str:
    """Replace every authenticator of the user by a new one; returns what `enrol` does."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        return enrol(user=user)


def new_recovery_codes(*, user: User) -> tuple[str, ...]:
    """Codes that stand in for the authenticator, once each; earlier ones are void. Shown this once."""
    made = [secrets.token_bytes(_RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    codes = tuple(base64.b32encode(one).decode().lower() for one in made)
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name="recovery codes")
        StaticToken.objects.bulk_create(
            [StaticToken(device=device, token=_hashed_recovery(code, user.id)) for code in codes]
        )
    return tuple("-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes)


def verify(*, user: User, code: str, clock: Clock = utc_now) -> bool:
    """Whether `code` is the present one of an authenticator of the user, or a recovery code. Good once.

    Each failure doubles the wait before the next code is looked at, so whoever knows the password
    cannot run through the million codes.
    """
    if len(code) != _CODE_CHARACTERS or not (code.isascii() and code.isdigit()):
        return _recovers(user, code)
    # The row is locked: two sign-ins with one code at the same moment must not both find it unused.
    with transaction.atomic():
        devices = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True)
        return any(_matches(device, int(code), clock().timestamp()) for device in devices)


def _recovers(user: User, code: str) -> bool:
    code = code.replace("-", "").lower()
    if len(code) != _RECOVERY_CHARACTERS or not code.isascii():
        return False
    with transaction.atomic():
        device = StaticDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is None or not device.verify_is_allowed()[0]:
            return False
        used, _ = device.token_set.filter(token=_hashed_recovery(code, user.id)).delete()
        if not used:
            device.throttle_increment()
            return False
        device.throttle_reset(commit=False)
        device.set_last_used_timestamp(commit=False)
        device.save()
    log.warning("accounts.recovery_code_used", user=str(user.id))
    return True


def _hashed_recovery(code: str, user_id: UUID) -> str:
    key = _derived(b"keystead-operator-recovery")
    digest = hmac.digest(key, user_id.bytes + code.encode(), "sha256")
    return base64.b32encode(digest).decode().lower()[:_RECOVERY_CHARACTERS]


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
    return AESGCM(_derived(b"keystead-operator-totp"))


def _derived(info: bytes) -> bytes:
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info)
    return derive.derive(settings.SECRET_KEY.encode())
