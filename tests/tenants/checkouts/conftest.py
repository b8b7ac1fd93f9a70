"""A database, a matcher and a provider sandbox for the module; a gallery of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from django.test.utils import override_settings

from engine.ids import uuid7
from engine.tenancy.context import OrganizationContext, organization
from tenants.checkouts.models import Checkout
from tenants.payments.models import ProviderAccount
from tests.devkit.sandbox.server import SandboxProcess, running_sandbox
from tests.factories import payments as make
from tests.factories.checkouts import Customer, Terminal, customer, terminal
from tests.harness.live import LiveDatabase, live_database
from tests.harness.matcher import running_matcher


@pytest.fixture(scope="module")
def live_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[LiveDatabase]:
    with django_db_blocker.unblock(), live_database() as database:
        yield database


@pytest.fixture(scope="module")
def matcher(live_db: LiveDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    log = tmp_path_factory.mktemp("matcher") / "log"
    with (
        running_matcher(database_url=live_db.app_url, log=log) as running,
        override_settings(MATCHER_URL=running.url),
    ):
        yield


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@dataclass
class Shop:
    """A terminal, two provider accounts, and a gallery that nobody else's faces are in."""

    organization: OrganizationContext
    sandbox: SandboxProcess
    keys: list[str]
    accounts: list[ProviderAccount]
    terminal: Terminal
    model: str

    def customer(self, looks: np.ndarray[Any, Any] | None = None, **fields: Any) -> Customer:
        return customer(fields.pop("accounts", self.accounts), model=self.model, looks=looks, **fields)

    def charges(self) -> list[int]:
        """What was really taken, in minor units."""
        return [row["amount"] for row in self.sandbox.charges(*self.keys)]

    def row(self) -> Checkout:
        """The newest checkout of the terminal."""
        return Checkout.objects.filter(device_id=self.terminal.device.id).latest("id")


def _shop(org: OrganizationContext, sandbox: SandboxProcess) -> Shop:
    keys = [sandbox.new_key(), sandbox.new_key()]
    accounts = [make.provider_account(sandbox, key, priority=number) for number, key in enumerate(keys)]
    model = f"model-{uuid7().hex[-12:]}"
    return Shop(org, sandbox, keys, accounts, terminal(org, model=model), model)


@pytest.fixture
def shop(live_db: LiveDatabase, matcher: None, sandbox: SandboxProcess, org_a: OrganizationContext) -> Iterator[Shop]:
    """Organization a's. The test runs in its context."""
    with organization(org_a):
        yield _shop(org_a, sandbox)


@pytest.fixture
def other_shop(live_db: LiveDatabase, matcher: None, sandbox: SandboxProcess, org_b: OrganizationContext) -> Shop:
    """Organization b's."""
    with organization(org_b):
        return _shop(org_b, sandbox)
