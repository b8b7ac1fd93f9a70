"""Working the outbox off in this thread, without Redis: for tests."""

from __future__ import annotations

from collections import Counter

from engine.outbox import claims, options
from engine.outbox.execution import Outcome, execute


def drain(*, rounds: int = 100, raise_errors: bool = False) -> Counter[Outcome]:
    """Run every message that is due, and what those send in turn; returns the outcomes.

    Messages that a handler has put off stay. ``rounds`` bounds the sweeps. With ``raise_errors`` the
    first failure ends it with MessageFailed, which names the error's class and place.
    """
    loaded = options.load()
    outcomes: Counter[Outcome] = Counter()
    for _ in range(rounds):
        claimed = claims.claim(
            batch=loaded.batch,
            visibility_seconds=loaded.visibility_seconds,
            organization_cap=loaded.batch,
            in_flight_cap=loaded.in_flight_cap,
        )
        if not claimed:
            break
        for each in claimed:
            outcome = execute(each.id, options=loaded)
            outcomes[outcome] += 1
            if raise_errors and outcome in (Outcome.FAILED, Outcome.PARKED):
                raise MessageFailed(claims.last_error(each.id))
    return outcomes


class MessageFailed(RuntimeError):
    """A handler failed while draining; the text names the error's class and place."""
