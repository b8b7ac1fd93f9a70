"""Reading endpoints and deliveries."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from engine.errors import NotFound
from tenants.webhooks.models import Delivery, Endpoint


def endpoints() -> QuerySet[Endpoint]:
    """The endpoints that exist."""
    return Endpoint.objects.existing()


def endpoint(*, endpoint_id: UUID) -> Endpoint:
    """One endpoint. Raises NotFound."""
    found = endpoints().filter(id=endpoint_id).first()
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


def deliveries(*, endpoint_id: UUID | None = None, state: str = "") -> QuerySet[Delivery]:
    """Deliveries, of one endpoint or in one state when given."""
    found = Delivery.objects.all()
    if endpoint_id is not None:
        found = found.filter(endpoint_id=endpoint_id)
    if state:
        found = found.filter(state=state)
    return found


def delivery(*, delivery_id: UUID) -> Delivery:
    """One delivery with its attempts. Raises NotFound."""
    found = Delivery.objects.prefetch_related("attempt_log").filter(id=delivery_id).first()
    if found is None:
        raise NotFound("There is no such delivery.")
    return found
