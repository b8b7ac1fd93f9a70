"""Roles, groups and grants: who may do what, and where."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api import etags
from engine.api.views import APIView, Request, operation
from engine.errors import InvalidInput
from engine.idempotency.decorators import idempotent
from engine.principals import Principal
from tenants.access import selectors, services
from tenants.access.api.policy_serializers import (
    AddToGroup,
    CreateGrant,
    CreateGroup,
    CreateRole,
    GrantBody,
    GrantFilter,
    GroupBody,
    MembershipBody,
    RoleBody,
    RoleList,
    UpdateGroup,
    UpdateRole,
)
from tenants.access.models import GROUP, Grantee

READ, WRITE = "members.read", "members.write"


class Roles(APIView):
    """What can be granted."""

    permissions = {"GET": READ, "POST": WRITE}

    @operation(id="roles_list", summary="List the roles", tag="Access", response=RoleList)
    def get(self, request: Request) -> Response:
        return Response({"data": RoleBody(selectors.roles(), many=True).data})

    @operation(
        id="roles_create",
        summary="Make a role",
        description="Nobody makes a role that allows more than they hold over the whole organization.",
        tag="Access",
        request=CreateRole,
        response={201: RoleBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        role = services.create_role(**self.valid(request), by=request.principal)
        return etags.respond(request, RoleBody(role).data, status=201)


class RoleDetail(APIView):
    """One of the organization's own roles."""

    permissions = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation(id="roles_get", summary="Get a role", tag="Access", response=RoleBody, problems=(404,))
    def get(self, request: Request, role_id: UUID) -> Response:
        return etags.respond(request, RoleBody(selectors.role(role_id=role_id)).data)

    @operation(
        id="roles_update",
        summary="Change a role",
        description="For everybody who holds it, from the next decision on. Takes all that it allowed and will allow.",
        tag="Access",
        request=UpdateRole,
        response=RoleBody,
        headers=("If-Match",),
        problems=(404, 409, 412, 428),
    )
    def patch(self, request: Request, role_id: UUID) -> Response:
        role = services.update_role(
            role_id=role_id,
            by=request.principal,
            guard=lambda locked: etags.require_match(request, RoleBody(locked).data, required=True),
            **self.valid(request),
        )
        return etags.respond(request, RoleBody(role).data)

    @operation(
        id="roles_delete",
        summary="Delete a role that nobody holds",
        tag="Access",
        response={204: None},
        problems=(404, 409),
    )
    def delete(self, request: Request, role_id: UUID) -> Response:
        services.delete_role(role_id=role_id, by=request.principal)
        return Response(status=204)


