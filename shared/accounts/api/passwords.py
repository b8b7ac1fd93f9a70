"""Passwords anew."""

from __future__ import annotations

from rest_framework.response import Response

from engine.api.access import PUBLIC, SIGNED_IN
from engine.api.throttles import Rate
from engine.api.views import APIView, Request, operation
from shared.accounts import services
from shared.accounts.api.serializers import ChangePassword, ConfirmPasswordReset, RequestPasswordReset
from shared.accounts.api.views import session_of

TAG = "Sessions"
RESET_RATE = Rate(limit=20, seconds=600, name="password_reset")


class Password(APIView):
    """One's own password."""

    permission = SIGNED_IN

    @operation(
        id="password_change",
        summary="Change one's own password",
        description="Ends every other session. Needs a proof of who you are from the last fifteen minutes.",
        tag=TAG,
        request=ChangePassword,
        response={204: None},
    )
    def put(self, request: Request) -> Response:
        services.change_password(session=session_of(request), password=self.valid(request)["password"])
        return Response(status=204)


class PasswordResets(APIView):
    """For who forgot the password."""

    permission = PUBLIC
    rate = RESET_RATE
    authentication_classes = []

    @operation(
        id="password_resets_create",
        summary="Ask for a mail that resets the password",
        description="The answer is the same whether or not there is such an account.",
        tag=TAG,
        request=RequestPasswordReset,
        response={202: None},
    )
    def post(self, request: Request) -> Response:
        services.request_password_reset(email=self.valid(request)["email"])
        return Response(status=202)


class PasswordResetConfirmation(APIView):
    """The token of the mail."""

    permission = PUBLIC
    rate = RESET_RATE
    authentication_classes = []

    @operation(
        id="password_resets_confirm",
        summary="Set a new password by the token of the mail",
        description="Ends every session. Second factors stay, and are asked for at the next sign-in.",
        tag=TAG,
        request=ConfirmPasswordReset,
        response={204: None},
        problems=(401,),
    )
    def post(self, request: Request) -> Response:
        services.confirm_password_reset(**self.valid(request))
        return Response(status=204)
