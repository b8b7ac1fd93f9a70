"""One's own second factors, and showing them again."""

from __future__ import annotations

from rest_framework.response import Response

from engine.api.access import SIGNED_IN
from engine.api.throttles import client_address
from engine.api.views import APIView, Request, operation
from shared.accounts import second_factors
from shared.accounts.api.serializers import (
    AuthenticatorUrl,
    ConfirmAuthenticator,
    RecoveryCodes,
    SecondFactorsBody,
    SessionBody,
    StepUp,
)
from shared.accounts.api.views import NO_STORE, session_of

TAG = "Second factors"
_FRESH = "Needs a proof of who you are from the last fifteen minutes: `step_up_required` says which."


class StepUpView(APIView):
    """Showing again that it is you."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="sessions_step_up",
        summary="Show again that it is you",
        description="What is dangerous asks for a proof from the last fifteen minutes. A code where the account has a "
        "second factor (or a passkey, see `POST /v1/sessions/current/passkey`), else the password.",
        tag="Sessions",
        request=StepUp,
        response=SessionBody,
        problems=(401, 429),
    )
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        session = second_factors.step_up(
            session=session_of(request),
            code=given["otp"],
            password=given["password"],
            address=client_address(request) or None,
        )
        return Response(SessionBody(session).data)


class SecondFactors(APIView):
    """What one has."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(id="second_factors_get", summary="See one's own second factors", tag=TAG, response=SecondFactorsBody)
    def get(self, request: Request) -> Response:
        user = session_of(request).user
        has = second_factors.of(user)
        body = {
            "authenticator": has.authenticator,
            "recovery_codes": has.recovery_codes,
            "passkeys": has.passkeys,
            "mfa_required": second_factors.required(),
        }
        return Response(SecondFactorsBody(body).data)


class Authenticator(APIView):
    """One's own authenticator app."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="authenticator_create",
        summary="Add an authenticator app, or replace it",
        description=f"It counts once its code was confirmed; the present one is good until then. {_FRESH}",
        tag=TAG,
        response=AuthenticatorUrl,
    )
    def post(self, request: Request) -> Response:
        url = second_factors.begin_authenticator(session=session_of(request))
        return Response({"otpauth_url": url}, headers=NO_STORE)

    @operation(
        id="authenticator_delete",
        summary="Remove the authenticator app",
        description=f"Where a second factor is required, the last one stays. {_FRESH}",
        tag=TAG,
        response={204: None},
        problems=(409,),
    )
    def delete(self, request: Request) -> Response:
        second_factors.remove_authenticator(session=session_of(request))
        return Response(status=204)


class AuthenticatorConfirmation(APIView):
    """The new authenticator's first code."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(
        id="authenticator_confirm",
        summary="Confirm a new authenticator app",
        description=f"Answers recovery codes where there were none. {_FRESH}",
        tag=TAG,
        request=ConfirmAuthenticator,
        response=RecoveryCodes,
        problems=(401, 429),
    )
    def post(self, request: Request) -> Response:
        made = second_factors.confirm_authenticator(session=session_of(request), code=self.valid(request)["otp"])
        return Response({"recovery_codes": made}, headers=NO_STORE)


class RecoveryCodesView(APIView):
    """One's own recovery codes."""

    permission = SIGNED_IN

    @operation(
        id="recovery_codes_create",
        summary="Make new recovery codes",
        description=f"The earlier ones are void. {_FRESH}",
        tag=TAG,
        response=RecoveryCodes,
    )
    def post(self, request: Request) -> Response:
        made = second_factors.renew_recovery_codes(session=session_of(request))
        return Response({"recovery_codes": made}, headers=NO_STORE)
