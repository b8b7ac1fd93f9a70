"""The audit log over HTTP."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from tenants.audit import selectors, services
from tenants.audit.api.serializers import AuditEntryBody, EntryQuery, ExportQuery

NDJSON = "application/x-ndjson"


class EntryList(APIView):
    permission = "audit.read"

    @operation(
        id="audit_entries_list",
        summary="List audit entries",
        description="Who did what, from where and why, newest first.",
        response=AuditEntryBody(many=True),
        query=EntryQuery,
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.entries(**self.query(request)), AuditEntryBody)


class EntryExport(APIView):
    """The log as a file."""

    permission = "audit.read"

    @operation(
        id="audit_entries_export",
        summary="Export the audit log",
        description="Every numbered entry behind `after`, oldest first, as lines of JSON that prove themselves: "
        "`keystead audit verify-export` checks the file without us. The first line names where it begins and ends; "
        "give the number of that end as `after` to go on from there. Written to the log itself.",
        response={(200, NDJSON): OpenApiTypes.STR},
        query=ExportQuery,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        lines = services.export(**self.query(request), by=request.principal)
        return StreamingHttpResponse(
            lines,
            content_type=NDJSON,
            headers={"Content-Disposition": 'attachment; filename="audit.ndjson"', "Cache-Control": "no-store"},
        )
