"""A new slug: another host to be known by. Issuer, schema and keys stay what they are.

It is one transaction, so there is nothing that could be half done and no flow.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from engine.errors import Conflict
from engine.principals import Principal
from engine.tenancy import directory
from provisioning import organizations
from provisioning.services import InvalidSlugError, SlugTakenError, UnknownPlanError
from shared.operator_log import services as operator_log
from shared.organizations.models import Domain, HostUse, Organization
from shared.organizations.rules import slug_problem
from shared.plans.models import Plan

OldHost = Literal["redirect", "gone"]
_USE_OF_OLD: dict[OldHost, HostUse] = {"redirect": HostUse.REDIRECTS, "gone": HostUse.RETIRED}


class SameSlugError(Conflict):
    code = "same_slug"
    title = "The organization has this slug"


class SamePlanError(Conflict):
    code = "same_plan"
    title = "The organization has this plan"


def rename(*, organization_id: UUID, slug: str, old_host: OldHost, by: Principal) -> Organization:
    """Give an organization another slug, and its former host another use.

    Call inside `public_schema()`. Raises InvalidSlugError, SlugTakenError, SameSlugError and what
    `organizations.locked` does.
    """
    if problem := slug_problem(slug):
        raise InvalidSlugError(f"{slug!r}: {problem}.", field="slug")
    try:
        with transaction.atomic():
            row = organizations.locked(organization_id)
            if row.slug == slug:
                raise SameSlugError("Nothing was changed.", field="slug")
            before, row.slug = row.slug, slug
            row.save(update_fields=["slug", "updated_at"])
            Domain.objects.filter(organization=row, is_canonical=True).update(
                is_canonical=False, use=_USE_OF_OLD[old_host]
            )
            _take_host(row, f"{slug}.{settings.BASE_DOMAIN}")
            operator_log.record(
                action="organization.renamed",
                by=by,
                organization_id=row.id,
                detail={"from": before, "to": slug, "old_host": old_host},
            )
    except IntegrityError as error:
        raise SlugTakenError(
            f"{slug} names an organization, or once did: slugs are never given to another.", field="slug"
        ) from error
    directory.forget()
    return row


def change_plan(*, organization_id: UUID, plan_code: str, by: Principal) -> Organization:
    """Give an organization another plan. What it has beyond a smaller one's limits stays; nothing is added.

    Call inside `public_schema()`. Raises UnknownPlanError, SamePlanError and what `organizations.locked` does.
    """
    plan = Plan.objects.filter(code=plan_code).first()
    if plan is None:
        known = ", ".join(Plan.objects.order_by("code").values_list("code", flat=True))
        raise UnknownPlanError(f"Choose one of: {known}.", field="plan")
    with transaction.atomic():
        row = organizations.locked(organization_id)
        if row.plan_id == plan.id:
            raise SamePlanError("Nothing was changed.", field="plan")
        before = Plan.objects.get(id=row.plan_id).code
        row.plan = plan
        row.save(update_fields=["plan", "updated_at"])
        operator_log.record(
            action="organization.plan_changed",
            by=by,
            organization_id=row.id,
            detail={"from": before, "to": plan.code},
        )
    return row


def _take_host(row: Organization, host: str) -> None:
    """The new host, or a former one of its own that it takes up again."""
    if not Domain.objects.filter(organization=row, host=host).update(is_canonical=True, use=HostUse.SERVES):
        Domain.objects.create(organization=row, host=host, is_canonical=True)
