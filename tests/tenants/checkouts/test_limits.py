"""What a grant lets a terminal take: amounts of one checkout and of a day, hours, and the currency."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from engine.clock import utc_now
from engine.principals import SYSTEM
from tenants.access import services as access
from tenants.access.models import DailySpend, Grant
from tests.factories.checkouts import seen
from tests.tenants.checkouts.conftest import Shop

pytestmark = pytest.mark.xdist_group("checkouts")


def _limit(shop: Shop, **limits: Any) -> Grant:
    """The terminal's one grant, within these limits."""
    device = shop.terminal.device
    for grant in Grant.objects.filter(principal_id=device.id):
        access.revoke_grant(grant_id=grant.id, by=SYSTEM)
    return access.grant_role(principal=device.principal, role="terminal", limits=limits)


def _charge(shop: Shop, who: Any, amount_minor: int, **more: Any) -> tuple[str, str]:
    answer = shop.terminal.send(shop.terminal.frame(seen(who.face), amount_minor=amount_minor, **more))
    return answer.status, answer.reason or ""


def test_one_checkout_takes_at_most_what_the_grant_says(shop: Shop) -> None:
    ada = shop.customer()
    _limit(shop, amount_max_minor=1000, currency="EUR")

    assert _charge(shop, ada, 1001) == ("declined", "amount_above_limit")
    assert _charge(shop, ada, 1000)[0] == "approved"
    assert shop.charges() == [1000]


def test_an_amount_in_another_currency_is_not_within_it(shop: Shop) -> None:
    ada = shop.customer()
    _limit(shop, amount_max_minor=100_000, currency="USD")

    assert _charge(shop, ada, 1000) == ("declined", "currency_mismatch")


def test_a_day_s_checkouts_add_up_and_what_came_to_nothing_is_given_back(shop: Shop) -> None:
    ada, broke = shop.customer(), shop.customer(token="pm_card_chargeDeclined")
    grant = _limit(shop, amount_per_day_max_minor=2000, currency="EUR")

    assert _charge(shop, ada, 1500)[0] == "approved"
    assert _charge(shop, broke, 500)[0] == "declined"
    assert DailySpend.objects.get(grant_id=grant.id).amount_minor == 1500
    assert _charge(shop, ada, 501) == ("declined", "daily_amount_above_limit")
    assert _charge(shop, ada, 500)[0] == "approved"
    assert sorted(shop.charges()) == [500, 1500]


def test_two_at_once_do_not_share_what_is_left(shop: Shop) -> None:
    people = [shop.customer() for _ in range(6)]
    grant = _limit(shop, amount_per_day_max_minor=2000, currency="EUR")
    frames = [shop.terminal.frame(seen(one.face), amount_minor=900) for one in people]

    def send(frame: dict[str, Any]) -> str:
        try:
            return str(shop.terminal.send(frame).status)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, frames))

    assert statuses.count("approved") == 2
    assert DailySpend.objects.get(grant_id=grant.id).amount_minor == 1800
    assert shop.charges() == [900, 900]


def test_hours_are_the_site_s(shop: Shop) -> None:
    ada = shop.customer()
    local = utc_now().astimezone(ZoneInfo(shop.organization.time_zone))
    tomorrow = (local + timedelta(days=1)).isoweekday()
    after = tomorrow % 7 + 1
    _limit(shop, hours=[{"days": [after], "from": "00:00", "to": "24:00"}])
    assert _charge(shop, ada, 1000) == ("declined", "outside_hours")

    days = [local.isoweekday(), tomorrow]
    _limit(shop, hours=[{"days": days, "from": "00:00", "to": "24:00"}])
    assert _charge(shop, ada, 1000)[0] == "approved"


def test_a_grant_that_goes_while_somebody_is_looked_for_charges_nobody(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenants.checkouts import deciding

    ada = shop.customer()
    grant = _limit(shop, amount_max_minor=5000, currency="EUR")
    decide = deciding.decide

    def revoked_first(**given: Any) -> Any:
        access.revoke_grant(grant_id=grant.id, by=SYSTEM)
        return decide(**given)

    monkeypatch.setattr(deciding, "decide", revoked_first)

    assert _charge(shop, ada, 1000) == ("declined", "permission_denied")
    assert shop.charges() == []
