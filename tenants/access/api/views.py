"""Members, apps, authorizations and signing keys. Roles, groups and grants are in `policy_views`, the OAuth
endpoints in `oauth_views`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api import etags
from engine.api.access import SIGNED_IN
from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from shared.accounts import selectors as accounts
from shared.accounts.api.serializers import AccountBody
from tenants.access import authorizations, selectors, services, signing
from tenants.access.api.serializers import (
    AppBody,
    AppSecretBody,
    AuthorizationBody,
    CreateApp,
    InvitedMember,
    InviteMember,
    RotateSigningKey,
    SigningKeyBody,
    UpdateApp,
)
from tenants.access.clients import Registration

NO_STORE = {"Cache-Control": "no-store"}


class Members(APIView):
    """The humans of the organization."""

    permissions = {"GET": "members.read", "POST": "members.write"}

    @operation(id="members_list", summary="List members", tag="Access", response=AccountBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(accounts.users(), AccountBody)

    @operation(
        id="members_invite",
        summary="Invite a member",
        tag="Access",
        request=InviteMember,
        response={201: InvitedMember},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        invited = services.invite_member(**self.valid(request), by=request.principal)
        body = {**AccountBody(invited.member).data, "invitation_token": invited.token}
        return Response(body, status=201, headers=NO_STORE)


class MemberDetail(APIView):
    """One member."""

    permissions = {"GET": "members.read", "DELETE": "members.write"}

    @operation(id="members_get", summary="Get a member", tag="Access", response=AccountBody, problems=(404,))
    def get(self, request: Request, member_id: UUID) -> Response:
        return Response(AccountBody(accounts.user(user_id=member_id)).data)

    @operation(
        id="members_deactivate",
        summary="Deactivate a member",
        description="Ends the member's sessions and takes every role away.",
        tag="Access",
        response=AccountBody,
        problems=(404, 409),
    )
    def delete(self, request: Request, member_id: UUID) -> Response:
        member = services.deactivate_member(member_id=member_id, by=request.principal)
        return Response(AccountBody(member).data)


class Apps(APIView):
    """The programs of the organization."""

    permissions = {"GET": "apps.read", "POST": "apps.write"}

    @operation(id="apps_list", summary="List apps", tag="Access", response=AppBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(selectors.apps(), AppBody)

    @operation(
        id="apps_create",
        summary="Make an app",
        description="The secret is shown this once. Nobody gives an app more than they hold.",
        tag="Access",
        request=CreateApp,
        response={201: AppSecretBody},
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        name, roles = given.pop("name"), given.pop("roles")
        made = services.create_app(name=name, roles=roles, registration=Registration(**given), by=request.principal)
        return _with_secret(made, status=201)


class AppDetail(APIView):
    """One app."""

    permissions = {"GET": "apps.read", "PATCH": "apps.write", "DELETE": "apps.write"}

    @operation(id="apps_get", summary="Get an app", tag="Access", response=AppBody, problems=(404,))
    def get(self, request: Request, app_id: UUID) -> Response:
        return etags.respond(request, AppBody(selectors.app(app_id=app_id)).data)

    @operation(
        id="apps_update",
        summary="Change an app",
        description="Its redirect URIs, grant types, keys, and what it may ask members for. Needs everything that "
        "the app holds: whoever changes where its codes go can act as the app.",
        tag="Access",
        request=UpdateApp,
        response=AppBody,
        headers=("If-Match",),
        problems=(404, 409, 412, 428),
    )
    def patch(self, request: Request, app_id: UUID) -> Response:
        app = services.update_app(
            app_id=app_id,
            by=request.principal,
            guard=lambda locked: etags.require_match(request, AppBody(locked).data, required=True),
            **self.valid(request),
        )
        return etags.respond(request, AppBody(app).data)

    @operation(
        id="apps_deactivate",
        summary="Deactivate an app",
        description="For good. Its tokens are dead at once.",
        tag="Access",
        response=AppBody,
        problems=(404,),
    )
    def delete(self, request: Request, app_id: UUID) -> Response:
        return Response(AppBody(services.deactivate_app(app_id=app_id, by=request.principal)).data)


class AppSecret(APIView):
    """The secret of an app."""

    permission = "apps.write"

    @operation(
        id="apps_rotate_secret",
        summary="Give an app a new secret",
        description="The old secret, and the tokens made with it, are dead at once.",
        tag="Access",
        response=AppSecretBody,
        problems=(404, 409),
    )
    @idempotent(required=False)
    def post(self, request: Request, app_id: UUID) -> Response:
        return _with_secret(services.rotate_secret(app_id=app_id, by=request.principal), status=200)


class Authorizations(APIView):
    """What one has let apps do."""

    permission = SIGNED_IN

    @operation(
        id="authorizations_list",
        summary="List the apps that act for you",
        tag="Access",
        response=AuthorizationBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(authorizations.own(member=request.principal), AuthorizationBody)


class AuthorizationDetail(APIView):
    """One of them."""

    permission = SIGNED_IN

    @operation(
        id="authorizations_delete",
        summary="Stop an app from acting for you",
        description="Its tokens are dead at once.",
        tag="Access",
        response={204: None},
        problems=(404,),
    )
    def delete(self, request: Request, authorization_id: UUID) -> Response:
        services.revoke_own_authorization(authorization_id=authorization_id, by=request.principal)
        return Response(status=204)


class SigningKeys(APIView):
    """The keys that sign and verify the organization's tokens."""

    permissions = {"GET": "settings.read", "POST": "settings.write"}

    @operation(
        id="signing_keys_list",
        summary="List the signing keys",
        tag="Access",
        response=SigningKeyBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(signing.keys(), SigningKeyBody)

    @operation(
        id="signing_keys_rotate",
        summary="Make a new signing key",
        description="It is published now and signs in ten minutes, when everybody has seen it; the earlier ones "
        "verify until their last token is over. While that is under way, the same key is answered again.",
        tag="Access",
        request=RotateSigningKey,
        response={201: SigningKeyBody},
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        key = services.rotate_signing_key(**self.valid(request), by=request.principal)
        return Response(SigningKeyBody(key).data, status=201)


def _with_secret(made: Any, *, status: int) -> Response:
    body = {**AppBody(made.app).data, "client_secret": made.secret or ""}
    return Response(body, status=status, headers=NO_STORE)
