"""Reads of checkouts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from engine.errors import NotFound
from engine.principals import Principal
from tenants.access import services as access
from tenants.checkouts.models import Checkout
from tenants.checkouts.rules import TERMINAL
from tenants.sites import selectors as sites


def checkouts(*, visible_to: Principal) -> QuerySet[Checkout]:
    """The checkouts at the sites and devices that a principal may see."""
    reach = access.reach(principal=visible_to, permission="checkouts.read")
    within = sites.within(reach, site_id="site_id", device_id="device_id")
    return Checkout.objects.select_related("site").filter(within)


def checkout(*, checkout_id: UUID) -> Checkout:
    """One checkout with its site. Raises NotFound."""
    found = Checkout.objects.select_related("site").filter(id=checkout_id).first()
    if found is None:
        raise NotFound
    return found


def progress(*, device_id: UUID, credential_id: UUID) -> tuple[int | None, list[int]]:
    """The highest sequence that was taken from a credential, and those without a final answer."""
    rows = Checkout.objects.filter(device_id=device_id, credential_id=credential_id)
    last = rows.order_by("-sequence").values_list("sequence", flat=True).first()
    unfinished = rows.exclude(state__in=TERMINAL).order_by("sequence")
    return last, list(unfinished.values_list("sequence", flat=True)[:100])