class Groups(APIView):
    """Members, or devices, that are given roles together."""

    permissions = {"GET": READ, "POST": WRITE}

    @operation(id="groups_list", summary="List groups", tag="Access", response=GroupBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(selectors.groups(), GroupBody)

    @operation(
        id="groups_create",
        summary="Make a group",
        tag="Access",
        request=CreateGroup,
        response={201: GroupBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        group = services.create_group(**self.valid(request), by=request.principal)
        return etags.respond(request, GroupBody(group).data, status=201)


class GroupDetail(APIView):
    """One group."""

    permissions = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @operation(id="groups_get", summary="Get a group", tag="Access", response=GroupBody, problems=(404,))
    def get(self, request: Request, group_id: UUID) -> Response:
        return etags.respond(request, GroupBody(selectors.group(group_id=group_id)).data)

    @operation(
        id="groups_update",
        summary="Rename a group",
        tag="Access",
        request=UpdateGroup,
        response=GroupBody,
        headers=("If-Match",),
        problems=(404, 409, 412, 428),
    )
    def patch(self, request: Request, group_id: UUID) -> Response:
        group = services.rename_group(
            group_id=group_id,
            by=request.principal,
            guard=lambda locked: etags.require_match(request, GroupBody(locked).data, required=True),
            **self.valid(request),
        )
        return etags.respond(request, GroupBody(group).data)

    @operation(
        id="groups_delete",
        summary="Delete a group that holds no roles",
        tag="Access",
        response={204: None},
        problems=(404, 409),
    )
    def delete(self, request: Request, group_id: UUID) -> Response:
        services.delete_group(group_id=group_id, by=request.principal)
        return Response(status=204)


class Memberships(APIView):
    """Who is in a group."""

    permissions = {"GET": READ, "POST": WRITE}

    @operation(
        id="group_memberships_list",
        summary="List who is in a group",
        tag="Access",
        response=MembershipBody(many=True),
        problems=(404,),
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        selectors.group(group_id=group_id)
        return self.page(selectors.memberships(group_id=group_id), MembershipBody)

    @operation(
        id="group_memberships_create",
        summary="Put somebody into a group",
        description="Whoever is in it holds what it holds: it takes all of that. Doing it twice is doing it once.",
        tag="Access",
        request=AddToGroup,
        response={201: MembershipBody},
        problems=(404,),
    )
    @idempotent(required=False)
    def post(self, request: Request, group_id: UUID) -> Response:
        selectors.group(group_id=group_id)
        principal = _existing(*self.valid(request)["principal"])
        membership = services.add_to_group(group_id=group_id, principal=principal, by=request.principal)
        return Response(MembershipBody(membership).data, status=201)


class MembershipDetail(APIView):
    """Somebody's place in a group."""

    permissions = {"DELETE": WRITE}

    @operation(
        id="group_memberships_delete",
        summary="Take somebody out of a group",
        tag="Access",
        response={204: None},
        problems=(404,),
    )
    def delete(self, request: Request, group_id: UUID, membership_id: UUID) -> Response:
        services.remove_from_group(group_id=group_id, membership_id=membership_id, by=request.principal)
        return Response(status=204)


class Grants(APIView):
    """Who may do what, and where."""

    permissions = {"GET": READ, "POST": WRITE}

    @operation(
        id="grants_list",
        summary="List grants",
        tag="Access",
        response=GrantBody(many=True),
        query=GrantFilter,
    )
    def get(self, request: Request) -> Response:
        wanted = self.query(request)
        rows = selectors.grants()
        if "principal" in wanted:
            kind, principal_id = wanted["principal"]
            rows = rows.filter(principal_kind=kind, principal_id=principal_id)
        rows = rows.filter(**{name: wanted[name] for name in ("role", "site_id") if name in wanted})
        return self.page(rows, GrantBody)

    @operation(
        id="grants_create",
        summary="Give a role to a member, an app, a device or a group",
        description=(
            "Nobody gives more than they hold. Giving it twice gives the same grant; within other limits it is a"
            " conflict."
        ),
        tag="Access",
        request=CreateGrant,
        response={201: GrantBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        grant = services.grant_role(
            principal=_grantee(*given["principal"]),
            role=given["role"],
            scope=given["scope"],
            site_id=given.get("site_id"),
            device_id=given.get("device_id"),
            limits=given.get("limits"),
            by=request.principal,
        )
        return Response(GrantBody(grant).data, status=201)


class GrantDetail(APIView):
    """One grant."""

    permissions = {"GET": READ, "DELETE": WRITE}

    @operation(id="grants_get", summary="Get a grant", tag="Access", response=GrantBody, problems=(404,))
    def get(self, request: Request, grant_id: UUID) -> Response:
        return Response(GrantBody(selectors.grant(grant_id=grant_id)).data)

    @operation(
        id="grants_delete",
        summary="Take a role away",
        tag="Access",
        response={204: None},
        problems=(404, 409),
    )
    def delete(self, request: Request, grant_id: UUID) -> Response:
        services.revoke_grant(grant_id=grant_id, by=request.principal)
        return Response(status=204)


def _grantee(kind: Any, grantee_id: UUID) -> Principal | Grantee:
    """The principal or group, when there is one of that id here. Raises InvalidInput (principal)."""
    if kind != GROUP:
        return _existing(kind, grantee_id)
    found = selectors.groups().filter(id=grantee_id).first()
    if found is None:
        raise InvalidInput("There is no such group.", field="principal")
    return found.grantee


def _existing(kind: Any, principal_id: UUID) -> Principal:
    """The principal, when there is one of that id here. Raises InvalidInput (field principal)."""
    found = selectors.principals([(kind, principal_id)]).get((kind, principal_id))
    if found is None:
        raise InvalidInput(f"There is no such {kind}, or it is deactivated.", field="principal")
    return found
