from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection, transaction

from engine.tenancy.context import NoOrganization, organization, public_schema
from engine.tenancy.wall import ContextSwitch
from shared.organizations.models import Organization


def test_smoke(org_a, org_b):
    with pytest.raises(NoOrganization):
        Organization.objects.count()
    with public_schema():
        assert Organization.objects.count() == 2
    with organization(org_a), connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_schemas(false)")
        assert cursor.fetchone() == (org_a.role_name, [org_a.schema_name])
