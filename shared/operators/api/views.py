"""The platform's staff. They are made on the command line, where the secrets are shown to one person."""

from __future__ import annotations

from uuid import UUID

from rest_framework.response import Response

from engine.api.access import OPERATOR_READ, OPERATOR_WRITE
from engine.api.views import APIView, Request, operation
from shared.accounts import selectors as accounts
from shared.accounts.api.serializers import SessionBody
from shared.operators import selectors, services
from shared.operators.api import serializers as s

TAG = "Operators"


class OperatorList(APIView):
    permission = OPERATOR_READ
    page_key = "user_id"

    @operation(id="operators_list", tag=TAG, summary="List operators", response=s.OperatorBody(many=True))
    def get(self, request: Request) -> Response:
        return self.page(selectors.operators(), s.OperatorBody)


class OperatorDetail(APIView):
    permission = OPERATOR_READ

    @operation(id="operators_get", tag=TAG, summary="Get an operator", response=s.OperatorBody)
    def get(self, request: Request, operator_id: UUID) -> Response:
        return Response(s.OperatorBody(selectors.operator(operator_id=operator_id)).data)


class OperatorRole(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="operators_set_role",
        tag=TAG,
        summary="Change an operator's role",
        description="It counts from the operator's next request on. The last admin stays one.",
        request=s.ChangeRole,
        response=s.OperatorBody,
        problems=(409,),
    )
    def put(self, request: Request, operator_id: UUID) -> Response:
        row = services.set_role(operator_id=operator_id, by=request.principal, **self.valid(request))
        return Response(s.OperatorBody(row).data)


class OperatorDisabling(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="operators_disable",
        tag=TAG,
        summary="Disable an operator",
        description="Ends every session and every impersonation at once. It cannot be undone.",
        request=s.Why,
        response=s.OperatorBody,
        problems=(409,),
    )
    def post(self, request: Request, operator_id: UUID) -> Response:
        row = services.disable(operator_id=operator_id, by=request.principal, **self.valid(request))
        return Response(s.OperatorBody(row).data)


class OperatorTotp(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="operators_reset_totp",
        tag=TAG,
        summary="Give an operator a new authenticator",
        description="For one who lost it. The old one, the recovery codes and every session are dead.",
        request=s.Why,
        response=s.AuthenticatorBody,
        problems=(409,),
    )
    def post(self, request: Request, operator_id: UUID) -> Response:
        made = services.reset_totp(operator_id=operator_id, by=request.principal, **self.valid(request))
        return Response(s.AuthenticatorBody(made).data, headers={"Cache-Control": "no-store"})


class OperatorSessions(APIView):
    permission = OPERATOR_READ

    @operation(
        id="operator_sessions_list",
        tag=TAG,
        summary="List an operator's open sessions",
        response=SessionBody(many=True),
    )
    def get(self, request: Request, operator_id: UUID) -> Response:
        row = selectors.operator(operator_id=operator_id)
        return self.page(accounts.open_sessions(user_id=row.user_id).select_related("user"), SessionBody)


class OperatorSession(APIView):
    permission = OPERATOR_WRITE

    @operation(
        id="operator_sessions_delete",
        tag=TAG,
        summary="End a session of an operator",
        response={204: None},
        problems=(404,),
    )
    def delete(self, request: Request, operator_id: UUID, session_id: UUID) -> Response:
        services.revoke_session(operator_id=operator_id, session_id=session_id, by=request.principal)
        return Response(status=204)
