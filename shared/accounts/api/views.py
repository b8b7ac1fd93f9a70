from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from rest_framework.response import Response

from engine.api.access import PUBLIC, SIGNED_IN
from engine.api.throttles import Rate, client_address
from engine.api.views import APIView, Request, operation
from engine.errors import DomainError
from shared.accounts import known_devices, selectors, services
from shared.accounts.api.serializers import (
    AcceptInvitation,
    AccountBody,
    CreateSession,
    MeBody,
    NewSessionBody,
    SessionBody,
    ShowCode,
)
from shared.accounts.models import Session

DEVICE_COOKIE = "__Host-keystead-device"
NO_STORE = {"Cache-Control": "no-store"}
SIGN_IN_RATE = Rate(limit=60, seconds=60, name="sign_in")


class NotASession(DomainError):
    """The caller signed in with something other than a session: there is nothing to list."""

    code = "members_only"
    status = 403
    title = "This is for people who signed in with a password"


def session_of(request: Request) -> Session:
    """The caller's session. Raises NotASession."""
    session_id = getattr(request.user, "session_id", None)
    if session_id is None:
        raise NotASession
    return services.own_session(user_id=request.principal.id, session_id=session_id)


def whence(request: Any) -> dict[str, Any]:
    """From where somebody signs in."""
    return {
        "address": client_address(request) or None,
        "user_agent": request.META.get("HTTP_USER_AGENT", ""),
        "device_cookie": request.COOKIES.get(DEVICE_COOKIE, ""),
    }


def signed_in(request: Request, session: Session, token: str) -> Response:
    """The answer to a whole sign-in. It makes the browser a known one."""
    answer = Response({**SessionBody(session).data, "token": token}, status=201, headers=NO_STORE)
    remember_browser(request, answer, session)
    return answer


def remember_browser(request: Any, answer: HttpResponseBase, session: Session) -> None:
    """Make the browser one in which the session's owner has signed in."""
    cookie = known_devices.remember(user=session.user, cookie=request.COOKIES.get(DEVICE_COOKIE, ""))
    answer.set_cookie(
        DEVICE_COOKIE,
        cookie,
        max_age=int(known_devices.LIFETIME.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict",
    )


class Me(APIView):
    """Who asks."""

    permission = SIGNED_IN
    needs_no_second_factor = True
    delegable = True

    @operation(
        id="me",
        summary="Get who you are",
        description="`impersonation` is set while platform staff looks into the organization; every answer then "
        "carries the header `Keystead-Impersonation` too. A console shows it.",
        tag="Sessions",
        response=MeBody,
    )
    def get(self, request: Request) -> Response:
        return Response(MeBody(request.user).data)


class Sessions(APIView):
    """Sign in; list one's own sessions."""

    permissions = {"GET": SIGNED_IN, "POST": PUBLIC, "DELETE": SIGNED_IN}

    needs_no_second_factor = True

    def get_authenticators(self) -> list[Any]:
        """A stale token in the header must not stop anybody from signing in anew."""
        return [] if getattr(self.request, "method", "") == "POST" else super().get_authenticators()

    @operation(
        id="sessions_list",
        summary="List one's own sessions",
        tag="Sessions",
        response=SessionBody(many=True),
    )
    def get(self, request: Request) -> Response:
        mine = selectors.open_sessions(user_id=request.principal.id).select_related("user")
        return self.page(mine, SessionBody)

    @operation(
        id="sessions_create",
        summary="Sign in",
        description="Answers a bearer token that is good for twelve hours. It is shown this once.",
        tag="Sessions",
        request=CreateSession,
        response={201: NewSessionBody},
        problems=(401, 429),
    )
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        session, token = services.sign_in(
            email=given["email"], password=given["password"], code=given.get("otp"), **whence(request)
        )
        return signed_in(request, session, token)

    @operation(
        id="sessions_delete_others",
        summary="Sign out everywhere else",
        description="Every other session ends, and no browser is a known one any more.",
        tag="Sessions",
        response={204: None},
    )
    def delete(self, request: Request) -> Response:
        services.sign_out_elsewhere(session=session_of(request))
        return Response(status=204)


class SecondFactor(APIView):
    """The second step of a sign-in."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="sessions_create_with_code",
        summary="Finish a sign-in with a one-time code",
        description="After `otp_required`. Five codes are looked at, within ten minutes; then begin anew.",
        tag="Sessions",
        request=ShowCode,
        response={201: NewSessionBody},
        problems=(401, 429),
    )
    def post(self, request: Request) -> Response:
        given = self.valid(request)
        session, token = services.finish(token=given["sign_in_token"], code=given["otp"], **whence(request))
        return signed_in(request, session, token)


class SessionDetail(APIView):
    """One of one's own sessions."""

    permission = SIGNED_IN

    @operation(
        id="sessions_delete",
        summary="Sign out one of one's own sessions",
        tag="Sessions",
        response={204: None},
        problems=(404,),
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        session = services.own_session(user_id=request.principal.id, session_id=session_id)
        services.sign_out(session=session)
        return Response(status=204)


class CurrentSession(APIView):
    """The session whose token the request carries."""

    permission = SIGNED_IN
    needs_no_second_factor = True

    @operation(id="sessions_delete_current", summary="Sign out", tag="Sessions", response={204: None})
    def delete(self, request: Request) -> Response:
        services.sign_out(session=session_of(request))
        return Response(status=204)


class InvitationAcceptance(APIView):
    """Become a member."""

    permission = PUBLIC
    rate = SIGN_IN_RATE
    authentication_classes = []

    @operation(
        id="invitations_accept",
        summary="Accept an invitation by setting a password",
        tag="Sessions",
        request=AcceptInvitation,
        response={200: AccountBody},
    )
    def post(self, request: Request) -> Response:
        return Response(AccountBody(services.accept_invitation(**self.valid(request))).data)
