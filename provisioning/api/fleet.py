"""What operators see of flows and of the whole fleet."""

from __future__ import annotations

from uuid import UUID

from rest_framework.response import Response

from engine.api.access import OPERATOR_READ
from engine.api.views import APIView, Request, operation
from engine.errors import NotFound
from provisioning.api import serializers as s
from provisioning.fleet import status
from provisioning.models import Flow


class FlowList(APIView):
    permission = OPERATOR_READ

    @operation(
        id="flows_list",
        tag="Flows",
        summary="List flows",
        description="The long pieces of work on organizations, the newest first.",
        response=s.FlowDetailBody(many=True),
        query=s.FlowFilter,
    )
    def get(self, request: Request) -> Response:
        return self.page(Flow.objects.filter(**self.query(request)), s.FlowDetailBody)


class FlowDetail(APIView):
    permission = OPERATOR_READ

    @operation(id="flows_get", tag="Flows", summary="Get a flow and its steps", response=s.FlowDetailBody)
    def get(self, request: Request, flow_id: UUID) -> Response:
        row = Flow.objects.filter(id=flow_id).first()
        if row is None:
            raise NotFound
        return Response(s.FlowDetailBody(row).data)


class FleetStatus(APIView):
    permission = OPERATOR_READ

    @operation(
        id="fleet_status",
        tag="Fleet",
        summary="How many organizations there are, and which migrations their schemas have",
        response=s.FleetBody,
    )
    def get(self, request: Request) -> Response:
        return Response(s.FleetBody(status.figures()).data)
