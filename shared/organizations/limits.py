"""How many requests an organization's plan allows."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from uuid import UUID

from engine.api.throttles import Rate
from engine.tenancy.context import NoOrganization, current_organization, public_schema
from shared.organizations.models import Organization

# A plan that was changed takes effect within this time.
_FRESH_S = 30.0
_ENTRIES_MAX = 20_000

_cache: dict[UUID, tuple[float, Rate | None]] = {}
_lock = Lock()


def request_rate() -> Rate | None:
    """The rate of the organization whose context this is; None on the platform's host."""
    try:
        organization_id = current_organization().id
    except NoOrganization:
        return None
    now = monotonic()
    with _lock:
        known = _cache.get(organization_id)
    if known is not None and now - known[0] < _FRESH_S:
        return known[1]
    with public_schema():
        found = Organization.objects.filter(id=organization_id).values_list("plan__requests_per_minute_max").first()
    rate = Rate(limit=found[0], seconds=60, name="organization") if found else None
    with _lock:
        if len(_cache) >= _ENTRIES_MAX:
            _cache.clear()
        _cache[organization_id] = (now, rate)
    return rate
