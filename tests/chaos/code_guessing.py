"""Guessing at one-time codes by somebody who knows the password, from a thousand addresses.

First the wide limits are out of the way, so that the five of one sign-in are all that stands; every token is
guessed at from many addresses at the same moment. Then the limits are as they are. Meanwhile the account's owner
signs in from a device that is known. tests/chaos/otp.py runs it by itself, tests/chaos/tokens.py among others.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection
from django_otp.plugins.otp_totp.models import TOTPDevice
from rest_framework.test import APIClient

from engine.tenancy.context import OrganizationContext, organization
from shared.accounts import ceremonies, codes, throttle
from tests.chaos.report import Report
from tests.factories import access
from tests.factories.operators import code_of

THREADS = 8
ENOUGH = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    guesses: int
    addresses: int
    sign_ins: int


class Account:
    """A member with an authenticator, and the browser that the owner uses at home."""

    def __init__(self, org: OrganizationContext) -> None:
        self.org = org
        self.member = access.member(org)
        client = access.signed_in(_client(org), self.member.token)
        self.url = client.post("/v1/second-factors/authenticator").json()["otpauth_url"]
        confirmed = client.post("/v1/second-factors/authenticator/confirm", {"otp": code_of(self.url)})
        assert confirmed.status_code == 200, confirmed.content
        self.cookie = ""
        assert self.owner_gets_in("192.0.2.1")

    def start(self, address: str, *, cookie: str = "") -> Any:
        body = {"email": self.member.email, "password": access.PASSWORD}
        return _client(self.org, cookie).post("/v1/sessions", body, REMOTE_ADDR=address)

    def show(self, token: str, code: str, address: str, *, cookie: str = "") -> Any:
        body = {"sign_in_token": token, "otp": code}
        return _client(self.org, cookie).post("/v1/sessions/second-factor", body, REMOTE_ADDR=address)

    def owner_gets_in(self, address: str) -> bool:
        """The owner's own sign-in, by the code that the authenticator shows."""
        asked = self.start(address, cookie=self.cookie)
        if asked.status_code != 401 or "sign_in_token" not in asked.json():
            return False
        with organization(self.org):
            # A person waits half a minute for the next code instead.
            TOTPDevice.objects.filter(user_id=self.member.principal.id).update(last_t=-1, drift=0)
        answer = self.show(asked.json()["sign_in_token"], code_of(self.url), address, cookie=self.cookie)
        if answer.status_code == 201:
            self.cookie = answer.cookies["__Host-keystead-device"].value
        return bool(answer.status_code == 201)


def guess_at_codes(report: Report, *, org: OrganizationContext, size: Size, chance: random.Random) -> None:
    """Make the attack and note what it came to. Needs a database in which commits are real."""
    addresses = [f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}" for number in range(size.addresses)]
    half = size.guesses // 2
    one, whole = _of_each_sign_in(org, addresses, size, half, chance), _of_all(org, addresses, size, half, chance)
    report.counts |= {
        "guesses": size.guesses,
        "addresses": size.addresses,
        "sign_ins": one["sign_ins"] + whole["sign_ins"],
        "evaluated_without_wide_limits": one["evaluated"],
        "evaluated": whole["evaluated"],
    }
    report.promise(
        "at most 5 codes are evaluated for a sign-in whose password was right",
        one["most"] <= ceremonies.ATTEMPTS_MAX and one["evaluated"] <= ceremonies.ATTEMPTS_MAX * one["sign_ins"],
        figure=one["most"],
    )
    report.promise("the attack was made: each sign-in got its five", one["least"] == 5, figure=one["least"])
    report.promise(
        "of all sign-ins together no more are evaluated than an account allows",
        whole["evaluated"] <= codes.LIMITS.soon,
        figure=whole["evaluated"],
    )
    report.promise(
        "the owner on a known device gets in, between the waves and after them",
        all(whole["owner"]) and len(whole["owner"]) > 1,
        figure=f"{sum(whole['owner'])} of {len(whole['owner'])}",
    )
    report.promise("no guess got in", one["got_in"] + whole["got_in"] == 0, figure=one["got_in"] + whole["got_in"])


def _of_each_sign_in(
    org: OrganizationContext, addresses: list[str], size: Size, guesses: int, chance: random.Random
) -> dict[str, Any]:
    account, wide = Account(org), (codes.LIMITS, throttle.LIMITS)
    codes.LIMITS = replace(codes.LIMITS, soon=ENOUGH, day=ENOUGH)
    throttle.LIMITS = replace(throttle.LIMITS, pair=ENOUGH, address=ENOUGH, account=ENOUGH)
    try:
        tokens = [account.start(chance.choice(addresses)).json()["sign_in_token"] for _ in range(size.sign_ins)]
        before = codes.EVALUATED._value.get()
        told = _guess(account, [(tokens[n % len(tokens)], chance.choice(addresses)) for n in range(guesses)], chance)
        evaluated = int(codes.EVALUATED._value.get() - before)
    finally:
        codes.LIMITS, throttle.LIMITS = wide
    by_token = Counter(token for token, code in told if code == "otp_wrong")
    return {
        "sign_ins": len(tokens),
        "evaluated": evaluated,
        "most": max(by_token.values()),
        "least": min(by_token[token] for token in tokens),
        "got_in": sum(code == "" for _, code in told),
    }


def _of_all(
    org: OrganizationContext, addresses: list[str], size: Size, guesses: int, chance: random.Random
) -> dict[str, Any]:
    account = Account(org)
    before = codes.EVALUATED._value.get()
    told: list[tuple[str, str]] = []
    owner, own, tokens = [], 0, []
    for _ in range(4):
        asked = [account.start(chance.choice(addresses)) for _ in range(max(1, size.sign_ins // 4))]
        tokens += [answer.json()["sign_in_token"] for answer in asked if answer.status_code == 401]
        told += _guess(
            account, [(chance.choice(tokens), chance.choice(addresses)) for _ in range(guesses // 4)], chance
        )
        owner.append(account.owner_gets_in(chance.choice(addresses)))
        own += 1
    return {
        "sign_ins": len(tokens),
        "evaluated": int(codes.EVALUATED._value.get() - before) - own,
        "owner": owner,
        "got_in": sum(code == "" for _, code in told),
    }


def _guess(account: Account, guesses: list[tuple[str, str]], chance: random.Random) -> list[tuple[str, str]]:
    """Try a code for each token from each address, many at a time; what was answered, "" for a session."""
    right = code_of(account.url)
    wrong = [code for code in (f"{chance.randrange(10**6):06d}" for _ in guesses) if code != right]

    def one(part: tuple[tuple[str, str], str]) -> tuple[str, str]:
        (token, address), code = part
        answer = account.show(token, code, address)
        return token, str(answer.json().get("code", ""))

    def close(_: int) -> None:
        connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(one, zip(guesses, wrong, strict=False)))
        list(pool.map(close, range(THREADS * 4)))
    return told


def _client(org: OrganizationContext, cookie: str = "") -> APIClient:
    client = APIClient(HTTP_HOST=org.issuer.partition("://")[2], raise_request_exception=False)
    if cookie:
        client.cookies["__Host-keystead-device"] = cookie
    return client
