"""The decision: a table of cases, and a naive reference that random worlds are held against."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.principals import SYSTEM, Principal, PrincipalKind
from tenants.access import rules
from tenants.access.permissions import OWNER, PERMISSIONS, ROLES
from tenants.access.rules import HeldGrant, Reason, Scope
from tenants.sites.rules import Location, Zones, path_of

MEMBER = Principal(kind="member", id=uuid4())
DEVICE = Principal(kind="device", id=uuid4())
TOP, LOW, ELSEWHERE, TILL = uuid4(), uuid4(), uuid4(), uuid4()
TOP_PATH = path_of(TOP)
LOW_PATH = path_of(LOW, TOP_PATH)
ELSEWHERE_PATH = path_of(ELSEWHERE)


def _grant(role: str = "admin", **where: str | UUID) -> HeldGrant:
    scope = Scope.SITE if "site_path" in where else Scope.DEVICE if "device_id" in where else Scope.ORGANIZATION
    permissions = ROLES[role].permissions if role in ROLES else frozenset()
    return HeldGrant(id=uuid4(), role=role, scope=scope, permissions=permissions, **where)  # type: ignore[arg-type]


class _Facts:
    """Nothing spent, and one clock everywhere."""

    def zones(self) -> Zones:
        return Zones("UTC", {})

    def spent(self, *, principal: Principal, grants: Any, local: Any) -> dict[UUID, int]:
        return {}


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _decide(
    principal: Principal, permission: str, grants: Iterable[HeldGrant], where: Location | rules.Somewhere
) -> rules.Decision:
    return rules.decide(
        principal=principal,
        permission=permission,
        holdings=rules.Holdings(grants),
        where=where,
        circumstances=rules.Circumstances(at=NOW),
        facts=_Facts(),
    )


@pytest.mark.parametrize(
    ("grants", "permission", "where", "reason"),
    [
        ([], "people.read", rules.EVERYWHERE, Reason.NO_GRANT),
        ([_grant()], "people.read", rules.EVERYWHERE, Reason.GRANTED),
        ([_grant()], "people.read", Location(site_path=LOW_PATH), Reason.GRANTED),
        ([_grant("analyst")], "people.read", rules.EVERYWHERE, Reason.NO_GRANT),
        ([_grant("no such role")], "people.read", rules.EVERYWHERE, Reason.NO_GRANT),
        ([_grant(OWNER)], "people.fly", rules.EVERYWHERE, Reason.UNKNOWN_PERMISSION),
        ([_grant(OWNER)], "checkout.create", rules.EVERYWHERE, Reason.WRONG_KIND),
        ([_grant(site_path=TOP_PATH)], "sites.read", rules.EVERYWHERE, Reason.OUT_OF_SCOPE),
        ([_grant(site_path=TOP_PATH)], "sites.read", rules.SOMEWHERE, Reason.GRANTED),
        ([_grant(site_path=TOP_PATH)], "sites.read", Location(TOP_PATH), Reason.GRANTED),
        ([_grant(site_path=TOP_PATH)], "sites.read", Location(LOW_PATH, TILL), Reason.GRANTED),
        ([_grant(site_path=LOW_PATH)], "sites.read", Location(TOP_PATH), Reason.OUT_OF_SCOPE),
        ([_grant(site_path=TOP_PATH)], "sites.read", Location(ELSEWHERE_PATH), Reason.OUT_OF_SCOPE),
        ([_grant(device_id=TILL)], "devices.read", Location(LOW_PATH, TILL), Reason.GRANTED),
        ([_grant(device_id=TILL)], "devices.read", Location(LOW_PATH, uuid4()), Reason.OUT_OF_SCOPE),
        ([_grant(device_id=TILL)], "devices.read", Location(LOW_PATH), Reason.OUT_OF_SCOPE),
    ],
)
def test_decides(grants: list[HeldGrant], permission: str, where: Location | rules.Somewhere, reason: Reason) -> None:
    decision = _decide(MEMBER, permission, grants, where)

    assert decision.reason is reason
    assert decision.allowed is (reason is Reason.GRANTED)
    assert decision.grant_id == (grants[0].id if decision.allowed else None)
    assert decision.missing == (None if decision.allowed else permission)


def test_a_token_confines_what_roles_allow() -> None:
    app = Principal(kind="app", id=uuid4(), scopes=frozenset({"people.read", "payments.write"}))
    grants = [_grant("admin")]

    def asked(permission: str) -> Reason:
        return _decide(app, permission, grants, rules.EVERYWHERE).reason

    assert asked("people.read") is Reason.GRANTED
    assert asked("people.write") is Reason.TOKEN_SCOPE
    # A scope that the role lacks allows nothing.
    assert asked("payments.write") is Reason.NO_GRANT


def test_devices_take_payments_and_nothing_else() -> None:
    allowed = {
        name
        for name in PERMISSIONS
        if _decide(DEVICE, name, [_grant(role) for role in ROLES], rules.EVERYWHERE).allowed
    }

    assert allowed == {"checkout.create"}


_PATHS = [TOP_PATH, LOW_PATH, ELSEWHERE_PATH]
_GRANTS = st.lists(
    st.one_of(
        st.builds(_grant, st.sampled_from(sorted(ROLES))),
        st.builds(
            lambda role, path: _grant(role, site_path=path), st.sampled_from(sorted(ROLES)), st.sampled_from(_PATHS)
        ),
        st.builds(
            lambda role, one: _grant(role, device_id=one), st.sampled_from(sorted(ROLES)), st.sampled_from([TILL, TOP])
        ),
    ),
    max_size=6,
)
_PLACES = st.builds(
    Location,
    site_path=st.one_of(st.none(), st.sampled_from(_PATHS)),
    device_id=st.one_of(st.none(), st.sampled_from([TILL, TOP])),
)
_KINDS: list[PrincipalKind] = ["member", "app", "device", "operator", "system"]


@given(
    grants=_GRANTS,
    place=_PLACES,
    permission=st.sampled_from(sorted(PERMISSIONS)),
    kind=st.sampled_from(_KINDS),
    scopes=st.one_of(st.none(), st.frozensets(st.sampled_from(sorted(PERMISSIONS)))),
)
def test_agrees_with_a_naive_reference_and_with_its_own_filter(
    grants: list[HeldGrant],
    place: Location,
    permission: str,
    kind: PrincipalKind,
    scopes: frozenset[str] | None,
) -> None:
    principal = Principal(kind=kind, id=uuid4(), scopes=scopes)
    usable = kind in PERMISSIONS[permission].kinds and (scopes is None or permission in scopes)
    site_ids = {part for part in (place.site_path or "").split("/") if part}
    expected = usable and any(
        permission in ROLES[one.role].permissions
        and (
            one.scope is Scope.ORGANIZATION
            or (one.scope is Scope.SITE and (one.site_path or "").split("/")[-2] in site_ids)
            or (one.scope is Scope.DEVICE and one.device_id == place.device_id)
        )
        for one in grants
    )

    decision = _decide(principal, permission, grants, place)
    reach = rules.reach(
        principal=principal, permission=permission, holdings=rules.Holdings(grants), at=NOW, facts=_Facts()
    )

    assert decision.allowed == expected
    assert expected == (
        reach.everywhere
        or any((place.site_path or "").startswith(path) for path in reach.site_paths if place.site_path)
        or place.device_id in reach.device_ids
    )


@given(grants=_GRANTS, place=_PLACES, role=st.sampled_from(sorted(ROLES)))
def test_who_may_hand_a_role_out_could_do_all_of_it(grants: list[HeldGrant], place: Location, role: str) -> None:
    lacking = rules.lacking_to_hand_out(
        giver=MEMBER,
        permissions=ROLES[role].permissions,
        limits=rules.NO_LIMITS,
        where=place,
        holdings=rules.Holdings(grants),
        circumstances=rules.Circumstances(at=NOW),
        facts=_Facts(),
    )

    for name in ROLES[role].permissions - lacking:
        own = PERMISSIONS[name].handed_out_with or name
        assert _decide(MEMBER, own, grants, place).allowed


def test_what_each_role_is_for() -> None:
    everything = {name for name, one in PERMISSIONS.items() if "member" in one.kinds}

    assert ROLES[OWNER].permissions == everything
    assert everything - ROLES["admin"].permissions == {
        "audit.write",
        "payments.write",
        "provider_accounts.write",
        "sign_in.write",
    }
    assert all(name.endswith(".read") for name in ROLES["auditor"].permissions)
    assert not ROLES["analyst"].permissions & {"people.read", "members.read", "audit.read"}
    assert ROLES["terminal"].permissions == {"checkout.create"}
    assert all(role.permissions <= set(PERMISSIONS) for role in ROLES.values())


def test_the_platform_itself_holds_no_grants() -> None:
    decision = _decide(SYSTEM, "people.read", [_grant(OWNER)], rules.EVERYWHERE)

    assert decision.reason is Reason.WRONG_KIND
