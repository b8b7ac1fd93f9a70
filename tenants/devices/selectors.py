"""Reads of devices, and where they connect."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from engine.errors import NotFound
from engine.principals import Principal
from engine.tenancy.context import OrganizationContext
from tenants.access import services as access
from tenants.devices.models import Device, DeviceCredential, DeviceQuerySet
from tenants.sites import selectors as sites
from tenants.sites.rules import Location

GATEWAY_PATH = "/v1/gateway"
CLAIM_PATH = "/v1/devices/claim"


def devices(*, visible_to: Principal) -> DeviceQuerySet:
    """The devices that a principal may see, as the access rules say."""
    reach = access.reach(principal=visible_to, permission="devices.read")
    within = sites.within(reach, site_id="site_id", device_id="id")
    return Device.objects.select_related("site").filter(within)


def device(*, device_id: UUID) -> Device:
    """One device with its site. Raises NotFound."""
    found = Device.objects.select_related("site").filter(id=device_id).first()
    if found is None:
        raise NotFound
    return found


def credentials(*, device_id: UUID) -> QuerySet[DeviceCredential]:
    """Every key that a device had, has, and wants to change to."""
    return DeviceCredential.objects.filter(device_id=device_id)


def locations(device_ids: Iterable[UUID]) -> dict[UUID, Location]:
    """Where devices stand, without those that do not exist. One query."""
    found = Device.objects.select_related("site").filter(id__in=list(device_ids))
    return {one.id: one.location for one in found}


def gateway_url(*, organization: OrganizationContext) -> str:
    """The one URL of the organization's gateway: what a device connects to, and its proof's audience."""
    host = urlsplit(organization.issuer).hostname
    port = f":{settings.GATEWAY_PORT}" if settings.GATEWAY_PORT else ""
    return f"{settings.GATEWAY_SCHEME}://{host}{port}{GATEWAY_PATH}"


def claim_url(*, organization: OrganizationContext) -> str:
    """The audience of the proof that claims an enrolment code."""
    return organization.issuer.rstrip("/") + CLAIM_PATH
