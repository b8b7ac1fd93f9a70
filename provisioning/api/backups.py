"""Backups of an organization, for operators. Restoring is done at the server: it needs the file and a decision."""

from __future__ import annotations

from uuid import UUID

from rest_framework import serializers
from rest_framework.response import Response

from engine.api.access import OPERATOR_READ, OPERATOR_WRITE
from engine.api.fields import OutputSerializer, TypeIdField
from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from provisioning.api.views import existing_organization
from provisioning.backups import services
from provisioning.models import Backup, BackupStatus


class BackupBody(OutputSerializer):
    id = TypeIdField("bkp")
    organization = TypeIdField("org", source="organization_id")
    status = serializers.ChoiceField(BackupStatus.choices)
    location = serializers.CharField(help_text="A file at the server, or `blob:` and a name in the platform's store.")
    taken_at = serializers.DateTimeField(allow_null=True, help_text="The moment that it holds.")
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField(allow_blank=True, help_text="Of the file. Empty until it is complete.")
    table_count = serializers.IntegerField()
    row_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class BackupList(APIView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    @operation(
        id="backups_list",
        tag="Backups",
        summary="List the backups of an organization",
        response=BackupBody(many=True),
    )
    def get(self, request: Request, organization_id: UUID) -> Response:
        existing_organization(organization_id)
        return self.page(Backup.objects.filter(organization_id=organization_id), BackupBody)

    @operation(
        id="backups_create",
        tag="Backups",
        summary="Back up an organization",
        description="Into the platform's blob store, as of one moment, while the organization works. Answers at once; "
        "`status` says when it is complete and was read back.",
        response={202: BackupBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request, organization_id: UUID) -> Response:
        row = existing_organization(organization_id)
        flow = services.request_backup(organization=row, by=request.principal)
        return Response(BackupBody(services.backup_of(flow=flow)).data, status=202)
