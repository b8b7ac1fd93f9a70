"""An installation goes from role mode to login mode and back, by the commands of docs/scaling.md.

On a server of its own: roles belong to the server, and the suite's other tests need theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner, Result

from config.commands.migrations import database
from devkit.embedded import embedded
from engine.tenancy import logins, roles
from engine.tenancy.wall import Scope, settings_sql

SECRET = "a secret of logins that only this test knows"
ACME = "ks_o_acme"


@dataclass(frozen=True, slots=True)
class Installation:
    admin_url: str

    def url(self, user: str, word: str = "word") -> str:
        place = urlsplit(self.admin_url)
        return place._replace(netloc=f"{user}:{word}@{place.hostname}:{place.port}", path="/keystead").geturl()

    def run(self, *arguments: str, isolation: str = "role", secret: str = SECRET) -> Result:
        environment = {
            "KEYSTEAD_ADMIN_DATABASE_URL": self.admin_url,
            "KEYSTEAD_OWNER_DATABASE_URL": self.url("ks_owner"),
            "KEYSTEAD_DATABASE_URL": self.url("ks_app"),
            "KEYSTEAD_ISOLATION": isolation,
            "KEYSTEAD_LOGIN_SECRET": secret,
        }
        return CliRunner().invoke(database, list(arguments), env=environment)

    def switches(self) -> bool:
        """Whether ks_app works as the organization, as role mode has it."""
        return self._reads(self.url("ks_app"))

    def logs_in(self, *, version: int) -> bool:
        """Whether the organization's role works by itself, as login mode has it."""
        return self._reads(self.url(ACME, logins.password(SECRET, role=ACME, version=version)))

    def _reads(self, url: str) -> bool:
        settings = settings_sql(Scope(ACME, (ACME,))).encode()
        try:
            with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
                connection.execute(settings + b"SELECT whose FROM things")
                return True
        except psycopg.Error:
            return False


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with embedded(tmp_path) as servers:
        made = Installation(servers.postgres_url)
        assert made.run("bootstrap").exit_code == 0
        with psycopg.connect(made.url("ks_owner"), autocommit=True) as owner:
            roles.create_organization_role(owner, role=ACME)
            roles.create_organization_schema(owner, schema=ACME, role=ACME)
            owner.execute(f"CREATE TABLE {ACME}.things (whose text)")
        yield made


def test_to_login_mode_and_back_without_a_moment_in_which_nobody_works(installation):
    assert (installation.switches(), installation.logs_in(version=1)) == (True, False)

    assert "4 roles may log in now" in installation.run("logins").stderr
    assert (installation.switches(), installation.logs_in(version=1)) == (True, True)
    assert "0 roles may log in now" in installation.run("logins").stderr

    assert installation.run("bootstrap", isolation="login").exit_code == 0
    assert (installation.switches(), installation.logs_in(version=1)) == (False, True)
    with psycopg.connect(installation.url("ks_owner"), autocommit=True) as owner:
        roles.create_organization_role(owner, role="ks_o_born_there", login_secret=SECRET)
        assert logins.versions(owner, role="ks_o_born_there") == {"ks_o_born_there": 1}
        assert not roles.app_may_switch(owner)

    assert "5 roles have new passwords" in installation.run("rotate-logins").stderr
    assert (installation.logs_in(version=1), installation.logs_in(version=2)) == (False, True)

    refused = installation.run("logins", "--off")
    assert refused.exit_code == 1
    assert "KEYSTEAD_ISOLATION=role first" in refused.stderr
    assert installation.run("bootstrap").exit_code == 0
    assert (installation.switches(), installation.logs_in(version=2)) == (True, True)
    assert "5 roles can be switched to only" in installation.run("logins", "--off").stderr
    assert (installation.switches(), installation.logs_in(version=2)) == (True, False)


@pytest.mark.parametrize("arguments", [["logins"], ["rotate-logins"]])
def test_a_short_secret_is_refused(arguments):
    refused = Installation("postgresql://postgres@127.0.0.1:1/postgres").run(*arguments, secret="short")
    assert refused.exit_code == 1


def test_a_new_installation_begins_in_login_mode(tmp_path):
    with embedded(tmp_path) as servers:
        made = Installation(servers.postgres_url)
        assert made.run("bootstrap", isolation="login", secret="short").exit_code == 1
        assert made.run("bootstrap", isolation="login").exit_code == 0
        with psycopg.connect(made.url("ks_owner")) as owner:
            assert set(logins.versions(owner)) == {"ks_platform", "ks_router", "ks_relay"}
            assert not roles.app_may_switch(owner)
