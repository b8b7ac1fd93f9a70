"""Random worlds of grants, sites and devices: `make chaos NAME=access`.

In each world check, list and explain are asked about members, an app and devices, and held against a reference
that looks at one grant after the other and shares no code with them. The worlds follow each other in one
organization, committed, with the same principals: a decision that was kept too long shows as a disagreement.
SEED=n repeats a run; WORLDS=n its size.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from tests.chaos.report import Report, seed

PLACES, DEVICES, ERA = 9, 8, 250
ZONES = ("", "", "", "Asia/Tokyo", "America/New_York", "Europe/Lisbon")
READS = ("sites.read", "devices.read", "checkouts.read", "members.read")
ASKED = (*READS, "sites.write", "payments.write", "checkout.create", "people.fly")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class World:
    """What there is, as plain data, beside the rows."""

    members: list[Any]
    app: Any
    devices: dict[UUID, UUID]
    """Device -> site."""
    parents: dict[UUID, UUID | None]
    zones: dict[UUID, str]
    organization_zone: str
    roles: dict[str, set[str]] = field(default_factory=dict)
    groups: dict[UUID, tuple[str, set[UUID]]] = field(default_factory=dict)
    grants: list[dict[str, Any]] = field(default_factory=list)
    spent: dict[tuple[UUID, UUID, Any], int] = field(default_factory=dict)

    def above(self, site: UUID | None) -> list[UUID]:
        found = []
        while site is not None:
            found.append(site)
            site = self.parents[site]
        return found

    def zone(self, site: UUID | None) -> ZoneInfo:
        own = [self.zones[one] for one in self.above(site) if self.zones[one]]
        return ZoneInfo(own[0] if own else self.organization_zone)


@dataclass(frozen=True)
class Asked:
    """One question."""

    principal: Any
    permission: str
    site: UUID | None
    device: UUID | None
    at: datetime
    amount_minor: int | None = None
    currency: str = ""


def expected(world: World, asked: Asked) -> tuple[bool, set[UUID], bool]:
    """By the words of docs/access.md: allowed, by which grants, and whether a second factor would help."""
    allowing = {g["id"] for g in world.grants if _serves(world, g, asked)}
    fresh = replace(asked, principal=replace(asked.principal, mfa_at=asked.at))
    helped = any(_serves(world, g, fresh) for g in world.grants)
    return bool(allowing), allowing, helped and not allowing


def _serves(world: World, grant: dict[str, Any], asked: Asked) -> bool:
    who, what = asked.principal, asked.permission
    devices_only = what == "checkout.create"
    if (who.kind == "device") != devices_only or (who.scopes is not None and what not in who.scopes):
        return False
    if grant["kind"] == "group":
        kind, inside = world.groups[grant["whom"]]
        if kind != who.kind or who.id not in inside:
            return False
    elif (grant["kind"], grant["whom"]) != (who.kind, who.id):
        return False
    if what not in world.roles[grant["role"]]:
        return False
    if grant["site"] is not None and grant["site"] not in world.above(asked.site):
        return False
    if grant["device"] is not None and grant["device"] != asked.device:
        return False
    return _in_time(world, grant, asked) and _in_money(world, grant, asked)


def _in_time(world: World, grant: dict[str, Any], asked: Asked) -> bool:
    if grant["expires_at"] is not None and asked.at >= grant["expires_at"]:
        return False
    age_s = grant["mfa_max_age_s"]
    shown = asked.principal.mfa_at
    if age_s is not None and (shown is None or (asked.at - shown).total_seconds() > age_s):
        return False
    if grant["hours"] is None:
        return True
    local = asked.at.astimezone(world.zone(asked.site))
    for window in grant["hours"]:
        start, end = window["from"], window["to"]
        now, today = f"{local:%H:%M}", local.isoweekday()
        yesterday = 7 if today == 1 else today - 1
        if start < end and today in window["days"] and start <= now < end:
            return True
        if start > end and today in window["days"] and now >= start:
            return True
        if start > end and yesterday in window["days"] and now < end:
            return True
    return False


def _in_money(world: World, grant: dict[str, Any], asked: Asked) -> bool:
    if asked.permission != "checkout.create" or not grant["currency"]:
        return True
    if asked.amount_minor is None or asked.currency != grant["currency"]:
        return False
    if grant["amount_max_minor"] is not None and asked.amount_minor > grant["amount_max_minor"]:
        return False
    daily = grant["amount_per_day_max_minor"]
    day = asked.at.astimezone(world.zone(asked.site)).date()
    return daily is None or world.spent.get((grant["id"], asked.principal.id, day), 0) + asked.amount_minor <= daily


def run(*, worlds: int, number: int, organization: Any, say: bool = True) -> Report:
    """One run in an organization of a committed database."""
    from engine.tenancy.context import organization as entered

    report = Report(name="access", seed=number)
    chance = random.Random(number)
    counts: Counter[str] = Counter()
    faults: dict[str, list[str]] = {"check": [], "explain": [], "list": []}
    with entered(organization):
        world = _new_world(chance, organization.time_zone)
        for turn in range(worlds):
            if turn % ERA == ERA - 1:
                world = _new_world(chance, organization.time_zone)
            if say and turn % 1000 == 0:
                print(f"world {turn} of {worlds}", file=sys.stderr, flush=True)
            with _filled(world, chance):
                _ask(world, chance, faults, counts)
                _change(world, chance)
                _ask(world, chance, faults, counts)
    for name, what in (
        ("check", "check agrees with the reference: allowed, by which grant, step-up"),
        ("explain", "explain agrees with check, grant by grant"),
        ("list", "a list shows exactly what check allows"),
    ):
        report.promise(what, not faults[name], figure=faults[name][:5] or counts[name])
    share = min(counts["yes"], counts["no"]) / counts["check"]
    report.promise("both answers came up often", share > 0.08, figure=round(share, 3))
    report.counts |= {"worlds": worlds, **counts}
    return report


def _new_world(chance: random.Random, zone: str) -> World:
    """Other sites and devices, and other principals."""
    from engine import ids
    from engine.principals import SYSTEM, Principal
    from tenants.devices.models import Device
    from tenants.sites import services as sites

    made: list[Any] = []
    for index in range(PLACES):
        parent = chance.choice([None, *made]) if index else None
        name = f"{index} {ids.uuid7()}"
        made.append(sites.create(name=name, by=SYSTEM, parent_id=parent and parent.id))
    devices = [Device(site=chance.choice(made), name="till", kind="terminal") for _ in range(DEVICES)]
    Device.objects.bulk_create(devices)
    return World(
        members=[Principal(kind="member", id=uuid4()) for _ in range(2)],
        app=Principal(kind="app", id=uuid4()),
        devices={one.id: one.site_id for one in devices},
        parents={one.id: one.parent_id for one in made},
        zones={one.id: "" for one in made},
        organization_zone=zone,
    )


@contextmanager
def _filled(world: World, chance: random.Random) -> Iterator[None]:
    """Another tree, and other roles, groups, grants and spendings, committed; all gone afterwards but the tree."""
    from django.db import transaction

    from engine.clock import utc_now
    from tenants.access import policy
    from tenants.access.models import DailySpend, Grant, Group, GroupMembership, Role
    from tenants.access.permissions import ROLES

    _rearrange(world, chance)
    own = {name: set(chance.sample(READS, chance.randint(1, 3))) for name in ("own-a", "own-b")}
    world.roles = {name: set(role.permissions) for name, role in ROLES.items()} | own
    world.groups = {
        uuid4(): ("member", {one.id for one in world.members if chance.random() < 0.6}),
        uuid4(): ("device", {one for one in world.devices if chance.random() < 0.5}),
    }
    world.grants = _random_grants(world, chance)
    world.spent = _random_spent(world, chance)
    now = utc_now()
    with transaction.atomic():
        policy.bump_policy_revision()
        Role.objects.bulk_create([Role(name=n, permissions=sorted(p), updated_at=now) for n, p in own.items()])
        Group.objects.bulk_create(
            [Group(id=g, name=str(g), kind=kind, updated_at=now) for g, (kind, _) in world.groups.items()]
        )
        GroupMembership.objects.bulk_create(
            [
                GroupMembership(group_id=g, principal_id=one, created_by="chaos")
                for g, (_, inside) in world.groups.items()
                for one in inside
            ]
        )
        Grant.objects.bulk_create([_row(one) for one in world.grants])
        DailySpend.objects.bulk_create(
            [DailySpend(grant_id=g, principal_id=p, day=d, amount_minor=a) for (g, p, d), a in world.spent.items()]
        )
    yield
    with transaction.atomic():
        policy.bump_policy_revision()
        Grant.objects.filter(created_by="chaos").delete()
        GroupMembership.objects.filter(created_by="chaos").delete()
        Group.objects.filter(id__in=world.groups).delete()
        Role.objects.filter(name__in=own).delete()


def _rearrange(world: World, chance: random.Random) -> None:
    """Move a site and a device, and change a clock, through the services that everybody uses."""
    from engine.principals import SYSTEM
    from tenants.devices.models import Device
    from tenants.sites import services as sites

    site = chance.choice(list(world.parents))
    parent = chance.choice([None, *world.parents])
    zone = chance.choice(ZONES)
    if site not in world.above(parent):
        sites.update(site_id=site, by=SYSTEM, parent_id=parent, time_zone=zone)
        world.parents[site] = parent
    else:
        sites.update(site_id=site, by=SYSTEM, time_zone=zone)
    world.zones[site] = zone
    device, place = chance.choice(list(world.devices)), chance.choice(list(world.parents))
    Device.objects.filter(id=device).update(site_id=place)
    world.devices[device] = place


def _random_grants(world: World, chance: random.Random) -> list[dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for _ in range(chance.randint(0, 16)):
        kind = chance.choice(["member", "member", "app", "device", "device", "group", "group"])
        if kind == "group":
            whom = chance.choice(list(world.groups))
        else:
            whom = chance.choice(
                {"member": [one.id for one in world.members], "app": [world.app.id], "device": list(world.devices)}[
                    kind
                ]
            )
        # Mostly a role that the kind can use, so that both answers come up.
        is_device = kind == "device" or (kind == "group" and world.groups[whom][0] == "device")
        fitting = ["terminal"] if is_device else [name for name in world.roles if name != "terminal"]
        role = chance.choice(fitting if chance.random() < 0.9 else list(world.roles))
        scope = chance.choice(["organization", "site", "site", "device"])
        grant: dict[str, Any] = {
            "id": uuid4(),
            "kind": kind,
            "whom": whom,
            "role": role,
            "scope": scope,
            "site": chance.choice(list(world.parents)) if scope == "site" else None,
            "device": chance.choice(list(world.devices)) if scope == "device" else None,
            **_random_limits(chance),
        }
        if role == "owner":
            if kind != "member":
                continue
            grant |= _NO_LIMITS
        found[kind, whom, role, grant["site"], grant["device"]] = grant
    return list(found.values())


_NO_LIMITS: dict[str, Any] = {
    "amount_max_minor": None,
    "amount_per_day_max_minor": None,
    "currency": "",
    "hours": None,
    "expires_at": None,
    "mfa_max_age_s": None,
}


def _random_limits(chance: random.Random) -> dict[str, Any]:
    limits = dict(_NO_LIMITS)
    if chance.random() < 0.5:
        return limits
    if chance.random() < 0.4:
        start, end = chance.sample([f"{hour:02}:00" for hour in range(24)], 2)
        limits["hours"] = [{"days": chance.sample(range(1, 8), chance.randint(2, 7)), "from": start, "to": end}]
    if chance.random() < 0.3:
        limits["expires_at"] = MONDAY + timedelta(hours=chance.randint(0, 168))
    if chance.random() < 0.3:
        limits["mfa_max_age_s"] = 900
    if chance.random() < 0.4:
        limits["currency"] = chance.choice(["EUR", "USD"])
        limits["amount_max_minor"] = chance.choice([None, 500, 5000])
        limits["amount_per_day_max_minor"] = chance.choice([900, 9000])
    return limits


def _random_spent(world: World, chance: random.Random) -> dict[tuple[UUID, UUID, Any], int]:
    return {
        (one["id"], device, (MONDAY + timedelta(days=day)).date()): chance.choice([100, 800, 8900])
        for one in world.grants
        if one["amount_per_day_max_minor"] is not None
        for device in chance.sample(list(world.devices), 3)
        for day in range(7)
    }


def _row(grant: dict[str, Any]) -> Any:
    from tenants.access.models import Grant

    renamed = {"kind": "principal_kind", "whom": "principal_id", "site": "site_id", "device": "device_id"}
    return Grant(created_by="chaos", **{renamed.get(name, name): value for name, value in grant.items()})


def _change(world: World, chance: random.Random) -> None:
    """Take one grant away, as one does in the middle of a day."""
    from django.db import transaction

    from tenants.access import policy
    from tenants.access.models import Grant

    if world.grants:
        gone = world.grants.pop(chance.randrange(len(world.grants)))
        with transaction.atomic():
            policy.bump_policy_revision()
            Grant.objects.filter(id=gone["id"]).delete()


def _ask(world: World, chance: random.Random, faults: dict[str, list[str]], counts: Counter[str]) -> None:
    at = MONDAY + timedelta(minutes=chance.randrange(7 * 24 * 60))
    for _ in range(6):
        asked = _question(world, chance, at)
        wrong = _compare(world, asked, counts)
        for name, text in wrong:
            faults[name].append(f"{text}: {asked}")
    person = _dressed(chance.choice(world.members), chance, at)
    for text in _compare_lists(world, person, at):
        faults["list"].append(f"{text} for {person} at {at}")
    counts["list"] += 2


def _dressed(principal: Any, chance: random.Random, at: datetime) -> Any:
    """As a token and a session would have it."""
    scopes = chance.choice([None, None, frozenset(chance.sample(READS, 2))]) if principal.kind != "device" else None
    mfa_at = chance.choice([None, at, at - timedelta(hours=1)]) if principal.kind == "member" else None
    return replace(principal, scopes=scopes, mfa_at=mfa_at)


def _question(world: World, chance: random.Random, at: datetime) -> Asked:
    from engine.principals import Principal

    granted = [one["whom"] for one in world.grants if one["kind"] == "device"]
    device = chance.choice([*granted, *world.devices])
    principal = chance.choice([*world.members, world.app, Principal(kind="device", id=device)])
    permission = "checkout.create" if principal.kind == "device" and chance.random() < 0.8 else chance.choice(ASKED)
    where = chance.choice(["organization", "site", "device", "device"])
    site = chance.choice(list(world.parents)) if where == "site" else None
    if where == "device":
        site = world.devices[device]
    amount = chance.choice([None, 100, 400, 4000])
    return Asked(
        principal=_dressed(principal, chance, at),
        permission=permission,
        site=site,
        device=device if where == "device" else None,
        at=at,
        amount_minor=amount,
        currency=chance.choice(["EUR", "EUR", "USD"]) if amount else "",
    )


@dataclass(frozen=True)
class _At:
    location: Any


def _compare(world: World, asked: Asked, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    from tenants.access import explaining
    from tenants.access import services as access
    from tenants.sites import selectors as sites
    from tenants.sites.rules import Location

    where = Location()
    if asked.site is not None:
        where = Location(site_path=sites.site(site_id=asked.site).path, device_id=asked.device)
    money = {"amount_minor": asked.amount_minor, "currency": asked.currency}
    decision = access.check(
        principal=asked.principal,
        permission=asked.permission,
        resource=_At(where),
        clock=lambda: asked.at,
        **money,
    )
    allowed, by, step_up = expected(world, asked)
    counts["check"] += 1
    counts["yes" if allowed else "no"] += 1
    if decision.allowed != allowed or decision.step_up != step_up:
        yield "check", f"said {decision}, reference {allowed}, step-up {step_up}"
    if decision.allowed and decision.grant_id not in by:
        yield "check", f"named {decision.grant_id}, which does not serve"
    told = explaining.explain(
        principal=asked.principal, permission=asked.permission, where=where, clock=lambda: asked.at, **money
    )
    counts["explain"] += 1
    if told.decision != decision:
        yield "explain", f"said {told.decision}, check {decision}"
    barred = decision.reason in ("wrong_kind", "token_scope", "unknown_permission")
    if not barred and {one.grant.id for one in told.considered if one.allows} != by:
        yield "explain", "other grants allow it than the reference says"


def _compare_lists(world: World, person: Any, at: datetime) -> Iterator[str]:
    from tenants.access import services as access
    from tenants.devices.models import Device
    from tenants.sites.models import Site

    def seen(model: Any, permission: str, site: str, device: str | None, own: Any) -> set[UUID]:
        within = access.visible_to(
            principal=person, permission=permission, site_id=site, device_id=device, clock=lambda: at
        )
        return set(model.objects.filter(within, id__in=list(own)).values_list("id", flat=True))

    sites = {s for s in world.parents if expected(world, Asked(person, "sites.read", s, None, at))[0]}
    if (found := seen(Site, "sites.read", "id", None, world.parents)) != sites:
        yield f"sites: {len(found ^ sites)} differ"
    devices = {d for d, s in world.devices.items() if expected(world, Asked(person, "devices.read", s, d, at))[0]}
    if (found := seen(Device, "devices.read", "site_id", "id", world.devices)) != devices:
        yield f"devices: {len(found ^ devices)} differ"


def main() -> None:
    from tests.harness import environment

    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from engine.tenancy import directory
    from tests.harness.live import live_database

    number = seed()
    print(f"seed {number}", file=sys.stderr, flush=True)
    with live_database():
        found = directory.by_host(f"org-a.{environment.BASE_DOMAIN}")
        report = run(worlds=int(os.environ.get("WORLDS", "10000")), number=number, organization=found)
    report.end()


if __name__ == "__main__":
    main()
