from __future__ import annotations

from rest_framework.response import Response

from engine.api.access import OPERATOR_READ
from engine.api.views import APIView, Request, operation
from shared.operator_log import selectors
from shared.operator_log.api.serializers import ActBody, ActFilter


class ActList(APIView):
    permission = OPERATOR_READ

    @operation(
        id="operator_acts_list",
        tag="Operators",
        summary="List what operators did",
        description="Who did what to which organization, and why, newest first. Nobody can change it.",
        response=ActBody(many=True),
        query=ActFilter,
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.acts(**self.query(request)), ActBody)
