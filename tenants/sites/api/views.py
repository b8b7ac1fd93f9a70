from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api import etags
from engine.api.access import decide, refusal
from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from tenants.sites import selectors, services
from tenants.sites.api.serializers import CreateSite, SiteBody, UpdateSite

WRITE = "sites.write"


class Sites(APIView):
    """The tree of sites, as a list."""

    narrowed = True
    permissions = {"GET": "sites.read", "POST": WRITE}

    @operation(id="sites_list", summary="List sites", tag="Sites", response=SiteBody(many=True))
    def get(self, request: Request) -> Response:
        paginator = self.pagination_class()
        found = paginator.paginate_queryset(selectors.visible_to(principal=request.principal), request, self)
        context = {"time_zones": selectors.effective_time_zones(sites=found)}
        return paginator.get_paginated_response(SiteBody(found, many=True, context=context).data)

    @operation(
        id="sites_create",
        summary="Make a site",
        tag="Sites",
        request=CreateSite,
        response={201: SiteBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        _require_writing(request, under=given["parent_id"])
        site = services.create(**given, by=request.principal)
        return etags.respond(request, _body(site), status=201)


class SiteDetail(APIView):
    """One site."""

    narrowed = True
    permissions = {"GET": "sites.read", "PATCH": WRITE}

    @operation(id="sites_get", summary="Get a site", tag="Sites", response=SiteBody, problems=(404,))
    def get(self, request: Request, site_id: UUID) -> Response:
        site = selectors.site(site_id=site_id)
        self.check_object(site)
        return etags.respond(request, _body(site))

    @operation(
        id="sites_update",
        summary="Rename or move a site",
        description="Moving takes everything beneath along. A site cannot stand under itself.",
        tag="Sites",
        request=UpdateSite,
        response=SiteBody,
        headers=("If-Match",),
        problems=(404, 409, 412, 428),
    )
    def patch(self, request: Request, site_id: UUID) -> Response:
        self.check_object(selectors.site(site_id=site_id))
        given = self.valid(request)
        if "parent_id" in given:
            _require_writing(request, under=given["parent_id"])
        site = services.update(
            site_id=site_id,
            by=request.principal,
            guard=lambda locked: etags.require_match(request, _body(locked), required=True),
            **given,
        )
        return etags.respond(request, _body(site))


def _require_writing(request: Request, *, under: UUID | None) -> None:
    """Raises PermissionRefused unless the caller may put sites under that one, None at the top."""
    parent = services.parent_site(under)
    decision = decide(principal=request.principal, permission=WRITE, resource=parent)
    if not decision.allowed:
        raise refusal(WRITE, decision)


def _body(site: Any) -> Any:
    context = {"time_zones": selectors.effective_time_zones(sites=[site])}
    return SiteBody(site, context=context).data
