"""The operators' API, on the platform's host only."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Prefetch
from rest_framework.response import Response

from engine.api.access import OPERATOR_READ, OPERATOR_WRITE
from engine.api.views import APIView, Request, operation
from engine.errors import NotFound
from engine.idempotency.decorators import idempotent
from provisioning import services
from provisioning.api import serializers as s
from provisioning.models import Flow
from shared.organizations.models import Organization
from shared.plans import services as plans
from shared.plans.models import Plan

# GET /v1/flows has the rest.
_FLOWS_SHOWN = 20


class OrganizationList(APIView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    @operation(
        id="organizations_list",
        tag="Organizations",
        summary="List organizations",
        response=s.OrganizationBody(many=True),
        query=s.OrganizationFilter,
    )
    def get(self, request: Request) -> Response:
        rows = Organization.objects.select_related("plan").filter(**self.query(request))
        return self.page(rows, s.OrganizationBody)

    @operation(
        id="organizations_create",
        tag="Organizations",
        summary="Create an organization",
        description="Answers at once; the flow that makes it goes on behind. Its host answers when `status` is active.",
        request=s.CreateOrganization,
        response={202: s.OrganizationDetailBody},
        problems=(409, 422),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        valid = self.valid(request)
        birth = services.Birth(plan_code=valid.pop("plan"), **valid)
        flow = services.request_organization(birth=birth, by=request.principal)
        return Response(s.OrganizationDetailBody(organization_with_flows(flow.organization_id)).data, status=202)


class OrganizationDetail(APIView):
    permission = OPERATOR_READ

    @operation(
        id="organizations_get",
        tag="Organizations",
        summary="Get an organization and its latest flows",
        response=s.OrganizationDetailBody,
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        return Response(s.OrganizationDetailBody(organization_with_flows(organization_id)).data)


class PlanList(APIView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    @operation(id="plans_list", tag="Plans", summary="List plans", response=s.PlanBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(Plan.objects.all(), s.PlanBody)

    @operation(
        id="plans_create",
        tag="Plans",
        summary="Make a plan",
        request=s.CreatePlan,
        response={201: s.PlanBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        row = plans.create(by=request.principal, **self.valid(request))
        return Response(s.PlanBody(row).data, status=201)


class PlanDetail(APIView):
    permissions = {"GET": OPERATOR_READ, "PATCH": OPERATOR_WRITE}

    @operation(id="plans_get", tag="Plans", summary="Get a plan", response=s.PlanBody)
    def get(self, request: Request, plan_id: UUID) -> Response:
        return Response(s.PlanBody(_plan(plan_id)).data)

    @operation(
        id="plans_change",
        tag="Plans",
        summary="Change a plan",
        description="The limits count within half a minute for every organization that has the plan.",
        request=s.ChangePlan,
        response=s.PlanBody,
    )
    def patch(self, request: Request, plan_id: UUID) -> Response:
        row = plans.change(code=_plan(plan_id).code, by=request.principal, **self.valid(request))
        return Response(s.PlanBody(row).data)


def _plan(plan_id: UUID) -> Plan:
    row = Plan.objects.filter(id=plan_id).first()
    if row is None:
        raise NotFound
    return row


def existing_organization(organization_id: UUID) -> Organization:
    """The row of an organization. Raises NotFound."""
    row = Organization.objects.filter(id=organization_id).first()
    if row is None:
        raise NotFound
    return row


def organization_with_flows(organization_id: UUID) -> Organization:
    """The row as OrganizationDetailBody writes it, with its latest flows. Raises NotFound."""
    latest = Prefetch("flows", queryset=Flow.objects.order_by("-id")[:_FLOWS_SHOWN], to_attr="latest_flows")
    row = Organization.objects.select_related("plan").prefetch_related(latest).filter(id=organization_id).first()
    if row is None:
        raise NotFound
    return row
