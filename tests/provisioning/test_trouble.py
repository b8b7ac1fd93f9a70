"""What is away or full while an organization is made: a line that says so, and the same command goes on."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import click
import psycopg
import pytest
from django.db import connection, connections
from django.test import override_settings
from moto.server import ThreadedMotoServer
from pytest_django import DjangoDbBlocker

from config import cli
from engine.keys.adapters import aws
from engine.keys.adapters import file as file_kms
from engine.tenancy.context import public_schema
from provisioning import pool
from provisioning.models import Flow, FlowStatus, ReadySchema
from shared.organizations.models import Organization
from tests.harness.live import LiveDatabase, bare_database
from tests.harness.matcher import RunningMatcher, running_matcher

pytestmark = pytest.mark.xdist_group("provisioning")

CREATE = ("org", "create", "acme", "--plan", "standard", "--admin-email", "owner@acme.example")


@pytest.fixture
def keystead(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line in this process: exit status, and all that it said."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["keystead", *arguments])
        capsys.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        # A real command's connections end with its process.
        connections.close_all()
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


@pytest.fixture
def matcher(live_db: LiveDatabase, tmp_path: Path) -> Iterator[RunningMatcher]:
    with (
        running_matcher(database_url=live_db.app_url, log=tmp_path / "matcher.log") as running,
        override_settings(MATCHER_URL=running.url),
    ):
        yield running


def flow_of(slug: str) -> Flow:
    with public_schema():
        return Flow.objects.select_related("organization").get(organization__slug=slug)


def stopped(said: tuple[int, str], *, at: str, because: str) -> None:
    """The command stopped before a step, said why and how to go on, and the flow knows it too."""
    status, text = said
    assert status == 1
    assert because in text.replace("\n", " ")
    assert "Run `keystead org create acme ...` again" in text
    assert "Traceback" not in text
    flow = flow_of("acme")
    assert (flow.step, flow.status) == (at, FlowStatus.RUNNING)


def test_a_kms_that_refuses_and_comes_back(live_db, matcher, keystead, tmp_path):
    folder = tmp_path / "kms"
    file_kms.create_key(folder, "platform")
    file_kms.set_state(folder, "platform", "disabled")
    with live_db.as_owner(), override_settings(KMS_URL=f"file://{folder}"):
        stopped(keystead(*CREATE), at="keys", because="KMS key platform is disabled")
        assert "KMS key platform is disabled" in flow_of("acme").last_error
        file_kms.set_state(folder, "platform", "enabled")
        status, said = keystead(*CREATE)
    assert status == 0, said
    assert "going on with step keys" in said
    assert flow_of("acme").organization.status == "active"


def test_a_kms_that_hangs_and_comes_back(live_db, matcher, keystead, monkeypatch):
    monkeypatch.setattr(aws, "_READ_SECONDS", 0.2)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with socket.create_server(("127.0.0.1", 0)) as silent, live_db.as_owner():
        port = silent.getsockname()[1]
        silence = f"aws://eu-central-1?key_id=alias/platform&endpoint=http://127.0.0.1:{port}"
        with override_settings(KMS_URL=silence):
            stopped(keystead(*CREATE), at="keys", because="KMS did not answer: ReadTimeoutError")
    with live_db.as_owner(), _answering_kms() as url, override_settings(KMS_URL=url):
        status, said = keystead(*CREATE)
    assert status == 0, said


@contextmanager
def _answering_kms() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client("kms", region_name="eu-central-1", endpoint_url=endpoint)
        key = client.create_key()["KeyMetadata"]["KeyId"]
        yield f"aws://eu-central-1?key_id={key}&endpoint={endpoint}"
    finally:
        server.stop()


def test_a_matcher_whose_kms_refuses_says_so(live_db, keystead, tmp_path):
    folder = tmp_path / "biometric"
    file_kms.create_key(folder, "biometric")
    with running_matcher(
        database_url=live_db.app_url, log=tmp_path / "log", kms_url=f"file://{folder}?key_id=biometric"
    ) as running:
        file_kms.set_state(folder, "biometric", "disabled")
        with live_db.as_owner(), override_settings(MATCHER_URL=running.url):
            stopped(keystead(*CREATE), at="keys", because="The KMS key is disabled")
            file_kms.set_state(folder, "biometric", "enabled")
            assert keystead(*CREATE)[0] == 0


@pytest.fixture
def trap(live_db: LiveDatabase) -> Iterator[Any]:
    """Runs SQL inside PostgreSQL when a schema's table is made, in the middle of the script."""
    server = os.environ["KEYSTEAD_TEST_POSTGRES_URL"].rsplit("/", 1)[0]
    with psycopg.connect(f"{server}/{live_db.name}", autocommit=True) as admin:

        def spring(statement: str) -> None:
            admin.execute(
                "CREATE FUNCTION ext.trap() RETURNS event_trigger LANGUAGE plpgsql AS $trap$ BEGIN"
                " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()"
                f" WHERE object_identity LIKE '%.payments_payment') THEN {statement}; END IF; END $trap$"
            )
            admin.execute("CREATE EVENT TRIGGER trap ON ddl_command_end EXECUTE FUNCTION ext.trap()")

        def release() -> None:
            admin.execute("DROP FUNCTION IF EXISTS ext.trap() CASCADE")

        spring.release = release  # type: ignore[attr-defined]
        yield spring
        release()


def nothing_half_made(database: LiveDatabase) -> None:
    names = flow_of("acme").organization
    with psycopg.connect(database.owner_url) as owner:
        left = owner.execute(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = %s), (SELECT count(*) FROM pg_roles"
            " WHERE rolname = %s)",
            [names.schema_name, names.role_name],
        ).fetchone()
    assert left == (0, 0)
    assert names.schema_fingerprint == ""


