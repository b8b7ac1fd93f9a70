"""Logins of single roles, for `KEYSTEAD_ISOLATION=login`: derived secrets, never stored.

A role's password is HKDF over the installation's login secret, the role's name and a version. The
server keeps a SCRAM verifier, and the version stands in the role's comment, where every login may
read it and where it changes in the transaction that changes the verifier. So whoever holds the
login secret can log in as any role, and whoever holds a password can log in as that one alone.

Nothing here imports Django: the matcher logs in the same way as the ORM.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

import psycopg
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import sql

Connection = TypeVar("Connection", bound="psycopg.Connection[Any]")

SECRET_CHARACTERS_MIN: Final = 32
# Stretching slows the guessing of words that people choose. These passwords are 256 random bits, and
# every new connection would pay for it: with 4,096 rounds, the default, one took 8 ms instead of 3.
_SCRAM_ROUNDS: Final = 1
_COMMENT: Final = re.compile(r"keystead login (\d+)\Z")


class LoginMissing(psycopg.OperationalError):
    """A role has no login of its own."""


def password(secret: str, *, role: str, version: int) -> str:
    """The password of `role` in this version."""
    info = f"keystead postgresql login\0{role}\0{version}".encode()
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.encode())
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def verifier(word: str) -> str:
    """What the server keeps of a password (RFC 5803): enough to check it, not enough to log in."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", word.encode(), salt, _SCRAM_ROUNDS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = (salt, hashlib.sha256(client_key).digest(), server_key)
    encoded_salt, stored_key, encoded_server_key = (base64.b64encode(part).decode() for part in parts)
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{encoded_salt}${stored_key}:{encoded_server_key}"


def give(connection: psycopg.Connection[Any], *, role: str, secret: str, version: int) -> None:
    """Let `role` log in with its password of this version, and no longer with an earlier one.

    For a login that may alter the role. Open connections stay; run it in a transaction.
    """
    name = sql.Identifier(role)
    word = verifier(password(secret, role=role, version=version))
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(word)))
    # A login that has entered no context finds nothing by name.
    connection.execute(sql.SQL("ALTER ROLE {} SET search_path = ''").format(name))
    connection.execute(sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(name))
    row = connection.execute("SELECT has_parameter_privilege('log_min_error_statement', 'SET')").fetchone()
    if row and row[0]:
        # Parameters stand in our statements, so the server must not log those that fail.
        connection.execute(sql.SQL("ALTER ROLE {} SET log_min_error_statement = 'panic'").format(name))
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(f"keystead login {version}")))


def take_away(connection: psycopg.Connection[Any], *, role: str) -> None:
    """Let `role` be switched to only, as in role mode."""
    name = sql.Identifier(role)
    connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(name))
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS NULL").format(name))


def versions(connection: psycopg.Connection[Any], *, role: str | None = None) -> dict[str, int]:
    """The versions of all logins, or of one. Any login may ask."""
    rows = connection.execute(
        "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles"
        " WHERE rolcanlogin AND rolname LIKE 'ks\\_%%' AND (%s::text IS NULL OR rolname = %s)",
        [role, role],
    ).fetchall()
    found = ((name, _COMMENT.match(comment or "")) for name, comment in rows)
    return {name: int(match[1]) for name, match in found if match}


class Logins:
    """Logs in as any role, finding out by itself when its password has been replaced.

    `ask` reads `versions` on a connection of its own.
    """

    def __init__(self, secrets_in_use: Sequence[str], *, ask: Callable[[str | None], Mapping[str, int]]) -> None:
        self._secrets = tuple(secrets_in_use)
        self._ask = ask
        self._lock = Lock()
        self._versions: dict[str, int] = {}

    def open(self, role: str, connect: Callable[[str], Connection]) -> Connection:
        """What `connect` makes of the role's password. Raises what it raises when none fits."""
        known = self._versions.get(role)
        if known is not None:
            try:
                return connect(password(self._secrets[0], role=role, version=known))
            except psycopg.OperationalError:
                # Rotated, perhaps: psycopg does not say why a connection failed.
                pass
        version = self._look_up(role)
        for number, secret in enumerate(self._secrets, start=1):
            try:
                return connect(password(secret, role=role, version=version))
            except psycopg.OperationalError:
                if number == len(self._secrets):
                    raise
        raise AssertionError("there is at least one secret")

    def _look_up(self, role: str) -> int:
        with self._lock:
            # All at once at first, so that a process that starts does not ask for each.
            self._versions.update(self._ask(role if self._versions else None))
            if role not in self._versions:
                self._versions.update(self._ask(role))
            version = self._versions.get(role)
        if version is None:
            raise LoginMissing(f"{role} may not log in: run `keystead database logins`")
        return version
