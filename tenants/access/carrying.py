"""What devices hold by somebody's earlier act: by a code that was made a while ago, and after a move."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from uuid import UUID

from engine import ids
from engine.clock import Clock, utc_now
from engine.permissions import PERMISSIONS
from engine.principals import Principal
from tenants.access import limiting, policy, rules, selectors, snapshot
from tenants.sites.rules import Location


def require_hand_out(*, role: str, where: Location, by: Principal, clock: Clock = utc_now) -> None:
    """Raises UnknownRole (field role) when it is none for devices, CannotGrantMore unless `by` may give it there."""
    found = selectors.role_named(role)
    if found is None or "device" not in found.kinds:
        raise policy.UnknownRole("No role of this name is for devices, see GET /v1/roles.", field="role")
    policy.require_mastery(giver=by, permissions=found.permissions, where=where, what=role, clock=clock)


def still_hands_out(*, role: str, where: Location, by: str, needs: str, clock: Clock = utc_now) -> bool:
    """Whether whoever was allowed to hand the role out earlier, for example in a code, still holds all of it.

    `by` is the public id of the giver, `needs` a permission that the giver has to hold there beside it.
    """
    found = selectors.role_named(role)
    if found is None or "device" not in found.kinds:
        return False
    return still_holds(needs, *_handed_out_with(found.permissions), where=where, by=by, clock=clock)


def still_masters(*, subject: Principal, by: str, clock: Clock = utc_now) -> bool:
    """Whether whoever could take `subject` over earlier still holds everything that it holds now."""
    return all(
        still_holds(*_handed_out_with(grant.permissions), where=grant.place, by=by, clock=clock)
        for grant in snapshot.holdings_of(subject)
    )


def _handed_out_with(permissions: Iterable[str]) -> list[str]:
    known = [PERMISSIONS[name] for name in permissions if name in PERMISSIONS]
    return [one.handed_out_with or one.name for one in known]


def still_holds(*permissions: str, where: Location, by: str, clock: Clock = utc_now) -> bool:
    """Whether whoever has the public id `by` holds all of it there, by grants that have not expired.

    Hours and second factors are not asked about again: they said when it could be begun.
    """
    holder = _holder(by)
    if holder is None:
        # The platform itself, and its operators, who hold no grants.
        return True
    holdings, now = snapshot.holdings_of(holder), clock()
    return all(
        any(one.limits.expires_at is None or now < one.limits.expires_at for one in holdings.covering(name, where))
        for name in set(permissions)
    )


def follow_move(
    *, principal: Principal, from_site_id: UUID, to_site_id: UUID, by: Principal, clock: Clock = utc_now
) -> None:
    """Somebody who stood at one site stands at another: what they hold over the first, they hold over the second.

    Grants over anything else stay as they are. To be called in the transaction of the move. Raises
    CannotGrantMore unless `by` could take and give each of them.
    """
    policy.bump_policy_revision()
    now = clock()
    held = selectors.grants().filter(
        principal_kind=principal.kind, principal_id=principal.id, scope=rules.Scope.SITE, site_id=from_site_id
    )
    for grant in held:
        policy.require_mastery_over(giver=by, grants=[grant])
        policy.delete_grant(grant, by=by)
        if grant.expires_at is not None and grant.expires_at <= now:
            continue
        limits = {name: getattr(grant, name) for name in limiting.FIELDS}
        # Where the role is held already, within whatever limits, those stand.
        with contextlib.suppress(policy.GrantExists):
            policy.grant_role(
                principal=principal,
                role=grant.role,
                scope=rules.Scope.SITE,
                site_id=to_site_id,
                limits=limits,
                by=by,
                clock=clock,
            )


def _holder(public_id: str) -> Principal | None:
    for kind in ("member", "app"):
        prefix = ids.PRINCIPAL_PREFIXES[kind]
        if public_id.startswith(f"{prefix}_"):
            return Principal(kind=kind, id=ids.decode(prefix, public_id))
    return None
