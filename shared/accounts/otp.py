"""One-time codes (TOTP, RFC 6238) and recovery codes, of operators and of members. django-otp's tables stand in
public and in every organization's schema.

django-otp keeps secrets and recovery codes in clear. Here the columns hold them sealed or hashed under a
key, so that a copy of the database alone makes no codes; and its waits between wrong codes would let whoever
knows a password keep the owner out. So codes are evaluated here, and counted in `codes.py`.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode
from uuid import UUID

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from engine.clock import Clock, utc_now
from engine.tenancy.context import NoOrganization, current_organization
from shared.accounts import derived
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


def enrol(*, user: User, confirmed: bool = True) -> str:
    """Give the user an authenticator; returns its secret as an `otpauth://` URL, shown this once.

    One that is not `confirmed` opens nothing until `confirm` has seen a code of it.
    """
    secret = secrets.token_bytes(_SECRET_BYTES)
    TOTPDevice.objects.create(user=user, name="authenticator", key=_seal(secret, user.id), confirmed=confirmed)
    label = quote(f"{_issuer()}:{user.email}", safe=":@")
    text = base64.b32encode(secret).decode()
    return f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': _issuer()})}"


def enrol_again(*, user: User) -> str:
    """Replace every authenticator of the user by a new one; returns what `enrol` does."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        return enrol(user=user)


def begin_enrolment(*, user: User) -> str:
    """A new authenticator that waits for `confirm`, in place of any other that does. What `enrol` returns."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        return enrol(user=user, confirmed=False)


def confirm(*, user: User, code: str, clock: Clock = utc_now) -> bool:
    """Put the waiting authenticator in place of the present one, if `code` is its present code."""
    if not _is_code(code):
        return False
    with transaction.atomic():
        waiting = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
        if waiting is None or not _matches(waiting, int(code), clock().timestamp()):
            return False
        TOTPDevice.objects.filter(user=user).exclude(id=waiting.id).delete()
        TOTPDevice.objects.filter(id=waiting.id).update(confirmed=True)
    return True


def remove(*, user: User) -> bool:
    """Take the user's authenticators away; whether there was one."""
    return TOTPDevice.objects.filter(user=user).delete()[0] > 0


def remove_recovery_codes(*, user: User) -> None:
    """The user's recovery codes are void."""
    StaticDevice.objects.filter(user=user).delete()


def has_authenticator(*, user: User) -> bool:
    """Whether the user has a confirmed authenticator."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def recovery_codes_left(*, user: User) -> int:
    """How many of the user's recovery codes are unused."""
    return int(StaticToken.objects.filter(device__user=user).count())


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


def is_recovery_code(code: str) -> bool:
    """Whether the text has the look of a recovery code: 80 random bits, which nobody guesses."""
    return len(_plain_recovery(code)) == _RECOVERY_CHARACTERS and code.isascii()


def evaluate(*, user: User, code: str, clock: Clock = utc_now) -> bool:
    """Whether `code` is the present one of an authenticator of the user, or a recovery code. Good once.

    Counts nothing: whoever may guess goes through `codes.check`.
    """
    if not _is_code(code):
        return is_recovery_code(code) and _recovers(user, _plain_recovery(code))
    # The row is locked: two sign-ins with one code at the same moment must not both find it unused.
    with transaction.atomic():
        devices = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True)
        return any(_matches(device, int(code), clock().timestamp()) for device in devices)


def _is_code(code: str) -> bool:
    return len(code) == _CODE_CHARACTERS and code.isascii() and code.isdigit()


def _plain_recovery(code: str) -> str:
    return code.replace("-", "").lower()


def _recovers(user: User, code: str) -> bool:
    used, _ = StaticToken.objects.filter(
        device__user=user, device__confirmed=True, token=_hashed_recovery(code, user.id)
    ).delete()
    if used:
        log.warning("accounts.recovery_code_used", user=str(user.id))
    return used > 0


def _hashed_recovery(code: str, user_id: UUID) -> str:
    digest = hmac.digest(derived.key("recovery"), user_id.bytes + code.encode(), "sha256")
    return base64.b32encode(digest).decode().lower()[:_RECOVERY_CHARACTERS]


def _matches(device: TOTPDevice, code: int, now: float) -> bool:
    try:
        secret = _open(device.key, device.user_id)
    except (InvalidTag, ValueError):
        # Another KEYSTEAD_SECRET_KEY, or a row that somebody moved.
        log.error("accounts.authenticator_unreadable", user=str(device.user_id))
        return False
    totp = TOTP(secret, device.step, device.t0, device.digits, device.drift)
    totp.time = now
    if not totp.verify(code, device.tolerance, device.last_t + 1):
        return False
    device.last_t, device.drift = totp.t(), totp.drift
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
    return AESGCM(derived.key("totp"))


def _issuer() -> str:
    """What an authenticator app shows above the code."""
    try:
        return f"{ISSUER} {current_organization().slug}"
    except NoOrganization:
        return ISSUER
