"""What bounds a grant beyond its place: amounts, hours, an end, a fresh second factor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tenants.access.rules.reasons import Reason

_DAY = 24 * 60
_WEEK = 7 * _DAY
WINDOWS_MAX = 21


class InvalidHoursError(ValueError):
    """The windows are not hours of a week; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Parts of a week, as half-open spans of minutes since Monday 00:00, ascending and apart."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, windows: Sequence[Mapping[str, Any]]) -> Hours:
        """From what the API and the column hold: `{"days": [1, 5], "from": "22:00", "to": "06:00"}`.

        Days are those of ISO 8601, Monday is 1. A window that ends before it begins ends on the next day.
        Raises InvalidHoursError.
        """
        if not 0 < len(windows) <= WINDOWS_MAX:
            raise InvalidHoursError(f"Name 1 to {WINDOWS_MAX} windows.")
        return cls(_merged(span for window in windows for span in _spans(window)))

    def include(self, local: datetime) -> bool:
        """Whether the wall clock of the place stands within them."""
        minute = (local.isoweekday() - 1) * _DAY + local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.spans)

    def lie_within(self, wider: Hours) -> bool:
        """Whether there is no moment of these that the other lacks."""
        return all(any(first <= start and end <= last for first, last in wider.spans) for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one grant; None, or an empty currency, where there is none."""

    amount_max_minor: int | None = None
    amount_per_day_max_minor: int | None = None
    currency: str = ""
    hours: Hours | None = None
    expires_at: datetime | None = None
    mfa_max_age_s: int | None = None

    @property
    def have_amounts(self) -> bool:
        """Whether money is bounded."""
        return bool(self.currency)

    def lie_within(self, wider: Limits) -> bool:
        """Whether nobody gets more by these than by `wider`.

        A second factor is left out: it says how sure we are of who acts, not how much they may.
        """
        return (
            _at_most(self.amount_max_minor, wider.amount_max_minor)
            and _at_most(self.amount_per_day_max_minor, wider.amount_per_day_max_minor)
            and (not wider.currency or self.currency == wider.currency)
            and _at_most(self.expires_at, wider.expires_at)
            and (wider.hours is None or (self.hours is not None and self.hours.lie_within(wider.hours)))
        )


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision looks at beside who, what and where."""

    at: datetime
    amount_minor: int | None = None
    currency: str = ""


def failures(
    limits: Limits,
    *,
    circumstances: Circumstances,
    local: Sequence[datetime],
    is_measured: bool,
    mfa_at: datetime | None,
    spent_minor: int,
) -> tuple[Reason, ...]:
    """Every limit that does not hold, in a fixed order; none when the grant serves.

    `local` is the same moment at the places that are asked about: one of them has to be open.
    """
    found = []
    now = circumstances.at
    if limits.expires_at is not None and limits.expires_at <= now:
        found.append(Reason.GRANT_EXPIRED)
    if limits.hours is not None and not any(limits.hours.include(one) for one in local):
        found.append(Reason.OUTSIDE_HOURS)
    if is_measured and limits.have_amounts:
        found += _amount_failures(limits, circumstances, spent_minor)
    if limits.mfa_max_age_s is not None:
        oldest = now - timedelta(seconds=limits.mfa_max_age_s)
        if mfa_at is None or mfa_at < oldest:
            found.append(Reason.MFA_REQUIRED)
    return tuple(found)


def _amount_failures(limits: Limits, asked: Circumstances, spent_minor: int) -> list[Reason]:
    if asked.amount_minor is None:
        return [Reason.AMOUNT_UNKNOWN]
    if asked.currency != limits.currency:
        return [Reason.CURRENCY_NOT_ALLOWED]
    found = []
    if limits.amount_max_minor is not None and asked.amount_minor > limits.amount_max_minor:
        found.append(Reason.AMOUNT_ABOVE_LIMIT)
    daily = limits.amount_per_day_max_minor
    if daily is not None and spent_minor + asked.amount_minor > daily:
        found.append(Reason.DAILY_AMOUNT_ABOVE_LIMIT)
    return found


def _at_most(value: Any, bound: Any) -> bool:
    return bound is None or (value is not None and value <= bound)


def _spans(window: Mapping[str, Any]) -> Iterable[tuple[int, int]]:
    start, end = _minute(window["from"]), _minute(window["to"])
    if start in (end, _DAY):
        raise InvalidHoursError("A window ends at another time than it begins; a whole day is 00:00 to 24:00.")
    if not window["days"] or not all(1 <= day <= 7 for day in window["days"]):
        raise InvalidHoursError("Days are numbers from 1 (Monday) to 7 (Sunday).")
    length = end - start if end > start else end + _DAY - start
    for day in window["days"]:
        first = (day - 1) * _DAY + start
        last = first + length
        yield first, min(last, _WEEK)
        if last > _WEEK:
            yield 0, last - _WEEK


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (len(hour) == len(minute) == 2 and hour.isdigit() and minute.isdigit()):
        raise InvalidHoursError("A time of day is written as 08:30.")
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > _DAY:
        raise InvalidHoursError("A time of day lies between 00:00 and 24:00.")
    return value


def _merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)
