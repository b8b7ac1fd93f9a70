"""The life of an organization as durable, resumable flows.

A flow's row is made in the same transaction as what it works on. Its `step` is the cursor: it
moves in the transaction that follows the step, and every step may run twice. While it runs,
the process holds an advisory lock on a connection of its own, which PostgreSQL releases the
moment the process dies; so whoever runs the flow next goes on at once, and two never run it
together.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.db import IntegrityError, transaction

from engine import ids, outbox
from engine.errors import DomainError
from engine.tenancy.context import public_schema
from provisioning import rules, schemas, steps
from provisioning.models import Flow, FlowKind, FlowStatus
from shared.organizations.models import Domain, Environment, Organization
from shared.organizations.rules import slug_problem
from shared.plans.models import Plan

Progress = Callable[[str, str], None]
"""Called with the step and what happens to it: `started`, `done` or `failed`."""

_OPAQUE_BYTES = 10
_ERROR_CHARACTERS_MAX = 500


class InvalidSlugError(DomainError):
    code = "invalid_slug"
    status = 422
    title = "This slug cannot name an organization"


class SlugTakenError(DomainError):
    code = "slug_taken"
    status = 409
    title = "This slug is taken"


class UnknownPlanError(DomainError):
    code = "unknown_plan"
    status = 422
    title = "There is no such plan"


class InvalidBirthDetailError(DomainError):
    code = "invalid_birth_detail"
    status = 422
    title = "This can never change later, and it is not valid"


class FlowBusyError(DomainError):
    code = "flow_busy"
    status = 409
    title = "Another process is running this flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What an operator decides about a new organization. All but name and plan is final."""

    slug: str
    name: str
    plan_code: str
    admin_email: str
    environment: str = "live"
    time_zone: str = "UTC"
    locale: str = "en"
    currency: str = "EUR"
    cell: str = "default"


def request_organization(*, birth: Birth) -> Flow:
    """Record a new organization and the flow that makes it, or fail with nothing recorded.

    Call inside `public_schema()`. Raises InvalidSlugError, SlugTakenError, UnknownPlanError or
    InvalidBirthDetailError.
    """
    _check(birth)
    plan = Plan.objects.filter(code=birth.plan_code).first()
    if plan is None:
        known = ", ".join(Plan.objects.order_by("code").values_list("code", flat=True))
        raise UnknownPlanError(f"Choose one of: {known}.", field="plan")
    opaque = secrets.token_hex(_OPAQUE_BYTES)
    host = f"{birth.slug}.{settings.BASE_DOMAIN}"
    try:
        with transaction.atomic():
            row = Organization.objects.create(
                slug=birth.slug,
                name=birth.name,
                plan=plan,
                issuer=issuer(slug=birth.slug),
                environment=birth.environment,
                cell=birth.cell,
                schema_name=f"o_{opaque}",
                role_name=f"ks_o_{opaque}",
                time_zone=birth.time_zone,
                locale=birth.locale,
                currency=birth.currency,
            )
            Domain.objects.create(host=host, organization=row, is_canonical=True)
            flow = Flow.objects.create(
                kind=FlowKind.CREATE,
                organization=row,
                step=rules.CREATE_STEPS[0],
                parameters={"admin_email": birth.admin_email},
            )
            outbox.send(name="provisioning.advance", payload={"flow_id": str(flow.id)})
    except IntegrityError as error:
        # The unique constraints decide, so that of two creates at the same instant one wins.
        raise SlugTakenError(
            f"{birth.slug} names an organization, or once did: slugs are never given to another.",
            field="slug",
        ) from error
    return flow


def advance(*, flow_id: UUID, progress: Progress | None = None) -> Flow:
    """Run a flow from its cursor to its end. Needs the owner's login.

    Raises FlowBusyError when another process runs it, and what a step raises; the cursor stays
    before that step, with the error's name beside it, and the same call goes on from there.
    """
    schemas.require_owner_login()
    tell = progress or (lambda step, state: None)
    with _sole_runner(flow_id):
        while True:
            with public_schema():
                flow = Flow.objects.select_related("organization").get(id=flow_id)
            if flow.status == FlowStatus.SUCCEEDED:
                return flow
            tell(flow.step, "started")
            try:
                steps.CREATE[flow.step](flow)
            except Exception as error:
                tell(flow.step, "failed")
                _record_failure(flow, error)
                raise
            tell(flow.step, "done")
            _move_on(flow)


def issuer(*, slug: str) -> str:
    """The canonical origin of an organization, which is its tokens' issuer for ever."""
    port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
    return f"{settings.BASE_SCHEME}://{slug}.{settings.BASE_DOMAIN}{port}"


def _check(birth: Birth) -> None:
    if problem := slug_problem(birth.slug):
        raise InvalidSlugError(f"{birth.slug!r}: {problem}.", field="slug")
    try:
        ZoneInfo(birth.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidBirthDetailError(
            f"{birth.time_zone!r} is not an IANA time zone such as Europe/Berlin.",
            field="time_zone",
        ) from error
    if birth.environment not in Environment.values:
        raise InvalidBirthDetailError("Choose live or test.", field="environment")
    if not (
        birth.currency.isascii() and birth.currency.isalpha() and birth.currency.isupper() and len(birth.currency) == 3
    ):
        raise InvalidBirthDetailError("Use an ISO 4217 code such as EUR.", field="currency")


@contextmanager
def _sole_runner(flow_id: UUID) -> Iterator[None]:
    with schemas.owner_connection() as lock:
        row = lock.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"flow:{flow_id}"]).fetchone()
        if not row or not row[0]:
            raise FlowBusyError(f"{ids.encode('flow', flow_id)} is being run; look again in a moment.")
        yield


def _move_on(flow: Flow) -> None:
    following = rules.next_step(flow.step)
    with public_schema():
        Flow.objects.filter(id=flow.id, step=flow.step).update(
            step=following,
            status=FlowStatus.SUCCEEDED if following == rules.DONE else FlowStatus.RUNNING,
            attempts=0,
            last_error="",
        )


def _record_failure(flow: Flow, error: Exception) -> None:
    # The name of the error and, for our own, its text: others may quote what they worked on.
    text = f"{type(error).__name__}: {error}" if isinstance(error, DomainError) else type(error).__name__
    with public_schema():
        Flow.objects.filter(id=flow.id).update(attempts=flow.attempts + 1, last_error=text[:_ERROR_CHARACTERS_MAX])
