"""One-time codes, counted before they are evaluated.

Whoever knows a password could run through the million codes of an authenticator. So the guesses of one sign-in
are counted in its ceremony (at most five), and those of all sign-ins together here; the latter apart for each
thing that the caller has proven beside the password, so that guesses elsewhere do not keep the owner out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter

from engine.clock import Clock, utc_now
from engine.errors import DomainError
from shared.accounts import attempts, journal, otp
from shared.accounts.attempts import Bucket
from shared.accounts.models import User

EVALUATED = Counter("keystead_one_time_codes_evaluated", "One-time codes that were compared with the right one.")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many codes of one account are evaluated: within a quarter of an hour, and within a day."""

    soon: int = 10
    day: int = 40


LIMITS = Limits()


class CodeWrong(DomainError):
    """The code is not the present one, or it was used before."""

    code = "otp_wrong"
    status = 401
    title = "The one-time code is wrong, or was used before"


def check(*, user: User, code: str, proven: str = "", address: str | None = None, clock: Clock = utc_now) -> bool:
    """Whether `code` is right; good once. Call it in no transaction.

    `proven` names what the caller has shown beside the password, such as `device:<id>` or `session:<id>`:
    their guesses are counted apart. A recovery code has too many bits to be guessed and is always looked at.
    Raises TooManyAttempts.
    """
    if otp.is_recovery_code(code):
        return _evaluated(user, code, clock)
    where = f"code:{user.id}:{proven}"
    counted = [
        Bucket(f"{where}:soon", LIMITS.soon, timedelta(minutes=15)),
        Bucket(f"{where}:day", LIMITS.day, timedelta(days=1)),
    ]
    attempts.count(
        counted,
        clock=clock,
        crossed=lambda _: journal.record_guessing(user=user, what="one_time_code", address=address, clock=clock),
    )
    right = _evaluated(user, code, clock)
    if right:
        attempts.take_back(counted)
    return right


def _evaluated(user: User, code: str, clock: Clock) -> bool:
    EVALUATED.inc()
    return otp.evaluate(user=user, code=code, clock=clock)
