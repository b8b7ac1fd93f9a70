"""The attacks on tokens at the size that fits into the test run; `make chaos NAME=tokens` is the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt

from tenants.access import assertions, authorizations, signing
from tests.chaos.report import Report, seed
from tests.chaos.tokens import Size, crowds, forged_tokens, replays, run, stage_of
from tests.factories.oauth import over_django
from tests.harness.live import LiveDatabase

pytestmark = pytest.mark.chaos

SMALL = Size(families=2, at_once=8)


def test_nothing_forged_is_accepted_and_no_crowd_is_cut_off(live_db: LiveDatabase) -> None:
    report = Report(name="tokens", seed=seed())
    run(report, reach=over_django, size=SMALL)
    assert report.ok, report.line()


def _no_look_at_the_audience(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = signing._claims_wanted

    def lenient(issuer: str, now: Any) -> jwt.JWTClaimsRegistry:
        registry = wanted(issuer, now)
        registry.options.pop("aud")
        return registry

    monkeypatch.setattr(signing, "_claims_wanted", lenient)


PLANTED: dict[str, tuple[Callable[..., None], Callable[[pytest.MonkeyPatch], None], str]] = {
    "the audience is not looked at": (forged_tokens, _no_look_at_the_audience, "forged access tokens: 0 accepted"),
    "assertions are not remembered": (
        replays,
        lambda monkeypatch: monkeypatch.setattr(assertions, "_use_up", lambda *_, **__: None),
        "an assertion is good once, also at the same moment",
    ),
    "nothing is forgiven": (
        crowds,
        lambda monkeypatch: monkeypatch.setattr(authorizations, "_is_parallel", lambda *_: False),
        "no false revocation",
    ),
    "everything is forgiven": (
        crowds,
        lambda monkeypatch: monkeypatch.setattr(authorizations, "_is_parallel", lambda *_: True),
        "stale refresh tokens: 0 accepted",
    ),
}


@pytest.mark.parametrize("hole", PLANTED)
def test_planted_holes_are_noticed(hole: str, live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    act, plant, broken = PLANTED[hole]
    plant(monkeypatch)
    report = Report(name="tokens", seed=seed())
    act(report, stage_of(over_django), SMALL)
    assert not report.promises[broken]["ok"], report.line()
