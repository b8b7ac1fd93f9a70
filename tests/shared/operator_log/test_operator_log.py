"""What operators did is written with the act, read by page, and changed by nobody."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction

from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization, public_schema
from shared.operator_log import selectors, services
from shared.operator_log.models import Act
from tests.harness.live import LiveDatabase

OPERATOR = Principal(kind="operator", id=uuid4(), display="Olga")


@pytest.mark.usefixtures("db")
class TestRecord:
    def test_names_who_what_whom_and_why(self) -> None:
        org = uuid4()
        with public_schema():
            services.record(
                action="organization.suspended",
                by=OPERATOR,
                organization_id=org,
                reason=" unpaid ",
                detail={"days": 40},
            )
            services.record(action="plan.changed", by=SYSTEM)
            (row,) = selectors.acts(organization_id=org)
            assert list(selectors.acts(operator_id=OPERATOR.id)) == [row]
            assert not selectors.acts(organization_id=org, action="plan.changed").exists()
        assert (row.actor, row.action, row.reason, row.detail) == (
            OPERATOR,
            "organization.suspended",
            "unpaid",
            {"days": 40},
        )

    def test_a_member_is_no_operator(self) -> None:
        with public_schema(), pytest.raises(ValueError, match="no operator"):
            services.record(action="plan.changed", by=Principal(kind="member", id=uuid4()))

    @pytest.mark.parametrize("statement", ["UPDATE operator_log_act SET reason = ''", "DELETE FROM operator_log_act"])
    def test_nobody_changes_what_was_written(self, statement: str) -> None:
        with public_schema():
            services.record(action="plan.changed", by=SYSTEM)
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                connection.cursor().execute(statement)
            assert Act.objects.count() == 1

    def test_an_organization_sees_none_of_it(self, org_a: OrganizationContext) -> None:
        with (
            organization(org_a),
            pytest.raises(ProgrammingError, match="permission denied"),
            transaction.atomic(),
        ):
            connection.cursor().execute("SELECT 1 FROM public.operator_log_act")


def test_an_act_needs_a_transaction_and_goes_with_it(live_db: LiveDatabase) -> None:
    class Undone(Exception):
        pass

    with public_schema():
        with pytest.raises(RuntimeError, match="one transaction"):
            services.record(action="plan.changed", by=SYSTEM)
        with pytest.raises(Undone), transaction.atomic():
            services.record(action="plan.changed", by=SYSTEM)
            raise Undone
        with transaction.atomic():
            services.record(action="plan.changed", by=SYSTEM)
    with psycopg.connect(live_db.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM public.operator_log_act").fetchone() == (1,)
