"""What principals hold, read with the policy's revision in one statement and kept until that changes.

Every decision reads the revision; the grants are read, together with it, only when they are not the ones that
are kept. So a grant that was taken away is dead with the next decision, in every process, and a decision costs
the same however much somebody holds (docs/adr/0083-a-decision-reads-the-revision.md).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.access.permissions import ROLES
from tenants.access.rules import HeldGrant, Holdings, Hours, Limits, Scope

HOLDERS = frozenset({"member", "app", "device"})
KEPT_MAX = 5_000
"""Principals per process, and a bound on what one of them may cost: a Holdings without limits is small."""

_READ_REVISION = "SELECT token::text FROM access_policyrevision WHERE id = 1"
# Token and grants in one statement, so that they are of one moment.
_SQL = """
SELECT policy.token::text, (
    SELECT coalesce(json_agg(json_build_array(
        asked.kind, asked.id, held.group_id, g.id, g.role, own.permissions, g.scope, site.path, g.device_id,
        g.amount_max_minor, g.amount_per_day_max_minor, g.currency, g.hours, g.expires_at, g.mfa_max_age_s
    )), '[]')::text
    FROM unnest(%(kinds)s::text[], %(ids)s::uuid[]) AS asked (kind, id)
    CROSS JOIN LATERAL (
        SELECT asked.kind AS kind, asked.id AS id, NULL::uuid AS group_id
        UNION ALL
        SELECT 'group', membership.group_id, membership.group_id
        FROM access_groupmembership membership JOIN access_group one ON one.id = membership.group_id
        WHERE membership.principal_id = asked.id AND one.kind = asked.kind
    ) held
    JOIN access_grant g ON g.principal_kind = held.kind AND g.principal_id = held.id
    LEFT JOIN sites_site site ON site.id = g.site_id
    LEFT JOIN access_role own ON own.name = g.role
)
FROM (SELECT 1) one LEFT JOIN access_policyrevision policy ON policy.id = 1
"""

_Key = tuple[UUID, str, UUID]
_kept: OrderedDict[_Key, tuple[str, Holdings]] = OrderedDict()
_lock = threading.Lock()


def holdings_of(principal: Principal) -> Holdings:
    """What the principal was given. One query, two when the policy has changed; none for those who hold no grants."""
    if principal.kind not in HOLDERS:
        return Holdings()
    return holdings_of_all([principal])[principal]


def holdings_of_all(principals: Iterable[Principal]) -> dict[Principal, Holdings]:
    """As `holdings_of` for many, in no more queries."""
    wanted = list(dict.fromkeys(principals))
    holders = [one for one in wanted if one.kind in HOLDERS]
    found = {one: Holdings() for one in wanted}
    if not holders:
        return found
    organization_id = current_organization().id
    with _lock:
        kept = [_kept.get((organization_id, one.kind, one.id)) for one in holders]
    tokens = {entry[0] if entry else None for entry in kept}
    known = tokens.pop() if len(tokens) == 1 else None
    with connection.cursor() as cursor:
        if known is not None:
            cursor.execute(_READ_REVISION)
            if cursor.fetchone() == (known,):
                return found | {one: entry[1] for one, entry in zip(holders, kept, strict=True) if entry is not None}
        cursor.execute(_SQL, {"kinds": [one.kind for one in holders], "ids": [one.id for one in holders]})
        token, rows = cursor.fetchone()
    loaded = _read(json.loads(rows), holders)
    # Inside a transaction the policy may be about to change under the same token: only what is committed is kept.
    if token is not None and not connection.in_atomic_block:
        _keep(organization_id, token, loaded)
    return found | loaded


def forget() -> None:
    """Keep nothing any more."""
    with _lock:
        _kept.clear()


def _keep(organization_id: UUID, token: str, loaded: Mapping[Principal, Holdings]) -> None:
    with _lock:
        for one, holdings in loaded.items():
            key = (organization_id, one.kind, one.id)
            _kept[key] = (token, holdings)
            _kept.move_to_end(key)
        while len(_kept) > KEPT_MAX:
            _kept.popitem(last=False)


def _read(rows: Sequence[Sequence[Any]], holders: Sequence[Principal]) -> dict[Principal, Holdings]:
    by_principal: dict[tuple[str, UUID], list[HeldGrant]] = {(one.kind, one.id): [] for one in holders}
    built_in = {name: role.permissions for name, role in ROLES.items()}
    own: dict[str, frozenset[str]] = {}
    for kind, principal_id, *row in rows:
        role, permissions = row[2], row[3]
        held = built_in.get(role)
        if held is None:
            held = own.setdefault(role, frozenset(permissions or ()))
        by_principal[kind, UUID(principal_id)].append(_held(row, held))
    return {one: Holdings(by_principal[one.kind, one.id]) for one in holders}


def _held(row: Sequence[Any], permissions: frozenset[str]) -> HeldGrant:
    group, grant, role, _, scope, path, device, amount, daily, currency, hours, expires, mfa = row
    return HeldGrant(
        id=UUID(grant),
        role=role,
        scope=Scope(scope),
        permissions=permissions,
        site_path=path,
        device_id=UUID(device) if device else None,
        limits=Limits(
            amount_max_minor=amount,
            amount_per_day_max_minor=daily,
            currency=currency,
            hours=Hours.of(hours) if hours else None,
            expires_at=datetime.fromisoformat(expires) if expires else None,
            mfa_max_age_s=mfa,
        ),
        group_id=UUID(group) if group else None,
    )
