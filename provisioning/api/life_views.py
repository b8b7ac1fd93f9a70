"""The life of an organization between its birth and its end, for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import OPERATOR
from engine.api.views import APIView, Request, operation
from provisioning import suspension
from provisioning.api import life_serializers as s
from provisioning.api.serializers import OrganizationDetailBody
from provisioning.api.views import organization_with_flows


class _Verb(APIView):
    """A POST with a reason that changes an organization and answers with how it is then."""

    permission = OPERATOR
    verb: Callable[..., Any]

    def act(self, request: Request, organization_id: UUID) -> Response:
        type(self).verb(organization_id=organization_id, by=request.principal, **self.valid(request))
        return Response(OrganizationDetailBody(organization_with_flows(organization_id)).data)


class Suspend(_Verb):
    verb = staticmethod(suspension.suspend)

    @operation(
        id="organizations_suspend",
        tag="Organizations",
        summary="Suspend an organization",
        description="Everything of it answers 403 `organization_suspended` within 5 seconds. Its background work "
        "and its webhooks are held; what its providers report is stored.",
        request=s.Because,
        response=OrganizationDetailBody,
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        return self.act(request, organization_id)


class Resume(_Verb):
    verb = staticmethod(suspension.resume)

    @operation(
        id="organizations_resume",
        tag="Organizations",
        summary="Resume a suspended organization",
        description="What was held for it is taken up within a minute.",
        request=s.Because,
        response=OrganizationDetailBody,
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        return self.act(request, organization_id)
