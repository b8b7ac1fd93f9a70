"""Usage over HTTP."""

from __future__ import annotations

from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from tenants.usage import selectors
from tenants.usage.api.serializers import RecordBody, RecordQuery


class RecordList(APIView):
    permission = "usage.read"

    @operation(
        id="usage_records_list",
        summary="List usage records",
        description="What the organization has used, newest first: the lines that invoices are made from.",
        response=RecordBody(many=True),
        query=RecordQuery,
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.records(**self.query(request)), RecordBody)
