"""Passkeys: one's own, and signing in with them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import PUBLIC, SIGNED_IN
from engine.api.views import APIView, Request, operation
from engine.tenancy.routing import host_name
from shared.accounts import passkeys, selectors
from shared.accounts.api.serializers import (
    BeginPasskeySignIn,
    CreatePasskey,
    NewSessionBody,
    PasskeyBody,
    PasskeyOptions,
    SessionBody,
    ShowPasskey,
)
from shared.accounts.api.views import NO_STORE, session_of, signed_in, whence

TAG = "Second factors"
_FRESH = "Needs a proof of who you are from the last fifteen minutes."


class Passkeys(APIView):
    """One's own passkeys."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(id="passkeys_list", summary="List one's own passkeys", tag=TAG, response=PasskeyBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(selectors.passkeys(user_id=session_of(request).user_id), PasskeyBody)

    @operation(
        id="passkeys_register",
        summary="Add a passkey",
        description=f"With the browser's answer to `POST /v1/passkeys/options`. {_FRESH}",
        tag=TAG,
        request=CreatePasskey,
        response=PasskeyBody,
        problems=(401, 409),
    )
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        row = passkeys.finish_registration(
            session=session_of(request),
            token=given["ceremony_token"],
            name=given["name"],
            credential=given["credential"],
            host=_host(request),
        )
        return Response(PasskeyBody(row).data)


class PasskeyRegistrationOptions(APIView):
    """The first step of adding one."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="passkeys_begin",
        summary="Begin to add a passkey",
        description=_FRESH,
        tag=TAG,
        response=PasskeyOptions,
        problems=(409,),
    )
    def post(self, request: Request) -> Response:
        return _options(passkeys.begin_registration(session=session_of(request)))


class PasskeyDetail(APIView):
    """One of one's own passkeys."""

    permission = SIGNED_IN

    @operation(
        id="passkeys_delete",
        summary="Remove a passkey",
        description=f"Where a second factor is required, the last one stays. {_FRESH}",
        tag=TAG,
        response={204: None},
        problems=(404, 409),
    )
    def delete(self, request: Request, passkey_id: UUID) -> Response:
        passkeys.remove(session=session_of(request), passkey_id=passkey_id)
        return Response(status=204)


class PasskeySignInOptions(APIView):
    """The first step of signing in with one."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="sessions_begin_with_passkey",
        summary="Begin to sign in with a passkey",
        description="Without a password; or, with the token of `otp_required`, beside it.",
        tag="Sessions",
        request=BeginPasskeySignIn,
        response=PasskeyOptions,
        problems=(401,),
    )
    def post(self, request: Request) -> Response:
        return _options(passkeys.begin_sign_in(**self.valid(request)))


class PasskeySignIn(APIView):
    """Signing in with a passkey."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="sessions_create_with_passkey",
        summary="Sign in with a passkey",
        tag="Sessions",
        request=ShowPasskey,
        response={201: NewSessionBody},
        problems=(401,),
    )
    def post(self, request: Request) -> Response:
        given, at = self.valid(request), whence(request)
        session, token = passkeys.finish_sign_in(
            token=given["ceremony_token"],
            credential=given["credential"],
            host=_host(request),
            address=at["address"],
            user_agent=at["user_agent"],
        )
        return signed_in(request, session, token)


class PasskeyStepUpOptions(APIView):
    """The first step of showing that it is you."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="sessions_begin_step_up_with_passkey",
        summary="Begin to show with a passkey that it is you",
        tag="Sessions",
        response=PasskeyOptions,
    )
    def post(self, request: Request) -> Response:
        return _options(passkeys.begin_step_up(session=session_of(request)))


class PasskeyStepUp(APIView):
    """Showing that it is you."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="sessions_step_up_with_passkey",
        summary="Show with a passkey that it is you",
        tag="Sessions",
        request=ShowPasskey,
        response=SessionBody,
        problems=(401,),
    )
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        session = passkeys.finish_step_up(
            session=session_of(request),
            token=given["ceremony_token"],
            credential=given["credential"],
            host=_host(request),
        )
        return Response(SessionBody(session).data)


def _options(begun: tuple[str, dict[str, Any]]) -> Response:
    token, options = begun
    return Response({"ceremony_token": token, "public_key": options}, headers=NO_STORE)


def _host(request: Request) -> str:
    return host_name(request.META.get("HTTP_HOST", ""))
