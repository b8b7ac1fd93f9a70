"""What an organization takes with it: its rows as JSON lines, with a manifest, in the blob store.

Without secrets and without what only our keys open: such bytes are of no use to anybody else. Parts are
written once and in order, so an export that was interrupted goes on after the last part that is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import BinaryField, Model

from engine.blobs.store import BlobExists, BlobNotFound, BlobStore
from engine.tenancy import privileges
from engine.tenancy.context import OrganizationContext, organization

ROWS_PER_PART = 5_000

# Tables that hold nothing but secrets, or the platform's own bookkeeping.
_LEFT_OUT_APPS = frozenset({"idempotency", "inbox", "keyring", "oauth2_provider", "otp_static", "otp_totp", "sessions"})
_LEFT_OUT_TABLES = frozenset(
    {
        "access_authorizationcode",
        "access_deviceauthorization",
        "access_signingkey",
        "accounts_attempts",
        "accounts_ceremony",
        "access_usedassertion",
        "accounts_invitation",
        "accounts_knowndevice",
        "accounts_session",
        "audit_pending",
        "checkouts_personpin",
        "checkouts_usedprobe",
        "devices_enrolmentcode",
        "events_pending",
        "payments_providertoken",
        "webhooks_secret",
    }
)
_LEFT_OUT_COLUMNS = frozenset({"client_secret", "lease_token", "nonce", "password"})
# Bytes that are no secret: the chains by which the logs can be verified, and the devices' public keys.
_OPEN_BYTES = frozenset({"hash", "previous_hash", "public_key"})


def tables() -> dict[str, type[Model]]:
    """The models whose rows are exported, by table."""
    return {
        model._meta.db_table: model
        for model in sorted(privileges.organization_models(), key=lambda one: one._meta.db_table)
        if model._meta.app_label not in _LEFT_OUT_APPS and model._meta.db_table not in _LEFT_OUT_TABLES
    }


def columns(model: type[Model]) -> list[str]:
    """The columns of a table that are exported."""
    fields = [field for field in model._meta.local_concrete_fields if field.attname not in _LEFT_OUT_COLUMNS]
    return [one.attname for one in fields if one.attname in _OPEN_BYTES or not isinstance(one, BinaryField)]


def write(*, context: OrganizationContext, about: dict[str, Any], store: BlobStore, folder: str) -> dict[str, Any]:
    """Write the archive of an organization under `folder`, or go on with it.

    `about` is what the public schema says of it. Returns the manifest's name, its SHA-256 and how many
    rows each table had. Calls the blob store, so not inside a transaction.
    """
    listed = {table: list(_parts(context, table, model, store, folder)) for table, model in tables().items()}
    manifest = {
        "format": 1,
        "organization": about,
        "tables": {
            table: {
                "columns": columns(model),
                "rows": sum(part["rows"] for part in listed[table]),
                "parts": listed[table],
            }
            for table, model in tables().items()
        },
    }
    name = f"{folder}/manifest.json"
    content = _written_once(store, name, json.dumps(manifest, sort_keys=True, indent=1).encode())
    return {
        "manifest": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": {table: entry["rows"] for table, entry in json.loads(content)["tables"].items()},
    }


def _parts(
    context: OrganizationContext, table: str, model: type[Model], store: BlobStore, folder: str
) -> Iterator[dict[str, Any]]:
    key, last, number = model._meta.pk.attname, None, 1
    while True:
        name = f"{folder}/{table}-{number:05}.jsonl"
        try:
            content = store.read(name)
        except BlobNotFound:
            rows = _rows(context, table, columns(model), key=key, after=last)
            if not rows:
                return
            content = _written_once(store, name, "".join(f"{row}\n" for row in rows).encode())
        lines = content.splitlines()
        yield {"name": name, "rows": len(lines), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        last, number = str(json.loads(lines[-1])[key]), number + 1


def _rows(context: OrganizationContext, table: str, wanted: list[str], *, key: str, after: str | None) -> list[str]:
    """The next rows as JSON, in the order of their keys."""
    quote = connection.ops.quote_name
    names = ", ".join(quote(column) for column in wanted)
    past = f"WHERE {quote(key)} > %(after)s" if after is not None else ""
    statement = (
        f"SELECT to_json(part)::text FROM (SELECT {names} FROM {quote(table)} {past}"  # noqa: S608  # names of models
        f" ORDER BY {quote(key)} LIMIT {ROWS_PER_PART}) part"
    )
    with organization(context), connection.cursor() as cursor:
        cursor.execute(statement, {"after": after} if after is not None else None)
        return [row[0] for row in cursor.fetchall()]


def _written_once(store: BlobStore, name: str, content: bytes) -> bytes:
    """What stands under `name` afterwards: an earlier run may have written it."""
    try:
        store.write(name, content)
    except BlobExists:
        return store.read(name)
    return content
