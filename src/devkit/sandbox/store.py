"""What the sandbox remembers: one SQLite file, written before anything is answered.

Killing the process at any moment loses no charge: an effect, the events that tell of it and the
answer
under its idempotency key are one transaction.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ALPHABET = string.ascii_letters + string.digits

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    key TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, faults TEXT NOT NULL DEFAULT '[]');
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS object (
    account TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, private TEXT
    NOT NULL,
    created REAL NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (account, id));
CREATE INDEX IF NOT EXISTS object_kind ON object (account, kind, sequence);
CREATE TABLE IF NOT EXISTS answer (
    account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
    body TEXT NOT NULL, request_id TEXT NOT NULL, created REAL NOT NULL, PRIMARY KEY (account,
    key));
CREATE TABLE IF NOT EXISTS effect (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL,
    payment_intent TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, metadata TEXT NOT
    NULL,
    created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, event TEXT NOT NULL, endpoint TEXT NOT NULL,
    due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, done REAL, status INTEGER);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due) WHERE done IS NULL;
CREATE TABLE IF NOT EXISTS later (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL,
    due REAL NOT NULL, done REAL);
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One provider account: whoever holds the secret key."""

    key: str
    id: str


@dataclass(slots=True)
class Stored:
    """An object of the API: ``body`` as it is answered, ``private`` what only we know."""

    kind: str
    body: dict[str, Any]
    private: dict[str, Any]
    created: float

    @property
    def id(self) -> str:
        """The object's identifier."""
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer under an idempotency key."""

    fingerprint: str
    status: int
    body: str
    request_id: str


def new_id(prefix: str) -> str:
    """A random identifier in Stripe's form, for example ``pi_3kT...``."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(24))


