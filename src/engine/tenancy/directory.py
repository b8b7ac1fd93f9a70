"""Which organization a host, a role or an id belongs to.

The rows are an app's; the engine knows only the three questions. `settings.TENANCY_DIRECTORY`
names the module that answers them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from threading import Lock
from time import monotonic
from typing import Protocol, cast
from uuid import UUID

from django.conf import settings

from engine.tenancy.context import OrganizationContext, routing_schema

# A suspended organization must be refused everywhere within 5 s; a look-up may be this stale.
_FRESH_S = 2.0
# Whoever has just asked for an organization is waiting at its host, and has been told 404 already.
_UNKNOWN_FRESH_S = 0.02
_ENTRIES_MAX = 20_000
_READ_TOGETHER_MAX = 500


@dataclass(frozen=True, slots=True)
class Host:
    """A host of an organization, and what it does."""

    organization: OrganizationContext
    serves: bool
    """The whole of the organization's API answers here."""
    is_issuer: bool
    """The organization's tokens and devices name this host, whatever became of it."""
    moved_to: str | None
    """The host to which callers are sent on."""


class Directory(Protocol):
    """What the app that keeps the organizations provides. Called in `routing_schema()`."""

    def find_hosts(self, hosts: Collection[str]) -> Mapping[str, Host]: ...
    def find_by_role(self, role_name: str) -> OrganizationContext | None: ...
    def find_by_id(self, organization_id: UUID) -> OrganizationContext | None: ...


Answer = Host | OrganizationContext | None

_cache: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
# Hosts that were served from memory since they were last read.
_asked: set[str] = set()
_lock = Lock()


def host_of(host: str) -> Host | None:
    """What stands at exactly `host` (lower case, no port), None when nothing does."""
    return cast("Host | None", _look_up("host", host))


def by_host(host: str) -> OrganizationContext | None:
    """The organization that devices reach at exactly `host`, None when they reach none.

    Its first host is one for ever: devices have it in their memory, and their proofs name it.
    """
    found = host_of(host)
    return found.organization if found and (found.serves or found.is_issuer) else None


def by_role(role_name: str) -> OrganizationContext | None:
    """The organization that owns the PostgreSQL role `role_name`."""
    return cast("OrganizationContext | None", _look_up("role", role_name))


def by_id(organization_id: UUID) -> OrganizationContext | None:
    """The organization with this id."""
    return cast("OrganizationContext | None", _look_up("id", str(organization_id)))


def forget() -> None:
    """Drop what this process remembers, for the one that has just changed an organization."""
    with _lock:
        _cache.clear()
        _asked.clear()


def _look_up(kind: str, value: str) -> Answer:
    key, now = (kind, value), monotonic()
    # One look at a dict needs no lock.
    entry = _cache.get(key)
    if entry and now - entry[0] < (_FRESH_S if entry[1] else _UNKNOWN_FRESH_S):
        if kind == "host" and entry[1]:
            _asked.add(value)
        return entry[1]
    directory = cast(Directory, import_module(settings.TENANCY_DIRECTORY))
    found: dict[str, Answer]
    with routing_schema():
        match kind:
            case "host":
                hosts = _to_read_with(value)
                found = {**dict.fromkeys(hosts), **directory.find_hosts(hosts)}
            case "role":
                found = {value: directory.find_by_role(value)}
            case _:
                found = {value: directory.find_by_id(UUID(value))}
    with _lock:
        for each, answer in found.items():
            _cache[kind, each] = (now, answer)
            _cache.move_to_end((kind, each))
        # Unknown hosts are remembered too, so a scan must not make this grow.
        while len(_cache) > _ENTRIES_MAX:
            _cache.popitem(last=False)
    return found[value]


def _to_read_with(host: str) -> list[str]:
    """`host`, and those that are in use and will be as stale in a moment: a query each would add up."""
    with _lock:
        others = _asked - {host}
        _asked.clear()
    return [host, *islice(others, _READ_TOGETHER_MAX - 1)]
