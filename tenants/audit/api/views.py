"""The audit log over HTTP."""

from __future__ import annotations

from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from tenants.audit import selectors
from tenants.audit.api.serializers import AuditEntryBody, EntryQuery


class EntryList(APIView):
    permission = "audit.read"

    @operation(
        id="audit_entries_list",
        summary="List audit entries",
        description="Who did what, newest first.",
        response=AuditEntryBody(many=True),
        query=EntryQuery,
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.entries(**self.query(request)), AuditEntryBody)
