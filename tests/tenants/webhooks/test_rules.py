from __future__ import annotations

import base64
import ipaddress
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from engine import addresses
from tenants.webhooks import rules


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200), st.integers(0, 2**32))
def test_signatures_are_those_of_the_reference_library(secret, body, timestamp):
    ours = rules.sign(secrets=[secret], message_id="evt_1", timestamp=timestamp, body=body.encode())
    moment = datetime.fromtimestamp(timestamp, tz=UTC)
    theirs = standardwebhooks.Webhook(rules.secret_text(secret)).sign("evt_1", moment, body)
    assert ours == theirs


def test_secrets_are_written_as_the_specification_says():
    text = rules.secret_text(bytes(range(32)))
    assert text.startswith("whsec_")
    assert base64.b64decode(text.removeprefix("whsec_")) == bytes(range(32))


@pytest.mark.parametrize(
    ("subscribed", "event_type", "wanted"),
    [
        (["*"], "payment.captured", True),
        (["payment.captured"], "payment.captured", True),
        (["payment.captured"], "payment.refunded", False),
        (["payment.*"], "payment.captured", True),
        (["payment.*"], "payment.dispute.opened", True),
        (["payment.*"], "payments.captured", False),
        (["payment.*"], "payment", False),
        ([], "payment.captured", False),
    ],
)
def test_wants(subscribed, event_type, wanted):
    assert rules.wants(subscribed, event_type) is wanted


@pytest.mark.parametrize("text", ["*", "payment.captured", "payment.*", "identity.person.erased", "identity.person.*"])
def test_subscriptions(text):
    assert rules.is_subscription(text)


@pytest.mark.parametrize("text", ["", "payment", "Payment.captured", "*.captured", "payment.", ".a", "a.b\n", "a b.c"])
def test_not_subscriptions(text):
    assert not rules.is_subscription(text)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_addresses_that_deliveries_never_go_to(address):
    assert not addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses(address):
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://shop.example/",
        "http://shop.example/",
        "https://",
        "https:///path",
        "https://user:password@shop.example/",
        "https://user@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://shop.exa mple/",
        "https://shop.example/\n",
        "https://münchen.example/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://shop.example/" + "x" * 2000,
        "https://[::1/",
    ],
)
def test_urls_that_cannot_be_endpoints(url):
    with pytest.raises(rules.InvalidUrl):
        rules.check_url(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://shop.example", "https://shop.example:8443/hooks?shop=7", "https://1.1.1.1/"])
def test_urls_that_can(url):
    assert rules.check_url(url, allow_private=False) == url


def test_development_may_use_loopback():
    assert rules.check_url("http://127.0.0.1:9000/", allow_private=True)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text):
    # Any other exception fails: what a caller sends may never be a 500.
    with suppress(rules.InvalidUrl):
        assert rules.check_url(text, allow_private=True) == text


def test_retries_go_on_for_days_and_end():
    delays = []
    attempt = 1
    while (delay := rules.retry_delay(attempt=attempt, fraction=0)) is not None:
        delays.append(delay)
        attempt += 1
    assert delays[0] == timedelta(seconds=5)
    assert delays == sorted(delays)
    assert timedelta(days=3) < sum(delays, timedelta()) < timedelta(days=5)
    assert attempt == rules.ATTEMPTS_MAX


def test_retries_are_spread():
    assert rules.retry_delay(attempt=1, fraction=1) == timedelta(seconds=6)


def test_the_breaker_waits_longer_each_time():
    assert rules.breaker_pause(rules.BREAKER_FAILURES - 1) is None
    pauses = [rules.breaker_pause(rules.BREAKER_FAILURES + n) or timedelta() for n in range(30)]
    assert pauses[0] == timedelta(seconds=30)
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)


def test_hope_ends_after_days_and_many_failures():
    now = datetime(2026, 11, 1, tzinfo=UTC)
    long_ago = now - rules.DISABLE_AFTER
    assert rules.is_hopeless(failures=rules.DISABLE_FAILURES, failing_since=long_ago, now=now)
    assert not rules.is_hopeless(failures=rules.DISABLE_FAILURES - 1, failing_since=long_ago, now=now)
    assert not rules.is_hopeless(failures=10_000, failing_since=now - timedelta(days=1), now=now)