def test_a_disk_that_is_full_and_has_room_again(live_db, matcher, keystead, trap):
    """PostgreSQL itself answers with 53100 in the middle of the script, as it does when a file cannot grow."""
    trap("RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'")
    with live_db.as_owner():
        stopped(keystead(*CREATE), at="schema", because="PostgreSQL's disk is full. Make room")
        nothing_half_made(live_db)
        trap.release()
        status, said = keystead(*CREATE)
    assert status == 0, said


def test_postgresql_that_goes_away_in_the_middle(live_db, matcher, keystead, trap):
    """Every connection ends while the script runs, which is what a restart looks like from here."""
    trap("PERFORM pg_sleep(600)")

    def cut() -> None:
        server = os.environ["KEYSTEAD_TEST_POSTGRES_URL"]
        with psycopg.connect(server, autocommit=True) as admin:
            while not admin.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'", [live_db.name]
            ).fetchone():
                time.sleep(0.02)
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = 'ks_owner'",
                [live_db.name],
            )

    with live_db.as_owner():
        cutter = threading.Thread(target=cut)
        cutter.start()
        stopped(keystead(*CREATE), at="schema", because="PostgreSQL does not answer, or went away in between")
        cutter.join()
        trap.release()
        nothing_half_made(live_db)
        status, said = keystead(*CREATE)
    assert status == 0, said


@pytest.mark.parametrize(
    ("slug", "plan", "because"),
    [
        ("org-a", "standard", "names an organization, or once did"),
        ("admin", "standard", "reserved for the platform"),
        ("x" * 41, "standard", "use 3 to 40 characters"),
        ("ácme", "standard", "letters a to z"),
        ("Acme", "standard", "use lower case"),
        ("acme", "gold", "Choose one of: standard"),
    ],
)
def test_what_is_refused_is_said_in_a_line_and_costs_no_schema(live_db, keystead, slug, plan, because):
    with live_db.as_owner():
        assert pool.add(size=1)
        status, said = keystead("org", "create", slug, "--plan", plan, "--admin-email", "owner@acme.example")
    assert (status, said.count("\n")) == (1, 1)
    assert because in said
    with public_schema():
        assert ReadySchema.objects.count() == 1
        assert Organization.objects.count() == 2


# These say what is wrong with the files that they are given, before they look at the database.
READ_FILES_FIRST = {("org", "restore"), ("org", "verify-backup"), ("audit", "verify-export")}
# These need no database, or make it, or stay.
ELSEWHERE = frozenset(
    ("asyncapi", "bake", "check", "database", "demo", "migrate", "openapi", "permissions", "relay", "settings", "up")
)


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if not path and name in ELSEWHERE:
            continue
        if isinstance(command, click.Group):
            yield from _leaves(command, (*path, name))
        else:
            yield (*path, name), command


def _filled_in(command: click.Command) -> list[str]:
    words: list[str] = []
    for parameter in command.params:
        asked = isinstance(parameter, click.Option) and parameter.prompt and not parameter.envvar
        if isinstance(parameter, click.Argument) or parameter.required or asked:
            if isinstance(parameter, click.Option):
                words.append(parameter.opts[0])
            words.append(_word(parameter))
    return words


def _word(parameter: click.Parameter) -> str:
    if "email" in (parameter.name or ""):
        return "somebody@acme.example"
    match kind := parameter.type:
        case click.Choice():
            return str(kind.choices[0])
        case click.types.UUIDParameterType():
            return "01890000-0000-7000-8000-000000000000"
        case click.types.IntParamType():
            return "1"
        case click.Path() | click.File():
            return os.devnull
        case _:
            return "acme"


@pytest.fixture
def bare_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[LiveDatabase]:
    with django_db_blocker.unblock(), bare_database() as database:
        yield database


def test_every_command_before_migrate_names_the_remedy(bare_db, keystead, monkeypatch):
    monkeypatch.setenv("KEYSTEAD_OPERATOR_PASSWORD", "correct horse battery staple")
    asked = list(_leaves(cli.keystead))
    assert {("org", "list"), ("plan", "create"), ("pool", "show")} <= {path for path, _ in asked}
    others = set()
    with bare_db.as_owner():
        for path, command in asked:
            status, said = keystead(*path, *_filled_in(command))
            assert (status, "Traceback" in said) == (1, False), f"{path}: {said}"
            if "Run `keystead migrate`" not in said.replace("\n", " "):
                others.add(path)
    assert others <= READ_FILES_FIRST


@pytest.mark.parametrize("limit", ["-1", "2147483648", "many"])
def test_a_plans_limit_that_is_none_names_its_option(keystead, limit):
    status, said = keystead("plan", "create", "small", "--people", limit)
    assert (status, "--people" in said) == (2, True), said


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"NAME": "ks_nowhere"}, "Run `keystead database bootstrap`"),
        ({"PASSWORD": "wrong"}, "compare user and password"),
        ({"PORT": "1"}, "PostgreSQL does not answer"),
    ],
)
def test_a_database_that_cannot_be_reached_is_a_line_with_its_remedy(live_db, keystead, change, remedy):
    connection.close()
    before = dict(connection.settings_dict)
    connection.settings_dict.update(change)
    try:
        status, said = keystead("org", "list")
    finally:
        connection.close()
        connection.settings_dict.update(before)
    assert status == 1
    assert remedy in said
    assert "Traceback" not in said


def test_a_fault_of_the_program_still_shows_where_it_is(monkeypatch, keystead):
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "keystead", lambda **_: broken())
    with pytest.raises(ZeroDivisionError):
        keystead("org", "list")
