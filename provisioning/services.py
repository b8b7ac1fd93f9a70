"""Asking for a new organization: what is decided at its birth, and the flow that makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import CharField

from engine.errors import DomainError, InvalidInput
from engine.principals import SYSTEM, Principal
from provisioning import flows, pool
from provisioning.models import Flow, FlowKind
from shared.accounts import services as accounts
from shared.operator_log import services as operator_log
from shared.organizations.models import Domain, Environment, Organization
from shared.organizations.rules import slug_problem
from shared.plans.models import Plan


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


def request_organization(*, birth: Birth, by: Principal = SYSTEM) -> Flow:
    """Record a new organization and the flow that makes it, or fail with nothing recorded.

    Call inside `public_schema()`. Raises InvalidSlugError, SlugTakenError, UnknownPlanError,
    InvalidBirthDetailError or InvalidInput.
    """
    birth = _checked(birth)
    plan = Plan.objects.filter(code=birth.plan_code).first()
    if plan is None:
        known = ", ".join(Plan.objects.order_by("code").values_list("code", flat=True))
        raise UnknownPlanError(f"Choose one of: {known}.", field="plan")
    host = f"{birth.slug}.{settings.BASE_DOMAIN}"
    try:
        with transaction.atomic():
            names = pool.claim()
            row = Organization.objects.create(
                slug=birth.slug,
                name=birth.name,
                plan=plan,
                issuer=issuer(slug=birth.slug),
                environment=birth.environment,
                cell=birth.cell,
                schema_name=names.schema,
                role_name=names.role,
                schema_fingerprint=names.fingerprint,
                time_zone=birth.time_zone,
                locale=birth.locale,
                currency=birth.currency,
            )
            Domain.objects.create(host=host, organization=row, is_canonical=True)
            flow = flows.start(kind=FlowKind.CREATE, organization=row, parameters={"admin_email": birth.admin_email})
            operator_log.record(
                action="organization.requested",
                by=by,
                organization_id=row.id,
                detail={"slug": birth.slug, "plan": birth.plan_code},
            )
    except IntegrityError as error:
        # The unique constraints decide, so that of two creates at the same instant one wins.
        raise SlugTakenError(
            f"{birth.slug} names an organization, or once did: slugs are never given to another.",
            field="slug",
        ) from error
    return flow


def issuer(*, slug: str) -> str:
    """The canonical origin of an organization, which is its tokens' issuer for ever."""
    port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
    return f"{settings.BASE_SCHEME}://{slug}.{settings.BASE_DOMAIN}{port}"


def _checked(birth: Birth) -> Birth:
    """`birth` as it is stored: a slug is given once, so nothing may fail that can be seen now."""
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
    for field in ("name", "locale", "cell"):
        longest = cast("CharField[str, str]", Organization._meta.get_field(field)).max_length or 0
        if not 0 < len(getattr(birth, field)) <= longest:
            raise InvalidInput(f"Use 1 to {longest} characters.", field=field)
    try:
        return replace(birth, admin_email=accounts.checked_email(birth.admin_email))
    except InvalidInput as error:
        raise InvalidInput(error.detail, field="admin_email") from error
