"""Forged, replayed and stale tokens, and refreshes all at once: `make chaos NAME=tokens`.

Everything comes over HTTP to a server of two processes. The forged tokens are signed with the organization's real
key wherever that helps, and have rows: each is wrong in one thing. FAMILIES=n changes how many refresh tokens are
used by 50 at once, GUESSES and ADDRESSES the size of the attack on one-time codes (tests/chaos/otp.py, which
runs here too), SEED=n repeats the choices of a run.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.report import Report, seed
from tests.harness import environment

if TYPE_CHECKING:
    from engine.tenancy.context import OrganizationContext
    from tests.factories.oauth import Answer, Browser, MemberApp, Send

AT_ONCE = 50
NOBODY = "0 accepted"
Transport = Callable[["OrganizationContext"], "Send"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    families: int
    at_once: int = AT_ONCE


@dataclass(frozen=True, slots=True)
class Stage:
    """Two organizations, and how to reach them. Each transport comes from an address of its own."""

    a: OrganizationContext
    b: OrganizationContext
    reach: Transport


def run(report: Report, *, reach: Transport, size: Size) -> None:
    """Every attack and every crowd. Needs a database in which commits are real."""
    stage = stage_of(reach)
    for act in (forged_tokens, forged_assertions, replays, crowds):
        act(report, stage, size)


def stage_of(reach: Transport) -> Stage:
    """The template's organizations."""
    from engine.tenancy import directory

    a, b = (directory.by_host(f"org-{letter}.{environment.BASE_DOMAIN}") for letter in "ab")
    assert a is not None
    assert b is not None
    return Stage(a, b, reach)


def forged_tokens(report: Report, stage: Stage, size: Size) -> None:
    """Access tokens that nobody gave out, and things that are not access tokens here."""
    from tests.factories import access, forgeries, oauth

    app = access.app(stage.a, "admin")
    shown: dict[str, str] = {}
    for name in _shuffled(forgeries.FORGERIES, report):
        shown[name] = forgeries.FORGERIES[name](app, stage.a)
        forgeries.register(shown[name], app, stage.a)
    member = access.member(stage.a, "owner")
    given = oauth.member_app(stage.a).tokens(oauth.signed_in_browser(stage.reach(stage.a), member))
    shown |= {"an ID token": given["id_token"], "a refresh token": given["refresh_token"]}
    foreign = access.app(stage.b, "admin")
    shown |= {"another organization's app": foreign.token}
    shown |= {"another organization's member": access.member_token(stage.b)}
    answers = {name: _status(stage.reach(stage.a), "/v1/apps", token) for name, token in shown.items()}
    good = _status(stage.reach(stage.a), "/v1/apps", app.token)
    _nobody(report, "forged access tokens", answers, expected=401)
    report.promise("the token that they were made from is accepted", good == 200, figure=good)


def forged_assertions(report: Report, stage: Stage, size: Size) -> None:
    """Assertions of an app that signs, each wrong in one thing; and those of another organization."""
    from tests.factories import oauth

    signs: dict[str, Any] = {"auth_method": "private_key_jwt", "grant_types": ("client_credentials",)}
    app, foreign = oauth.member_app(stage.a, **signs), oauth.member_app(stage.b, **signs)
    send = stage.reach(stage.a)
    answers = {
        name: _assert(send, oauth.BAD_ASSERTIONS[name](app)).status for name in _shuffled(oauth.BAD_ASSERTIONS, report)
    }
    answers["another organization's app"] = _assert(send, foreign.assertion(aud=stage.a.issuer)).status
    _nobody(report, "forged assertions", answers, expected=401)
    good = _assert(send, app.assertion()).status
    report.promise("the app's own assertion is accepted", good == 200, figure=good)


def replays(report: Report, stage: Stage, size: Size) -> None:
    """One assertion, and one code, shown by many at once: one of them is good, once."""
    from tests.factories import access, oauth

    signer = oauth.member_app(stage.a, auth_method="private_key_jwt", grant_types=("client_credentials",))
    assertion = signer.assertion()
    statuses = Counter(one.status for one in _at_once(stage, size, lambda send: _assert(send, assertion)))
    again = _assert(stage.reach(stage.a), assertion).status
    kept = statuses == {200: 1, 401: size.at_once - 1} and again == 401
    report.promise("an assertion is good once, also at the same moment", kept, figure=dict(statuses))

    app, verifier = oauth.member_app(stage.a), secrets.token_urlsafe(48)
    browser = oauth.signed_in_browser(stage.reach(stage.a), access.member(stage.a, "owner"))
    code = app.code(browser, verifier)
    redeemed = _at_once(stage, size, lambda send: app.redeem(send, code, verifier))
    given = [one.body for one in redeemed if one.status == 200]
    alive = [_status(browser.send, "/v1/me", body["access_token"]) for body in given]
    figure = {"redeemed": len(given), "tokens that still hold": alive.count(200)}
    kept = len(given) == 1 and alive == [401] and app.refresh(browser.send, given[0]["refresh_token"]).status == 400
    report.promise("a code is redeemed once, and coming again ends what came of it", kept, figure=figure)


