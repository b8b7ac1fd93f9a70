"""The audit log over HTTP."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.response import Response

from engine.api.views import APIView, Request, operation
from tenants.audit import retention, selectors, services
from tenants.audit.api.serializers import AuditEntryBody, EntryQuery, ExportQuery, SettingsBody

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


class Settings(APIView):
    """How the log is kept."""

    permissions = {"GET": "audit.read", "PUT": "audit.write"}

    @operation(id="audit_settings_get", summary="Get how the audit log is kept", response=SettingsBody)
    def get(self, request: Request) -> Response:
        return Response(SettingsBody(retention.setting()).data)

    @operation(
        id="audit_settings_update",
        summary="Say how long the audit log is kept",
        description="Older entries leave as an export that proves itself, and what remains still verifies.",
        request=SettingsBody,
        response=SettingsBody,
    )
    def put(self, request: Request) -> Response:
        chosen = retention.set_retention(days=self.valid(request)["retention_days"], by=request.principal)
        return Response(SettingsBody(chosen).data)
