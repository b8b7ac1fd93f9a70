"""Keys, and the tokens of what is sent by mail, derived from KEYSTEAD_SECRET_KEY.

A worker sends the mail, and a token must not wait for it in clear anywhere. So the token follows from its row's
id under a key of the organization: whoever has the database alone has the hash of it, and nothing else.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from engine.tenancy.context import NoOrganization, current_organization
from shared.accounts import rules


def key(use: str) -> bytes:
    """A key of the platform's, or of the organization's whose context is entered."""
    try:
        info = f"keystead-member-{use}:{current_organization().id}"
    except NoOrganization:
        info = f"keystead-operator-{use}"
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info.encode())
    return derive.derive(settings.SECRET_KEY.encode())


def token(prefix: str, row_id: UUID) -> str:
    """The token of a row whose id has random bits enough: it is made again whenever it is needed."""
    digest = hmac.digest(key("mailed-token"), prefix.encode() + row_id.bytes, "sha256")
    return rules.new_token(prefix, random_bytes=lambda _: digest)
