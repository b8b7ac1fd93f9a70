"""The tree: making, renaming, moving; what may never be."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput, NotFound
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization
from tenants.audit.models import Entry
from tenants.sites import rules, selectors, services
from tenants.sites.models import Site
from tests.harness.live import LiveDatabase


def _site(name: str = "", parent: Site | None = None, **more: Any) -> Site:
    return services.create(name=name or uuid4().hex, parent_id=parent.id if parent else None, by=SYSTEM, **more)


def _move(site: Site, parent: Site | None) -> Site:
    return services.update(site_id=site.id, parent_id=parent.id if parent else None, by=SYSTEM)


@pytest.mark.usefixtures("in_org_a")
class TestTree:
    def test_a_subtree_is_the_site_and_all_beneath(self, django_assert_num_queries: Any) -> None:
        top = _site()
        low = _site(parent=top)
        lowest = _site(parent=low)
        _site()

        with django_assert_num_queries(1):
            found = list(Site.objects.beneath(top))

        assert {one.id for one in found} == {top.id, low.id, lowest.id}
        assert lowest.ancestor_ids == [top.id, low.id]

    def test_moving_takes_everything_beneath_along(self) -> None:
        here, there = _site(), _site()
        low = _site(parent=here)
        lowest = _site(parent=low)

        _move(low, there)

        assert set(Site.objects.beneath(there)) == {there, low, lowest}
        assert list(Site.objects.beneath(here)) == [here]
        assert selectors.site(site_id=lowest.id).ancestor_ids == [there.id, low.id]
        _move(low, None)
        assert selectors.site(site_id=lowest.id).ancestor_ids == [low.id]

    def test_nothing_stands_under_itself(self) -> None:
        top = _site()
        low = _site(parent=top)
        lowest = _site(parent=low)

        for below in (top, low, lowest):
            with pytest.raises(services.SiteCycle):
                _move(top, below)

    def test_a_name_is_taken_once_under_each_parent_in_any_case(self) -> None:
        top, other = _site("Lisbon"), _site("Porto")
        _site("Gate", parent=top)

        for name, parent in (("LISBON", None), ("gate", top)):
            with pytest.raises(services.SiteNameTaken):
                _site(name, parent=parent)
        elsewhere = _site("Gate", parent=other)
        with pytest.raises(services.SiteNameTaken):
            _move(elsewhere, top)

    def test_it_has_a_bottom(self) -> None:
        chain = [_site()]
        while len(chain) < rules.DEPTH_MAX:
            chain.append(_site(parent=chain[-1]))

        with pytest.raises(services.SiteTooDeep):
            _site(parent=chain[-1])
        with pytest.raises(services.SiteTooDeep):
            _move(chain[0], _site())

    @pytest.mark.parametrize(
        ("given_", "field"),
        [
            ({"name": " "}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"time_zone": "Mars/Olympus"}, "time_zone"),
            ({"time_zone": "../../etc/passwd"}, "time_zone"),
            ({"parent_id": uuid4()}, "parent_id"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, given_: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            services.create(**{"name": "Gate", "by": SYSTEM, **given_})
        site = _site()
        with pytest.raises(InvalidInput) as refused_later:
            services.update(**{"site_id": site.id, "by": SYSTEM, **given_})

        assert (refused.value.field, refused_later.value.field) == (field, field)

    def test_what_is_done_is_written_down_and_what_is_not_is_not(self) -> None:
        site = _site("Gate")
        renamed = services.update(site_id=site.id, name="Door", by=SYSTEM)
        again = services.update(site_id=site.id, name="Door", by=SYSTEM)

        entries = Entry.objects.filter(resource=site.public_id).order_by("created_at")
        assert [entry.action for entry in entries] == ["site.created", "site.updated"]
        assert again.updated_at == renamed.updated_at

    def test_what_is_not_there(self) -> None:
        with pytest.raises(NotFound):
            services.update(site_id=uuid4(), name="Gate", by=SYSTEM)
        with pytest.raises(NotFound):
            selectors.site(site_id=uuid4())


@pytest.mark.usefixtures("in_org_a")
class TestTimeZones:
    def test_come_from_the_nearest_above(self, django_assert_num_queries: Any) -> None:
        top = _site(time_zone="Europe/Lisbon")
        low = _site(parent=top)
        lowest = _site(parent=low)
        own = _site(parent=low, time_zone="Atlantic/Azores")
        loose = _site()

        with django_assert_num_queries(1):
            zones = selectors.effective_time_zones(sites=[lowest, own, loose])

        assert zones[lowest.id] == "Europe/Lisbon"
        assert zones[own.id] == "Atlantic/Azores"
        assert zones[loose.id] == "Europe/Berlin"  # the organization's

    def test_follow_a_move(self) -> None:
        top, site = _site(time_zone="Europe/Lisbon"), _site()

        moved = _move(site, top)

        assert selectors.effective_time_zones(sites=[moved])[site.id] == "Europe/Lisbon"


def test_parallel_moves_never_close_a_cycle(live_db: LiveDatabase, org_a: OrganizationContext) -> None:
    """Each move is fine by itself; together they would make a ring without a top."""
    with organization(org_a):
        ring = [_site() for _ in range(4)]
    barrier = threading.Barrier(len(ring))

    def move(site: Site, parent: Site) -> None:
        try:
            with organization(org_a):
                barrier.wait()
                _move(site, parent)
        except services.SiteCycle:
            pass
        finally:
            connection.close()

    threads = [
        threading.Thread(target=move, args=(site, ring[(number + 1) % len(ring)])) for number, site in enumerate(ring)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with organization(org_a):
        rows = {one.id: one for one in Site.objects.filter(id__in=[one.id for one in ring])}
    assert len([one for one in rows.values() if one.parent_id is None]) == 1
    for one in rows.values():
        parent_path = rows[one.parent_id].path if one.parent_id else ""
        assert one.path == rules.path_of(one.id, parent_path)


_IDS = st.lists(st.uuids(), min_size=1, max_size=5, unique=True)


@given(_IDS, _IDS)
def test_lying_within_is_sharing_the_way_down(one: list[UUID], other: list[UUID]) -> None:
    def path(ids: list[UUID]) -> str:
        built = ""
        for site_id in ids:
            built = rules.path_of(site_id, built)
        return built

    assert rules.ids_of(path(one)) == one
    assert rules.lies_within(path(one), path(other)) == (one[: len(other)] == other)


def test_nothing_is_visible_before_anybody_said_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "_reach_of", None)

    with pytest.raises(selectors.NoReach):
        selectors.visible_to(principal=Principal(kind="member", id=uuid4()))
