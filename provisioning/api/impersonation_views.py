"""Operators who look into an organization."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from rest_framework import serializers
from rest_framework.response import Response

from engine.api.access import OPERATOR_READ, OPERATOR_WRITE
from engine.api.fields import OutputSerializer, StrictIntegerField, StrictSerializer, TextField, TypeIdField
from engine.api.paths import typeid
from engine.api.views import APIView, Request, operation
from engine.clock import utc_now
from provisioning import impersonation
from provisioning.organizations import REASON_CHARACTERS_MAX
from shared.operators import impersonations
from shared.operators import selectors as operators
from shared.operators.models import Impersonation
from shared.operators.rules import IMPERSONATION_MINUTES_MAX

TAG = "Impersonation"


class StartImpersonation(StrictSerializer):
    reason = TextField(max_length=REASON_CHARACTERS_MAX, help_text="The organization reads it in its audit log.")
    minutes = StrictIntegerField(min_value=1, max_value=IMPERSONATION_MINUTES_MAX, default=15)
    role = serializers.ChoiceField(choices=["read", "assist"], default="read", help_text="`assist` also edits sites.")
    otp = TextField(max_length=20, write_only=True, help_text="A one-time code that was not used before.")


class ImpersonationBody(OutputSerializer):
    id = TypeIdField("imp")
    organization = TypeIdField("org", source="organization_id")
    operator = TypeIdField("opr", source="operator_id")
    role = serializers.CharField()
    reason = serializers.CharField()
    state = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="When it was ended before its time.")
    ended_by = serializers.CharField(allow_blank=True)

    def get_state(self, row: Impersonation) -> str:
        """`active`, `ended` or `expired`."""
        return row.state(at=utc_now())


class StartedBody(ImpersonationBody):
    token = serializers.CharField(help_text="For the organization's API, as a bearer token. Shown this once.")


class ImpersonationFilter(StrictSerializer):
    organization = TypeIdField("org", required=False, source="organization_id")
    operator = TypeIdField("opr", required=False, source="operator_id")


class Impersonations(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="impersonations_start",
        tag=TAG,
        summary="Look into an organization",
        description="Gives a token for the organization's API. It reads; it never moves money, touches biometrics "
        "or makes anything that outlives it. The organization sees the start, each request that may change "
        "something and the end in its audit log. It ends with the operator's account.",
        request=StartImpersonation,
        response={201: StartedBody},
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        given: dict[str, Any] = self.valid(request)
        started = impersonation.start(
            organization_id=organization_id, by=request.principal, otp_code=given.pop("otp"), **given
        )
        body = {**ImpersonationBody(started.impersonation).data, "token": started.token}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class ImpersonationList(APIView):
    permission = OPERATOR_READ

    @operation(
        id="impersonations_list",
        tag=TAG,
        summary="List impersonations",
        response=ImpersonationBody(many=True),
        query=ImpersonationFilter,
    )
    def get(self, request: Request) -> Response:
        return self.page(operators.impersonations().filter(**self.query(request)), ImpersonationBody)


class ImpersonationEnd(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="impersonations_end",
        tag=TAG,
        summary="End an impersonation",
        description="Its token is dead at once. Doing it again changes nothing.",
        response=ImpersonationBody,
        problems=(404,),
    )
    def post(self, request: Request, impersonation_id: UUID) -> Response:
        row = impersonations.end(impersonation_id=impersonation_id, by=request.principal)
        return Response(ImpersonationBody(row).data)


urlpatterns = [
    path(f"organizations/{typeid('org', 'organization_id')}/impersonations", Impersonations.as_view()),
    path("impersonations", ImpersonationList.as_view()),
    path(f"impersonations/{typeid('imp', 'impersonation_id')}/end", ImpersonationEnd.as_view()),
]
