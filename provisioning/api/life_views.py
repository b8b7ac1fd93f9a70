"""The life of an organization between its birth and its end, for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import OPERATOR_READ, OPERATOR_WRITE
from engine.api.views import APIView, Request, operation
from provisioning import domains, naming, offboarding, suspension
from provisioning.adapters import dns
from provisioning.api import life_serializers as s
from provisioning.api.serializers import OrganizationDetailBody
from provisioning.api.views import existing_organization, organization_with_flows
from shared.organizations.models import DomainClaim


class _Verb(APIView):
    """A POST with a reason that changes an organization and answers with how it is then."""

    permission = OPERATOR_WRITE
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


class Rename(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="organizations_rename",
        tag="Organizations",
        summary="Give an organization another slug",
        description="Its issuer stays, and what stands under it: keys, tokens, the gateway. See docs/organizations.md.",
        request=s.Rename,
        response=OrganizationDetailBody,
        problems=(409, 422),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        naming.rename(organization_id=organization_id, by=request.principal, **self.valid(request))
        return Response(OrganizationDetailBody(organization_with_flows(organization_id)).data)


class ChangePlan(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="organizations_change_plan",
        tag="Organizations",
        summary="Give an organization another plan",
        description="Takes effect within 30 seconds. What it has beyond a smaller plan's limits stays.",
        request=s.AssignPlan,
        response=OrganizationDetailBody,
        problems=(409, 422),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        code = self.valid(request)["plan"]
        naming.change_plan(organization_id=organization_id, plan_code=code, by=request.principal)
        return Response(OrganizationDetailBody(organization_with_flows(organization_id)).data)


class DomainClaimList(APIView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    @operation(
        id="domains_list",
        tag="Organizations",
        summary="List the domains that an organization has claimed",
        response=s.DomainClaimBody(many=True),
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        existing_organization(organization_id)
        return self.page(DomainClaim.objects.filter(organization_id=organization_id), s.DomainClaimBody)

    @operation(
        id="domains_claim",
        tag="Organizations",
        summary="Claim a domain for an organization",
        description="It answers once `challenge` stands in the TXT record `record_name` and was verified. Safe to "
        "repeat: the same challenge is good for a week more.",
        request=s.ClaimDomain,
        response=s.DomainClaimBody,
        problems=(409, 422),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        found = domains.claim(organization_id=organization_id, by=request.principal, **self.valid(request))
        return Response(s.DomainClaimBody(found).data)


class DomainVerification(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="domains_verify",
        tag="Organizations",
        summary="Look for a domain's challenge in DNS",
        description="From then on the domain answers. Repeated later it looks again and notes what it finds.",
        response=s.DomainClaimBody,
        problems=(409, 503),
    )
    def post(self, request: Request, claim_id: UUID) -> Response:
        found = domains.verify(claim_id=claim_id, by=request.principal, look_up=dns.resolver())
        return Response(s.DomainClaimBody(found).data)


class DomainRemoval(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="domains_remove",
        tag="Organizations",
        summary="Stop using a domain, or give up a claim",
        description="Nobody else is ever given a domain that was verified.",
        response=s.DomainClaimBody,
        problems=(409,),
    )
    def post(self, request: Request, claim_id: UUID) -> Response:
        return Response(s.DomainClaimBody(domains.remove(claim_id=claim_id, by=request.principal)).data)


class OffboardingView(APIView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    @operation(
        id="offboarding_get",
        tag="Organizations",
        summary="Get how the offboarding of an organization stands",
        description="The last one that was asked for, with the certificate once everything is destroyed.",
        response=s.OffboardingBody,
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        return Response(s.OffboardingBody(offboarding.latest(organization_id=organization_id)).data)

    @operation(
        id="offboarding_request",
        tag="Organizations",
        summary="Ask for the offboarding of an organization",
        description="Nothing happens until another operator approves it.",
        request=s.Because,
        response=s.OffboardingBody,
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        made = offboarding.request(organization_id=organization_id, by=request.principal, **self.valid(request))
        return Response(s.OffboardingBody(made).data)


class OffboardingApproval(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="offboarding_approve",
        tag="Organizations",
        summary="Approve an offboarding as the second operator",
        description="The organization is suspended at once. After the grace period its rows are exported, its "
        "keys destroyed and its schema dropped.",
        response=s.OffboardingBody,
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        found = offboarding.approve(organization_id=organization_id, by=request.principal)
        return Response(s.OffboardingBody(found).data)


class OffboardingCancellation(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="offboarding_cancel",
        tag="Organizations",
        summary="Cancel an offboarding in its grace period",
        request=s.Because,
        response=s.OffboardingBody,
        problems=(409,),
    )
    def post(self, request: Request, organization_id: UUID) -> Response:
        found = offboarding.cancel(organization_id=organization_id, by=request.principal, **self.valid(request))
        return Response(s.OffboardingBody(found).data)
