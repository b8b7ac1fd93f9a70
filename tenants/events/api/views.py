"""Events over HTTP."""

from __future__ import annotations

from uuid import UUID

from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from tenants.events import selectors
from tenants.events.api.serializers import EventBody, EventQuery


class EventList(APIView):
    permission = "events.read"
    page_key = "sequence"
    page_descending = False

    @operation(
        id="events_list",
        summary="List events",
        description=(
            "Events in the order of their `sequence`. Nothing is ever inserted before an event that you "
            "have seen, so `after` with the last sequence that you worked off continues without a gap."
        ),
        response=EventBody(many=True),
        query=EventQuery,
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.sealed(after=self.query(request)["after"]), EventBody)


class EventDetail(APIView):
    permission = "events.read"

    @operation(id="events_get", summary="Get an event", response=EventBody)
    def get(self, request: Request, event_id: UUID) -> Response:
        return Response(EventBody(selectors.get(event_id=event_id)).data)
