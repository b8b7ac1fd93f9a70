"""The first wall: whose data is being worked on, in one ContextVar that has no default.

Each kind of process enters here and in no other place: HTTP in `routing.py`, the worker in
engine.outbox.worker, sockets through `in_organization`, the CLI and the tests with the context
managers themselves. Nothing ever falls back to the public schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar
from uuid import UUID

from django.db import close_old_connections, connections
from psycopg import pq

from engine.tenancy.wall import ContextSwitchError, Scope, scope_of, wall_of

# UNKNOWN: the connection is lost, and its transaction with it.
_NO_TRANSACTION = (int(pq.TransactionStatus.IDLE), int(pq.TransactionStatus.UNKNOWN))

P = ParamSpec("P")
T = TypeVar("T")
Entered = TypeVar("Entered")

PLATFORM_ROLE = "ks_platform"
ROUTER_ROLE = "ks_router"
RELAY_ROLE = "ks_relay"


class NoOrganization(RuntimeError):
    """There is no context, or it is not an organization's. Nothing was read or written."""


@dataclass(frozen=True, slots=True)
class OrganizationContext:
    """What every process has to know of an organization. All but `status` and `slug` never change."""

    id: UUID
    slug: str
    schema_name: str
    role_name: str
    issuer: str
    environment: str
    cell: str
    time_zone: str
    locale: str
    currency: str
    status: str
    frame: _Frame = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", _Frame(scope_of(self.role_name, self.schema_name), self))


@dataclass(frozen=True, slots=True)
class _Frame:
    scope: Scope
    organization: OrganizationContext | None


_frame: ContextVar[_Frame | None] = ContextVar("keystead_context", default=None)


def current_organization() -> OrganizationContext:
    """The organization whose context this is. Raises NoOrganization when there is none."""
    frame = _frame.get()
    if frame is None or frame.organization is None:
        raise NoOrganization("no organization's context is entered here")
    return frame.organization


def current_scope() -> Scope:
    """The role and schemas of the next statement. Raises NoOrganization outside every context."""
    frame = _frame.get()
    if frame is None:
        raise NoOrganization("a query outside every context; enter organization(..) or public_schema()")
    return frame.scope


def entered_scope() -> Scope | None:
    """As `current_scope`, None outside every context."""
    frame = _frame.get()
    return frame.scope if frame else None


def current_schema() -> str | None:
    """The schema that unqualified names mean here, None outside every context."""
    frame = _frame.get()
    return frame.scope.schemas[0] if frame and frame.scope.schemas else None


def key_prefix() -> str:
    """What stands before every key that lives outside PostgreSQL: caches, locks, throttles, groups.

    An organization's keys start with its id, the platform's own with `platform:`.
    """
    frame = _frame.get()
    if frame is None:
        raise NoOrganization("a key outside every context would be shared by all organizations")
    return f"org:{frame.organization.id}:" if frame.organization else "platform:"


class _Entered(Generic[Entered]):
    """A context that is entered for the length of a `with`, whatever happens inside."""

    __slots__ = ("_frame", "_token", "_value")

    def __init__(self, frame: _Frame, value: Entered) -> None:
        self._frame = frame
        self._value = value

    def __enter__(self) -> Entered:
        _refuse_open_transaction(self._frame.scope)
        self._token = _frame.set(self._frame)
        return self._value

    def __exit__(self, *_: object) -> None:
        _frame.reset(self._token)


def organization(context: OrganizationContext) -> AbstractContextManager[OrganizationContext]:
    """Work on one organization's data, as its role, with its schema alone on the path."""
    return _Entered(context.frame, context)


def public_schema() -> AbstractContextManager[None]:
    """Work on the platform's own tables."""
    return _Entered(_Frame(scope_of(PLATFORM_ROLE, "public"), None), None)


def routing_schema() -> AbstractContextManager[None]:
    """Find out which organization a host or a role belongs to, and nothing else."""
    return _Entered(_Frame(scope_of(ROUTER_ROLE, "public"), None), None)


def relay_schema() -> AbstractContextManager[None]:
    """Read and acknowledge the outbox, and nothing else."""
    return _Entered(_Frame(scope_of(RELAY_ROLE, "public"), None), None)


def owner_schema(schema_name: str) -> AbstractContextManager[None]:
    """Define tables as the owner of every schema. Works in provisioning and migration only,
    because no other process holds the owner's login."""
    return _Entered(_Frame(scope_of(None, schema_name), None), None)


def _refuse_open_transaction(scope: Scope) -> None:
    """Entering another context inside a transaction is a bug: say so before the first query does."""
    for connection in connections.all(initialized_only=True):
        raw = connection.connection
        if raw is None or raw.pgconn.transaction_status in _NO_TRANSACTION:
            continue
        wall = wall_of(raw)
        bound = wall.bound(raw.pgconn.transaction_status)
        if bound is not None and bound != scope and not wall.switch_allowed():
            raise ContextSwitchError("a transaction belongs to one context; commit it before entering another")


_database_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="keystead-db")


async def in_organization(context: OrganizationContext, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a database call from async code: the context is entered around the call itself.

    A socket lives longer than a context may: one that was entered at connect gave the wrong
    organization's rows in half of the replies when it was tried.
    """

    def entered() -> T:
        with organization(context):
            return _on_database_thread(call, *args, **kwargs)

    return await _in_thread(entered)


async def in_routing_schema(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_organization`, for the look-up of the organization itself."""

    def entered() -> T:
        with routing_schema():
            return _on_database_thread(call, *args, **kwargs)

    return await _in_thread(entered)


async def _in_thread(call: Callable[[], T]) -> T:
    # A copy, so that structlog's and OpenTelemetry's variables follow and no frame leaks back.
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_database_threads, context.run, call)


def _on_database_thread(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    close_old_connections()
    try:
        return call(*args, **kwargs)
    finally:
        close_old_connections()
