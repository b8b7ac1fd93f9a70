"""The one endpoint: a row by its key, and a list of twenty."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path


def items(_request: HttpRequest) -> JsonResponse:
    from tests.benchmarks.routing_variants.models import Item

    first = Item.objects.get(pk=1)
    rows = Item.objects.filter(id__gt=5).order_by("id")[:20]
    response = JsonResponse(
        {"owner": first.name, "data": [{"id": row.id, "name": row.name, "amount": row.amount_minor} for row in rows]}
    )
    # Django's CommonMiddleware would; without it the server sends chunks.
    response["Content-Length"] = len(response.content)
    return response


urlpatterns = [path("items", items)]
