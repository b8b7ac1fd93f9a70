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
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

import psycopg
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import sql

from engine.tenancy.wall import ROLES_OWN_PATH

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
    _reset_defaults(connection, role=role)
    word = verifier(password(secret, role=role, version=version))
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(word)))
    connection.execute(sql.SQL(f"ALTER ROLE {{}} SET search_path = {ROLES_OWN_PATH}").format(name))
    connection.execute(sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(name))
    row = connection.execute("SELECT has_parameter_privilege('log_min_error_statement', 'SET')").fetchone()
    if row and row[0]:
        # Parameters stand in our statements, so the server must not log those that fail.
        connection.execute(sql.SQL("ALTER ROLE {} SET log_min_error_statement = 'panic'").format(name))
    connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(f"keystead login {version}")))


def _reset_defaults(connection: psycopg.Connection[Any], *, role: str) -> None:
    """A role may set defaults for itself, so injected SQL may have set some that hinder its sessions."""
    name = sql.Identifier(role)
    connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    rows = connection.execute(
        "SELECT datname FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase"
        " JOIN pg_roles r ON r.oid = setrole WHERE rolname = %s",
        [role],
    ).fetchall()
    for (database,) in rows:
        connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(name, sql.Identifier(database)))


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
    """Logs in as any role, finding out by itself when its password has been replaced or its login taken.

    `ask` reads `versions` on a connection of its own.
    """

    def __init__(self, secrets_in_use: Sequence[str], *, ask: Callable[[str | None], Mapping[str, int]]) -> None:
        self._secrets = tuple(secrets_in_use)
        self._ask = ask
        self._lock = Lock()
        self._asked_for_all = False
        self._versions: dict[str, int] = {}
        # The secret and the version that a role logged in with last.
        self._fitted: dict[str, tuple[str, int]] = {}

    def open(self, role: str, connect: Callable[[str], Connection]) -> Connection:
        """What `connect` makes of the role's password. Raises what it raises when none fits."""
        refused: psycopg.OperationalError | None = None
        for secret, version in self._guesses(role):
            try:
                opened = connect(password(secret, role=role, version=version))
            except psycopg.OperationalError as error:
                if not _may_be_the_password(error):
                    raise
                refused = error
            else:
                self._fitted[role] = (secret, version)
                return opened
        raise refused or AssertionError("there is at least one secret")

    def _guesses(self, role: str) -> Iterator[tuple[str, int]]:
        """Secrets and versions, each pair once: what fits by what is known, then by what the server says."""
        known = self._versions.get(role)
        first = self._fitted.get(role) or (known and (self._secrets[0], known))
        if first:
            yield first
        version = self._look_up(role)
        for secret in self._secrets:
            if (secret, version) != first:
                yield secret, version

    def _look_up(self, role: str) -> int:
        with self._lock:
            # One thread asks for all at first, so that a process that starts does not ask for each.
            everything, self._asked_for_all = not self._asked_for_all, True
        try:
            found = self._ask(None if everything else role)
        except BaseException:
            if everything:
                self._asked_for_all = False
            raise
        self._versions.update(found)
        version = found.get(role)
        if version is None:
            self._versions.pop(role, None)
            self._fitted.pop(role, None)
            raise LoginMissing(f"{role} may not log in: run `keystead database logins`")
        return version


def _may_be_the_password(error: psycopg.OperationalError) -> bool:
    """Whether the server asked for a password before it refused: it gives clients no code for why.

    A server that is down, starts up or has too many clients does not come so far.
    """
    return error.pgconn is not None and error.pgconn.used_password
