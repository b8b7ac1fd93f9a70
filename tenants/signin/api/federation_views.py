"""Signing in at an identity provider, and linking oneself with it. The callback's page is the console's: it brings
the query here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import AUTHENTICATED, PUBLIC
from engine.api.views import APIView, Request, operation
from shared.accounts.api.serializers import NewSessionBody
from shared.accounts.api.views import NO_STORE, session_of, signed_in, whence
from tenants.signin import selectors, services
from tenants.signin.api import serializers as s
from tenants.signin.federation import LIFETIME, Begun

TAG = "Sign-in"
BINDING_COOKIE = "__Host-keystead-federation"
_BOUND = "The answer sets a cookie: the same browser has to finish, within ten minutes."


class FederatedSignIn(APIView):
    """The first step."""

    permissions = {"GET": PUBLIC, "POST": PUBLIC}
    authentication_classes = []

    @operation(
        id="sign_in_buttons_list", tag=TAG, summary="List where one can sign in", response=s.ButtonBody(many=True)
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.providers(), s.ButtonBody)

    @operation(
        id="sessions_begin_federated",
        tag=TAG,
        summary="Begin to sign in at an identity provider",
        description=_BOUND,
        request=s.Begin,
        response=s.BegunBody,
        problems=(404, 503),
    )
    def post(self, request: Request) -> Response:
        return _begun(services.begin(provider_id=self.valid(request)["provider"]))


class FederatedAnswer(APIView):
    """The second step."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="sessions_create_federated",
        tag=TAG,
        summary="Sign in with the identity provider's answer",
        description="With the query of the callback. An invited person whose address the provider has verified joins "
        "by it; whoever is a member already links it first.",
        request=s.Answer,
        response={201: NewSessionBody},
        problems=(401, 403, 404, 503),
    )
    def post(self, request: Request) -> Response:
        at = whence(request)
        session, token = services.sign_in(
            **_answer(self.valid(request), request), address=at["address"], user_agent=at["user_agent"]
        )
        return signed_in(request, session, token)


class LinkedIdentities(APIView):
    """One's own links."""

    permission = AUTHENTICATED

    @operation(id="linked_identities_list", tag=TAG, summary="List one's own links", response=s.IdentityBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(selectors.identities(user_id=session_of(request).user_id), s.IdentityBody)

    @operation(
        id="linked_identities_finish",
        tag=TAG,
        summary="Link oneself with the identity provider's answer",
        request=s.Answer,
        response=s.IdentityBody,
        problems=(401, 409, 503),
    )
    def post(self, request: Request) -> Response:
        row = services.link(session=session_of(request), **_answer(self.valid(request), request))
        return Response(s.IdentityBody(row).data)


class LinkBeginning(APIView):
    """The first step of a link."""

    permission = AUTHENTICATED

    @operation(
        id="linked_identities_begin",
        tag=TAG,
        summary="Begin to link oneself with an identity provider",
        description=f"{_BOUND} Needs a proof of who you are from the last fifteen minutes.",
        request=s.Begin,
        response=s.BegunBody,
        problems=(404, 503),
    )
    def post(self, request: Request) -> Response:
        provider_id = self.valid(request)["provider"]
        return _begun(services.begin(provider_id=provider_id, session=session_of(request)))


class LinkedIdentityDetail(APIView):
    """One of one's own links."""

    permission = AUTHENTICATED

    @operation(
        id="linked_identities_delete",
        tag=TAG,
        summary="Unlink oneself",
        description="Needs a proof of who you are from the last fifteen minutes.",
        response={204: None},
        problems=(404, 409),
    )
    def delete(self, request: Request, identity_id: UUID) -> Response:
        services.unlink(session=session_of(request), identity_id=identity_id)
        return Response(status=204)


def _begun(begun: Begun) -> Response:
    body = s.BegunBody({"authorization_url": begun.authorization_url, "state": begun.state}).data
    answer = Response(body, headers=NO_STORE)
    answer.set_cookie(
        BINDING_COOKIE,
        begun.binding,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict",
    )
    return answer


def _answer(given: dict[str, Any], request: Request) -> dict[str, Any]:
    return {
        "state": given["state"],
        "code": given["code"],
        "issuer": given.get("iss"),
        "binding": request.COOKIES.get(BINDING_COOKIE, ""),
    }
