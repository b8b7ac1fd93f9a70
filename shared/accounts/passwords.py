"""What a new password has to be. Sources: NIST SP 800-63B section 5.1.1 (length and lists, no
composition rules)."""

from __future__ import annotations

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

from engine.errors import InvalidInput
from shared.accounts import breached
from shared.accounts.models import User

CHARACTERS_MIN = 12
# Argon2 takes any length; nobody types more, and a megabyte of password is work for nothing.
CHARACTERS_MAX = 200
_PACKAGE = "django.contrib.auth.password_validation"
_VALIDATORS = password_validation.get_password_validators(
    [
        {
            "NAME": f"{_PACKAGE}.UserAttributeSimilarityValidator",
            "OPTIONS": {"user_attributes": ("email", "display_name")},
        },
        {
            "NAME": f"{_PACKAGE}.MinimumLengthValidator",
            "OPTIONS": {"min_length": CHARACTERS_MIN},
        },
        {"NAME": f"{_PACKAGE}.CommonPasswordValidator"},
    ]
)


class WeakPassword(InvalidInput):
    """The password is too short, too common, or too close to the person's own data."""

    code = "weak_password"
    title = "The password is too weak"


def check(*, password: str, user: User) -> None:
    """Raises WeakPassword (field password) with every reason that was found."""
    if len(password) > CHARACTERS_MAX:
        raise WeakPassword(f"At most {CHARACTERS_MAX} characters are accepted.", field="password")
    try:
        password_validation.validate_password(password, user=user, password_validators=_VALIDATORS)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages), field="password") from error
    if breached.contains(password):
        raise WeakPassword("This password stood in a breach of another service. Choose another.", field="password")