def crowds(report: Report, stage: Stage, size: Size) -> None:
    """Each refresh token used by many at once; later the first one again, when it is stale."""
    from engine.tenancy.context import organization
    from tenants.access.models import Authorization
    from tests.factories import access, oauth

    app = oauth.member_app(stage.a)
    browser = oauth.signed_in_browser(stage.reach(stage.a), access.member(stage.a, "owner"))
    refused, successors, dead, stale = Counter[int](), Counter[int](), 0, 0
    for _ in range(size.families):
        first = app.tokens(browser)["refresh_token"]
        answers = _at_once(stage, size, lambda send, token=first: app.refresh(send, token))
        refused += Counter(one.status for one in answers if one.status != 200)
        given = [one.body for one in answers if one.status == 200]
        following = {body["refresh_token"] for body in given}
        successors[len(following)] += 1
        dead += sum(_status(browser.send, "/v1/me", body["access_token"]) != 200 for body in given)
        stale += _stale(app, browser, first, following)
    with organization(stage.a):
        families = Authorization.objects.filter(app__client_id=app.client_id)
        ended = Counter(families.values_list("revoked_for", flat=True))
    report.counts |= {"families": size.families, "refreshes at once": size.at_once}
    report.promise(
        f"{size.at_once} parallel refreshes: one successor, in one family",
        successors == {1: size.families} and ended.total() == size.families,
        figure={"successors": dict(successors), "families": ended.total()},
    )
    report.promise("no false revocation", not refused and not dead, figure={"refused": dict(refused), "dead": dead})
    report.promise("stale refresh tokens: 0 accepted", stale == 0, figure=stale)
    report.promise("a stale one ends its family", ended == {"reuse": size.families}, figure=dict(ended))


def _stale(app: MemberApp, browser: Browser, first: str, following: Iterable[str]) -> int:
    """How many are accepted when a token from two generations back comes, and of its family after that."""
    token = next(iter(following), first)
    last = app.refresh(browser.send, token).body.get("refresh_token", "")
    return sum(app.refresh(browser.send, one).status == 200 for one in (first, last, token))


def _at_once(stage: Stage, size: Size, act: Callable[[Send], Answer]) -> list[Answer]:
    from django.db import connections

    def one(_: int) -> Answer:
        try:
            return act(stage.reach(stage.a))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(size.at_once) as crowd:
        return list(crowd.map(one, range(size.at_once)))


def _shuffled(names: Iterable[str], report: Report) -> list[str]:
    ordered = sorted(names)
    random.Random(report.seed).shuffle(ordered)
    return ordered


def _assert(send: Send, assertion: str) -> Answer:
    from tests.factories.oauth import ASSERTION_TYPE

    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    return send("POST", "/oauth/token", {**form, "client_assertion": assertion})


def _status(send: Send, path: str, token: str) -> int:
    return send("GET", path, None, {"Authorization": f"Bearer {token}"}).status


def _nobody(report: Report, what: str, answers: dict[str, int], *, expected: int) -> None:
    """Promise that every answer is a refusal, and no other failure."""
    odd = {name: status for name, status in answers.items() if status != expected}
    report.counts[what] = len(answers)
    report.promise(f"{what}: {NOBODY}", not odd, figure=odd or 0)


def main() -> None:
    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.chaos.code_guessing import Size as Guesses
    from tests.chaos.code_guessing import guess_at_codes
    from tests.factories.oauth import over_http
    from tests.harness.live import live_database
    from tests.harness.server import serving

    logging.disable(logging.CRITICAL)
    report = Report(name="tokens", seed=seed())
    size = Size(families=int(os.environ.get("FAMILIES", "20")))
    with tempfile.TemporaryDirectory() as folder, live_database() as database:
        with serving(database, log=Path(folder) / "log", workers=2) as port:
            run(report, reach=lambda org: over_http(org, port=port), size=size)
        from engine.tenancy import directory

        org = directory.by_host(f"org-a.{environment.BASE_DOMAIN}")
        assert org is not None
        attack = Guesses(
            guesses=int(os.environ.get("GUESSES", "10000")),
            addresses=int(os.environ.get("ADDRESSES", "1000")),
            sign_ins=40,
        )
        guess_at_codes(report, org=org, size=attack, chance=random.Random(report.seed))
    report.end()


if __name__ == "__main__":
    main()