class Store:
    """The sandbox's memory. Not thread-safe: one event loop owns it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "sandbox.sqlite3", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, also when the process dies inside."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # Accounts and settings

    def account(self, key: str) -> Account:
        """The account of a secret key, opened at first sight."""
        row = self._db.execute("SELECT key, id FROM account WHERE key = ?", (key,)).fetchone()
        if row is None:
            self._db.execute("INSERT INTO account (key, id) VALUES (?, ?)", (key, new_id("acct")))
            return self.account(key)
        return Account(key=row["key"], id=row["id"])

    def accounts(self) -> list[Account]:
        """Every account that was ever used."""
        rows = self._db.execute("SELECT key, id FROM account ORDER BY rowid")
        return [Account(key=row["key"], id=row["id"]) for row in rows]

    def faults(self, account: Account) -> list[dict[str, Any]]:
        """The behaviours that were asked for, oldest first."""
        row = self._db.execute("SELECT faults FROM account WHERE key = ?", (account.key,)).fetchone()
        return list(json.loads(row["faults"]))

    def set_faults(self, account: Account, faults: list[dict[str, Any]]) -> None:
        """Replace the behaviours of an account."""
        self._db.execute("UPDATE account SET faults = ? WHERE key = ?", (json.dumps(faults), account.key))

    def setting(self, name: str, default: float) -> float:
        """A number that the control endpoints may change."""
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else float(row["value"])

    def set_setting(self, name: str, value: float) -> None:
        """Remember a number."""
        self._db.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, str(value)),
        )

    # Objects

    def add(self, account: Account, stored: Stored) -> Stored:
        """Insert an object."""
        self._db.execute(
            "INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(sequence), 0) + 1 FROM object))",
            (
                account.id,
                stored.id,
                stored.kind,
                json.dumps(stored.body),
                json.dumps(stored.private),
                stored.created,
            ),
        )
        return stored

    def save(self, account: Account, stored: Stored) -> None:
        """Write an object's new state."""
        self._db.execute(
            "UPDATE object SET body = ?, private = ? WHERE account = ? AND id = ?",
            (json.dumps(stored.body), json.dumps(stored.private), account.id, stored.id),
        )

    def get(self, account: Account, kind: str, identifier: str) -> Stored | None:
        """One object of this account, or None."""
        row = self._db.execute(
            "SELECT * FROM object WHERE account = ? AND id = ? AND kind = ?",
            (account.id, identifier, kind),
        ).fetchone()
        return None if row is None else _stored(row)

    def all(self, account: Account, kind: str) -> list[Stored]:
        """The objects of a kind, newest first as Stripe lists them."""
        rows = self._db.execute(
            "SELECT * FROM object WHERE account = ? AND kind = ? ORDER BY sequence DESC",
            (account.id, kind),
        )
        return [_stored(row) for row in rows]

    # Answers under idempotency keys

    def answer(self, account: Account, key: str) -> Answer | None:
        """What was answered under this key, or None."""
        row = self._db.execute("SELECT * FROM answer WHERE account = ? AND key = ?", (account.id, key)).fetchone()
        return None if row is None else Answer(row["fingerprint"], row["status"], row["body"], row["request_id"])

    def keep_answer(self, account: Account, key: str, answer: Answer, now: float) -> None:
        """Bind an answer to its key for good."""
        self._db.execute(
            "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                account.id,
                key,
                answer.fingerprint,
                answer.status,
                answer.body,
                answer.request_id,
                now,
            ),
        )

    def forget_answers(self, before: float) -> int:
        """Drop answers made before a moment, as Stripe prunes keys after 24 hours."""
        return self._db.execute("DELETE FROM answer WHERE created <= ?", (before,)).rowcount

    # Effects: what really moved

    def add_effect(
        self,
        account: Account,
        kind: str,
        *,
        object_id: str,
        intent: dict[str, Any],
        amount: int,
        now: float,
    ) -> None:
        """Write down that money moved (or was reserved, released, given back)."""
        self._db.execute(
            "INSERT INTO effect (account, kind, object, payment_intent, amount, currency,"
            " metadata, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                account.id,
                kind,
                object_id,
                intent["id"],
                amount,
                intent["currency"],
                json.dumps(intent["metadata"]),
                now,
            ),
        )

    def effects(self) -> list[dict[str, Any]]:
        """Everything that moved, in order, over all accounts."""
        rows = self._db.execute(
            "SELECT effect.*, account.key FROM effect JOIN account ON account.id = effect.account ORDER BY effect.id"
        )
        return [dict(row) | {"metadata": json.loads(row["metadata"])} for row in rows]

    # Deliveries and things that happen later

    def add_delivery(self, account: Account, *, event: str, endpoint: str, due: float) -> None:
        """Queue an event for an endpoint."""
        self._db.execute(
            "INSERT INTO delivery (account, event, endpoint, due) VALUES (?, ?, ?, ?)",
            (account.id, event, endpoint, due),
        )

    def due_deliveries(self, now: float, limit: int) -> list[sqlite3.Row]:
        """Deliveries whose time has come."""
        return self._db.execute(
            "SELECT delivery.*, account.key FROM delivery JOIN account ON account.id ="
            " delivery.account"
            " WHERE done IS NULL AND due <= ? ORDER BY due, delivery.id LIMIT ?",
            (now, limit),
        ).fetchall()

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery and how it stands."""
        return [dict(row) for row in self._db.execute("SELECT * FROM delivery ORDER BY id")]

    def settle_delivery(self, identifier: int, *, status: int | None, done: float | None, due: float) -> None:
        """Write down a try."""
        self._db.execute(
            "UPDATE delivery SET tries = tries + 1, status = ?, done = ?, due = ? WHERE id = ?",
            (status, done, due, identifier),
        )

    def add_later(self, account: Account, *, action: str, object_id: str, due: float) -> None:
        """Queue something that the provider does by itself after a while."""
        self._db.execute(
            "INSERT INTO later (account, action, object, due) VALUES (?, ?, ?, ?)",
            (account.id, action, object_id, due),
        )

    def due_later(self, now: float) -> list[sqlite3.Row]:
        """Things whose time has come."""
        return self._db.execute(
            "SELECT later.*, account.key FROM later JOIN account ON account.id = later.account"
            " WHERE done IS NULL AND due <= ? ORDER BY due, later.id",
            (now,),
        ).fetchall()

    def settle_later(self, identifier: int, now: float) -> None:
        """Mark it done."""
        self._db.execute("UPDATE later SET done = ? WHERE id = ?", (now, identifier))


def _stored(row: sqlite3.Row) -> Stored:
    return Stored(
        kind=row["kind"],
        body=json.loads(row["body"]),
        private=json.loads(row["private"]),
        created=row["created"],
    )
