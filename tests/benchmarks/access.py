"""What a decision costs, and a list that shows only what one may see: `make bench NAME=access`.

    check   in an organization with 10 grants, and in one with 10,000 grants, 1,000 sites and 5,000 devices:
            there by somebody who holds 10 of them, and by somebody who holds half of all
    list    GET /v1/devices of 100 of the 5,000, by somebody who may see 5 subtrees and 5 single devices, beside
            the same request with the filter taken out of the view; `rows` is the query without the request

Real PostgreSQL and Valkey, one process, without a server. Ratios are of the time it takes, small over big.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

import psycopg

from tests.benchmarks.interleaved import Ratio, median_ratio, report, rounds, spread

ROUNDS = int(os.environ.get("ROUNDS", "15"))
CHECKS = int(os.environ.get("CHECKS", "400"))
LISTS = int(os.environ.get("LISTS", "12"))
SITES, DEVICES, GRANTS, OWN = 1_000, 5_000, 10_000, 10
PAGE = 100
CHECK_MOST, LIST_MOST = 1.2, 1.3


def fill(few: Any, *, sites: int, devices: int, grants: int) -> tuple[Any, list[Any]]:
    """10 grants for `few`, half of all for somebody else, who is answered with the devices."""
    from engine.clock import utc_now
    from engine.ids import uuid7
    from engine.principals import Principal
    from tenants.access import policy
    from tenants.access.models import Grant
    from tenants.devices.models import Device
    from tenants.sites.models import Site
    from tenants.sites.rules import path_of

    chance, now = random.Random(7), utc_now()
    tree: list[Site] = []
    for index in range(sites):
        # Twenty countries, and branches beneath.
        parent = tree[index % 20] if index >= 20 else None
        site_id = uuid7()
        path = path_of(site_id, parent.path if parent else "")
        tree.append(Site(id=site_id, name=f"s{index}", parent=parent, path=path, updated_at=now))
    Site.objects.bulk_create(tree)
    made = [Device(site=chance.choice(tree), name=f"d{index}", kind="terminal") for index in range(devices)]
    Device.objects.bulk_create(made)
    many = Principal(kind="member", id=uuid4())

    def over_site(whom: Principal, site: Site, role: str) -> Grant:
        return _grant(whom, role, scope="site", site=site)

    def over_device(whom: Principal, device: Device, role: str) -> Grant:
        return _grant(whom, role, scope="device", device_id=device.id)

    def _grant(whom: Principal, role: str, **where: Any) -> Grant:
        return Grant(principal_kind=whom.kind, principal_id=whom.id, role=role, created_by="bench", **where)

    rows = [over_site(few, site, "auditor") for site in tree[:5]]
    rows += [over_device(few, device, "auditor") for device in made[-5:]]
    left = grants - len(rows)
    rows += [over_device(many, device, "auditor") for device in made[: left // 2]]
    own = iter(made)
    while len(rows) < grants:
        device = next(own)
        rows.append(over_device(device.principal, device, "terminal"))
    policy.bump_policy_revision()
    Grant.objects.bulk_create(rows, batch_size=2_000)
    policy.bump_policy_revision()
    return many, made


def _timed(act: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - began) / times * 1e6


def checked(where: Any, who: Any, device: Any) -> Callable[[], float]:
    """Microseconds of one check that says yes."""
    from engine.tenancy.context import organization
    from tenants.access import services as access

    def once() -> None:
        if not access.check(principal=who, permission="devices.read", resource=device).allowed:
            raise AssertionError("the one who was granted it may not")

    def run() -> float:
        with organization(where):
            return _timed(once, CHECKS)

    return run


def listed(where: Any, who: Any) -> dict[str, Callable[[], float]]:
    """Microseconds of a page, filtered and not, as a request and as a query."""
    from engine.tenancy.context import organization
    from tenants.devices import selectors as devices
    from tenants.devices.models import Device
    from tests.conftest import client_of
    from tests.factories import access as access_factory

    client = access_factory.signed_in(client_of(where), who.token)

    def every(**_: Any) -> Any:
        return Device.objects.select_related("site")

    def answered() -> None:
        answer = client.get(f"/v1/devices?limit={PAGE}")
        if len(answer.json()["data"]) != PAGE:
            raise AssertionError(answer.content)

    def unfiltered() -> float:
        with mock.patch.object(devices, "devices", every):
            return _timed(answered, LISTS)

    def rows(query: Callable[..., Any]) -> float:
        with organization(where):
            return _timed(lambda: list(query(visible_to=who.principal).order_by("-id")[:PAGE]), LISTS)

    return {
        "unfiltered": unfiltered,
        "filtered": lambda: _timed(answered, LISTS),
        "rows_unfiltered": lambda: rows(every),
        "rows_filtered": lambda: rows(devices.devices),
    }


def measure(small: Any, big: Any, database: Any) -> None:
    """Fill both organizations, measure, print the line and leave."""
    from engine.tenancy.context import organization
    from tests.factories import access as access_factory

    few_small, few = access_factory.member(small, None).principal, access_factory.member(big, None)
    with organization(small):
        _, made_small = fill(few_small, sites=10, devices=10, grants=OWN)
    with organization(big):
        many, made = fill(few.principal, sites=SITES, devices=DEVICES, grants=GRANTS)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE")
    variants = {
        "small": checked(small, few_small, made_small[-1]),
        "small_again": checked(small, few_small, made_small[-1]),
        "big": checked(big, few.principal, made[-1]),
        "big_own": checked(big, many, made[0]),
        **listed(big, few),
    }
    for run in variants.values():
        run()
    results = rounds(variants, count=ROUNDS, progress=lambda text: print(text, file=sys.stderr, flush=True))
    report(
        name="access",
        figures={
            **{f"{name}_us": round(statistics.median(values)) for name, values in results.items()},
            "grants": GRANTS,
            "sites": SITES,
            "devices": DEVICES,
            "rounds": ROUNDS,
            "small_against_small": spread(results["small"], results["small_again"]),
        },
        ratios=[
            _ratio("check_small_over_big", results, "small", "big", most=CHECK_MOST),
            _ratio("check_small_over_big_own", results, "small", "big_own", most=CHECK_MOST),
            _ratio("list_unfiltered_over_filtered", results, "unfiltered", "filtered", most=LIST_MOST),
        ],
    )


def _ratio(name: str, results: dict[str, list[float]], first: str, second: str, *, most: float) -> Ratio:
    return Ratio(name, median_ratio(results[first], results[second]), floor=1 / most, target=1)


def main() -> None:
    from tests.harness import environment

    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from engine.tenancy import directory
    from tests.harness.live import live_database

    with live_database() as database:
        small, big = (directory.by_host(f"org-{one}.{environment.BASE_DOMAIN}") for one in "ab")
        measure(small, big, database)


if __name__ == "__main__":
    main()
