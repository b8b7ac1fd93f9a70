"""How people sign in here: the policy, identity providers, and what an admin may do for a member."""

from __future__ import annotations

from uuid import UUID

from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from shared.accounts import second_factors
from shared.accounts import selectors as accounts
from shared.accounts.api.serializers import SessionBody
from shared.accounts.api.views import session_of
from tenants.signin import selectors, services
from tenants.signin.api import serializers as s

TAG = "Sign-in"
_FRESH = "Needs a proof of who you are from the last fifteen minutes."


class Policy(APIView):
    """What is asked of everybody."""

    permissions = {"GET": "sign_in.read", "PUT": "sign_in.write"}

    @operation(id="sign_in_policy_get", tag=TAG, summary="See how people have to sign in", response=s.SignInPolicyBody)
    def get(self, request: Request) -> Response:
        return Response(s.SignInPolicyBody({"mfa_required": second_factors.required()}).data)

    @operation(
        id="sign_in_policy_set",
        tag=TAG,
        summary="Ask everybody for a second factor, or no longer",
        description="Counts from the next request on: who has shown none can do nothing but add one. Whoever asks "
        f"for it has to have one. {_FRESH}",
        request=s.ChangeSignInPolicy,
        response=s.SignInPolicyBody,
        problems=(409,),
    )
    def put(self, request: Request) -> Response:
        required = self.valid(request)["mfa_required"]
        services.require_mfa(required=required, session=session_of(request), by=request.principal)
        return Response(s.SignInPolicyBody({"mfa_required": required}).data)


class Providers(APIView):
    """The organization's identity providers."""

    permissions = {"GET": "sign_in.read", "POST": "sign_in.write"}

    @operation(
        id="identity_providers_list", tag=TAG, summary="List identity providers", response=s.ProviderBody(many=True)
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.providers(), s.ProviderBody)

    @operation(
        id="identity_providers_create",
        tag=TAG,
        summary="Add an identity provider",
        description=f"Whoever runs it can sign in as everybody who is linked there. {_FRESH}",
        request=s.AddProvider,
        response={201: s.ProviderBody},
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        given = {"client_secret": None, **self.valid(request)}
        row = services.add_provider(**given, session=session_of(request), by=request.principal)
        return Response(s.ProviderBody(row).data, status=201)


class ProviderDetail(APIView):
    """One identity provider."""

    permissions = {"GET": "sign_in.read", "DELETE": "sign_in.write"}

    @operation(id="identity_providers_get", tag=TAG, summary="Get an identity provider", response=s.ProviderBody)
    def get(self, request: Request, provider_id: UUID) -> Response:
        return Response(s.ProviderBody(services.provider(provider_id)).data)

    @operation(
        id="identity_providers_delete",
        tag=TAG,
        summary="Remove an identity provider",
        description=f"Nobody signs in there any more; sessions go on. {_FRESH}",
        response={204: None},
    )
    def delete(self, request: Request, provider_id: UUID) -> Response:
        services.remove_provider(provider_id=provider_id, session=session_of(request), by=request.principal)
        return Response(status=204)


class MemberSessions(APIView):
    """A member's sessions."""

    permissions = {"GET": "members.read", "DELETE": "members.write"}

    @operation(id="member_sessions_list", tag=TAG, summary="List a member's sessions", response=SessionBody(many=True))
    def get(self, request: Request, member_id: UUID) -> Response:
        member = accounts.user(user_id=member_id)
        return self.page(accounts.open_sessions(user_id=member.id).select_related("user"), SessionBody)

    @operation(id="member_sessions_delete", tag=TAG, summary="Sign a member out everywhere", response={204: None})
    def delete(self, request: Request, member_id: UUID) -> Response:
        services.end_sessions(member_id=member_id, by=request.principal)
        return Response(status=204)


class MemberSecondFactors(APIView):
    """A member's second factors."""

    permissions = {"DELETE": "members.write"}

    @operation(
        id="member_second_factors_delete",
        tag=TAG,
        summary="Reset the second factors of a member who has lost them",
        description=f"Every session of the member ends, and the member is told by mail. {_FRESH}",
        response={204: None},
    )
    def delete(self, request: Request, member_id: UUID) -> Response:
        services.reset_second_factors(member_id=member_id, session=session_of(request), by=request.principal)
        return Response(status=204)
