"""Roles of operators: what they allow, and that one admin is always left."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from engine.errors import InvalidInput
from engine.principals import SYSTEM
from engine.tenancy.context import public_schema
from shared.accounts import services as accounts
from shared.operator_log.models import Act
from shared.operators import selectors, services
from shared.operators.models import Operator
from shared.operators.rules import Role
from tests.factories import operators
from tests.factories.access import PASSWORD
from tests.harness.live import LiveDatabase


@pytest.mark.usefixtures("db")
class TestRoles:
    def test_support_reads_and_an_admin_writes(self) -> None:
        support, admin = operators.operator(Role.SUPPORT), operators.operator(Role.ADMIN)
        with public_schema():
            allowed = {
                (one.principal.display, write): selectors.may(principal=one.principal, write=write)
                for one in (support, admin)
                for write in (False, True)
            }
            assert allowed == {
                ("Test support", False): True,
                ("Test support", True): False,
                ("Test admin", False): True,
                ("Test admin", True): True,
            }

    def test_an_account_without_a_role_may_nothing(self) -> None:
        with public_schema():
            made = accounts.create_operator(email="nobody@platform.example", password=PASSWORD)
            assert not selectors.may(principal=made.user.principal, write=False)

    def test_a_role_that_is_none(self) -> None:
        with public_schema(), pytest.raises(InvalidInput, match="support"):
            services.create(email="x@platform.example", password=PASSWORD, role="owner", by=SYSTEM)

    def test_the_last_admin_stays(self) -> None:
        support, admin = operators.operator(Role.SUPPORT), operators.operator(Role.ADMIN)
        with public_schema():
            for act in (
                lambda: services.set_role(operator_id=admin.principal.id, role=Role.SUPPORT, by=SYSTEM),
                lambda: services.disable(operator_id=admin.principal.id, by=SYSTEM),
            ):
                with pytest.raises(services.LastAdmin):
                    act()
            assert selectors.role_of(operator_id=admin.principal.id) == Role.ADMIN
            services.set_role(operator_id=support.principal.id, role=Role.ADMIN, by=SYSTEM, reason="holidays")
            services.disable(operator_id=admin.principal.id, by=support.principal)
            assert selectors.role_of(operator_id=admin.principal.id) == ""
            assert accounts.authenticate(token=admin.token) is None
            written = Act.objects.order_by("-id").values_list("action", "actor_id", "reason")[:2]
            assert list(written) == [
                ("operator.disabled", support.principal.id, ""),
                ("operator.role_changed", SYSTEM.id, "holidays"),
            ]

    @pytest.mark.parametrize(
        "statement", ["DELETE FROM operators_operator", "UPDATE operators_operator SET user_id = user_id"]
    )
    def test_roles_are_not_taken_by_sql(self, statement: str) -> None:
        with public_schema(), pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            connection.cursor().execute(statement)


@pytest.mark.usefixtures("db")
class TestRecovery:
    def test_a_code_stands_in_for_the_authenticator_once(self) -> None:
        one = operators.operator(Role.SUPPORT)
        code = one.recovery_codes[3]
        with public_schema():
            session, _ = accounts.sign_in(email=one.email, password=PASSWORD, code=code.upper())
            assert session.user_id == one.principal.id
            with pytest.raises(accounts.SignInRefused):
                accounts.sign_in(email=one.email, password=PASSWORD, code=code)

    def test_another_operators_code_opens_nothing_and_none_is_stored(self) -> None:
        from django_otp.plugins.otp_static.models import StaticToken

        mine, theirs = operators.operator(Role.SUPPORT), operators.operator(Role.SUPPORT)
        with public_schema():
            with pytest.raises(accounts.SignInRefused):
                accounts.sign_in(email=mine.email, password=PASSWORD, code=theirs.recovery_codes[0])
            stored = set(StaticToken.objects.values_list("token", flat=True))
        assert stored.isdisjoint(code.replace("-", "") for code in mine.recovery_codes + theirs.recovery_codes)

    def test_a_reset_ends_codes_and_sessions(self) -> None:
        one = operators.operator(Role.SUPPORT)
        with public_schema():
            made = services.reset_totp(operator_id=one.principal.id, by=SYSTEM, reason="lost")
            assert accounts.authenticate(token=one.token) is None
            accounts.sign_in(email=one.email, password=PASSWORD, code=made.recovery_codes[0])
            for stale in (one.recovery_codes[0], operators.code_of(one.otpauth_url)):
                with pytest.raises(accounts.SignInRefused):
                    accounts.sign_in(email=one.email, password=PASSWORD, code=stale)


def test_two_admins_who_remove_each_other_leave_one(live_db: LiveDatabase) -> None:
    pair = [operators.operator(Role.ADMIN), operators.operator(Role.ADMIN)]
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def remove(index: int) -> None:
        together.wait()
        by, whom = pair[index].principal, pair[1 - index].principal
        try:
            with public_schema():
                if index:
                    services.disable(operator_id=whom.id, by=by)
                else:
                    services.set_role(operator_id=whom.id, role=Role.SUPPORT, by=by)
            outcomes.append("done")
        except services.LastAdmin:
            outcomes.append("refused")
        finally:
            connection.close()

    threads: list[Any] = [threading.Thread(target=remove, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]
    with public_schema():
        assert Operator.objects.active_admins().count() == 1
