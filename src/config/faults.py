"""What the command line says of errors that are not ours to fix: each with its remedy.

Never the error's own text where that may quote a statement: parameters stand in it.
"""

from __future__ import annotations

import redis
from django.core.exceptions import ImproperlyConfigured
from psycopg import Error as DatabaseError

from engine.errors import DomainError
from engine.keys.kms import KmsError, KmsUrlInvalid
from engine.matcher_client import MatcherRefused

_MIGRATE = "The database does not have this release's tables. Run `keystead migrate`."
_BOOTSTRAP = "The database or its roles are not there. Run `keystead database bootstrap`, then `keystead migrate`."
_AWAY = "PostgreSQL does not answer, or went away in between. When it is back, run the same command again."

# By SQLSTATE (PostgreSQL's documentation, appendix A), whole or by class.
_BY_STATE = {
    "42P01": _MIGRATE,
    "42703": _MIGRATE,
    "3F000": _MIGRATE,
    "42704": _BOOTSTRAP,
    "22023": _BOOTSTRAP,
    "3D000": _BOOTSTRAP,
    "42501": "This login may not do that. Commands that define tables need KEYSTEAD_OWNER_DATABASE_URL; "
    "where it is set, `keystead database bootstrap` repairs roles.",
    "28": "PostgreSQL refused the login: compare user and password in KEYSTEAD_DATABASE_URL or "
    "KEYSTEAD_OWNER_DATABASE_URL with those of the server.",
    "53100": "PostgreSQL's disk is full. Make room there, then run the same command again: it goes on from here.",
    "53200": "PostgreSQL is out of memory for locks. Set max_locks_per_transaction to 512 or more, restart it, and run "
    "the same command again.",
    "53300": "PostgreSQL has no connection left. Raise max_connections, or run the same command again later.",
    "55P03": "Something else holds a lock on these tables. Run the same command again in a moment.",
    "57": _AWAY,
    "08": _AWAY,
}
# libpq reports a connection that was not made without a SQLSTATE; the server's words are the same everywhere
# that lc_messages is C or English.
_BY_WORDS = {
    "does not exist": _BOOTSTRAP,
    "authentication failed": _BY_STATE["28"],
    "too many clients": _BY_STATE["53300"],
    "permission denied": _BY_STATE["42501"],
}


def explain(error: BaseException) -> str | None:
    """A line about `error` and what to do, None when it is a fault of the program."""
    if isinstance(error, DomainError):
        return f"{error.title}. {error.detail}".strip()
    if isinstance(error, KmsError | KmsUrlInvalid):
        return f"The KMS did not do what was asked: {error}. When it does again, run the same command again."
    if isinstance(error, MatcherRefused):
        return f"The matcher refused ({error.code}): {error.detail or 'see its log'}"
    if isinstance(error, redis.RedisError):
        return "Valkey does not answer at KEYSTEAD_REDIS_URL. When it is back, run the same command again."
    if isinstance(error, ImproperlyConfigured):
        return f"{error}. Each setting is described in docs/settings.md."
    # Django's errors carry psycopg's.
    for candidate in (error, error.__cause__):
        if isinstance(candidate, DatabaseError):
            return _of_database(candidate)
    return None


def _of_database(error: DatabaseError) -> str | None:
    state = error.sqlstate
    if state is None:
        text = str(error)
        return next((told for words, told in _BY_WORDS.items() if words in text), _AWAY)
    return _BY_STATE.get(state) or _BY_STATE.get(state[:2])
