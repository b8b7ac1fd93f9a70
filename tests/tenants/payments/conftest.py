from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import stamina

from engine.tenancy.context import OrganizationContext
from tenants.payments import services as payments
from tenants.payments.models import Payment, ProviderAccount
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox
from tests.factories import payments as make


@pytest.fixture(scope="package")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@dataclass
class Shop:
    """Two provider accounts, tried in this order, and people who pay with a card that both know."""

    sandbox: SandboxProcess
    keys: tuple[str, str]
    accounts: tuple[ProviderAccount, ProviderAccount]

    def pay(self, token: str = "pm_card_visa", **fields: Any) -> Payment:
        """A payment, asked for and carried as far as it goes."""
        return payments.advance(payment_id=self.ask(token, **fields).id)

    def ask(self, token: str = "pm_card_visa", **fields: Any) -> Payment:
        """A payment, asked for only."""
        return make.payment(make.payment_method(self.accounts, token), **fields)

    def charges(self) -> list[tuple[str, int]]:
        """What was really taken: ("a" or "b", amount)."""
        names = dict(zip(self.keys, "ab", strict=True))
        return [(names[row["key"]], row["amount"]) for row in self.sandbox.charges(*self.keys)]

    def effects(self) -> list[tuple[str, int]]:
        """Everything that moved."""
        return [(row["kind"], row["amount"]) for row in self.sandbox.effects(*self.keys)]


@pytest.fixture
def shop(sandbox: SandboxProcess, in_org_a: OrganizationContext) -> Shop:
    keys = (sandbox.new_key(), sandbox.new_key())
    first, second = (make.provider_account(sandbox, key, priority=priority) for priority, key in enumerate(keys))
    return Shop(sandbox, keys, (first, second))


@pytest.fixture(autouse=True)
def quick_retries() -> Iterator[None]:
    """The provider client's retries happen, without their pauses."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield
