"""Proof that nothing was changed, in the database and in a file that has left it: every tampering is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import connection, transaction

from config.commands.audit import audit as commands
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization, owner_schema
from tenants.audit import services
from tests.factories import access
from tests.harness.live import LiveDatabase

Run = Callable[..., Any]


def _write(org: OrganizationContext, *numbers: int) -> None:
    with organization(org):
        for number in numbers:
            with transaction.atomic():
                services.write(action="thing.make", actor=SYSTEM, resource=f"thg_{number}")
        services.seal()


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(commands, [str(one) for one in arguments])


@pytest.fixture
def five(live_db: LiveDatabase, org_a: OrganizationContext) -> OrganizationContext:
    _write(org_a, 1, 2, 3, 4, 5)
    return org_a


TAMPERED = [
    ("UPDATE audit_entry SET resource = 'thg_9' WHERE resource = 'thg_3'", "broken at 3: the row was changed"),
    ("UPDATE audit_entry SET address = '203.0.113.9' WHERE resource = 'thg_4'", "broken at 4: the row was changed"),
    (
        "DELETE FROM audit_seal WHERE sequence = 2; DELETE FROM audit_entry WHERE resource = 'thg_2'",
        "broken at 2: number 2 is missing",
    ),
    (
        "DELETE FROM audit_seal WHERE sequence = 1; DELETE FROM audit_entry WHERE resource = 'thg_1'",
        "broken at 1: numbers 1 to 1 are missing",
    ),
    (
        "UPDATE audit_entry SET resource = CASE resource WHEN 'thg_2' THEN 'thg_4' ELSE 'thg_2' END"
        " WHERE resource IN ('thg_2', 'thg_4')",
        "broken at 2: the row was changed",
    ),
]


@pytest.mark.parametrize(("tampering", "said"), TAMPERED)
def test_tampering_is_named_by_its_number(
    live_db: LiveDatabase, five: OrganizationContext, run: Run, tampering: str, said: str
) -> None:
    assert run("verify", five.slug).exit_code == 0
    _tamper(live_db, five, tampering)
    told = run("verify", five.slug)
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


def test_a_cut_tail_is_seen_by_whoever_noted_the_head(
    live_db: LiveDatabase, five: OrganizationContext, run: Run
) -> None:
    head = run("verify", five.slug).stdout.strip()
    assert head.startswith("5:")
    _tamper(
        live_db,
        five,
        "DELETE FROM audit_seal WHERE sequence > 3; DELETE FROM audit_entry WHERE resource IN ('thg_4', 'thg_5');"
        "UPDATE audit_head SET sequence = 3, hash = (SELECT hash FROM audit_seal WHERE sequence = 3)",
    )
    assert run("verify", five.slug).exit_code == 0
    assert "broken at 4: number 4 is missing from the end" in run("verify", five.slug, "--head", head).output
    # Grown again, by other entries under the same numbers.
    _write(five, 6, 7, 8)
    assert run("verify", five.slug).exit_code == 0
    assert "broken at 5: it is not the entry that was noted" in run("verify", five.slug, "--head", head).output


def test_the_tail_without_numbers_is_told(five: OrganizationContext, run: Run) -> None:
    with organization(five), transaction.atomic():
        services.write(action="thing.make", actor=SYSTEM, resource="thg_6")
    told = run("verify", five.slug)
    assert (told.exit_code, told.stdout[:2]) == (0, "5:")
    assert "without a number yet: 1" in told.output
    assert run("verify", "nobody-here").exit_code == 1
    assert run("verify", five.slug, "--head", "5:zz").exit_code == 2


def _tamper(live_db: LiveDatabase, org: OrganizationContext, statements: str) -> None:
    with live_db.as_owner(), owner_schema(org.schema_name), connection.cursor() as cursor:
        for statement in statements.split(";"):
            cursor.execute(statement)


@pytest.fixture
def exported(five: OrganizationContext, http_a: Any, tmp_path: Path) -> Path:
    client = access.signed_in(http_a, access.member_token(five, "auditor"))
    return _export(client, tmp_path / "one.ndjson")


def _export(client: Any, path: Path, **query: int) -> Path:
    answer = client.get("/v1/audit-entries/export", query)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-ndjson")
    path.write_bytes(b"".join(answer.streaming_content))
    return path


def test_an_export_verifies_without_us_and_goes_on(
    five: OrganizationContext, exported: Path, http_a: Any, run: Run, tmp_path: Path
) -> None:
    told = run("verify-export", exported)
    assert (told.exit_code, told.stdout[:2]) == (0, "5:")
    _write(five, 6)
    more = _export(http_a, tmp_path / "two.ndjson", after=5)
    lines = more.read_text().splitlines()
    # What was noted about the first export itself stands in the second.
    assert "audit.exported" in {json.loads(line)["row"]["action"] for line in lines[1:]}
    whole = run("verify-export", exported, more)
    assert whole.exit_code == 0
    assert whole.stdout.strip() == run("verify", five.slug).stdout.strip()
    alone = run("verify-export", more)
    assert "begins behind 5:" in alone.output
    assert "does not go on" in run("verify-export", more, exported).output
    assert http_a.get("/v1/audit-entries/export", {"after": 999}).json()["errors"][0]["field"] == "after"
    assert not [line for line in lines if "secret" in line]


def _without(number: int) -> Callable[[list[str]], list[str]]:
    return lambda lines: lines[:number] + lines[number + 1 :]


def _swapped(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _cut_to_fit(lines: list[str]) -> list[str]:
    last = json.loads(lines[3])
    header = json.loads(lines[0]) | {"head": {"sequence": last["sequence"], "hash": last["hash"]}}
    return [json.dumps(header), *lines[1:4]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [line.replace("thg_3", "thg_9") for line in lines], "broken at 3: the row was changed"),
        (_without(2), "broken at 2: number 2 is missing"),
        (_without(1), "broken at 1: number 1 is missing"),
        (_without(5), "broken at 5: the file ends before its head"),
        (_swapped, "broken at 2: number 2 is missing"),
        (_cut_to_fit, "broken at 4: number 4 is missing from the end"),
        (lambda lines: ["{}", *lines[1:]], "no export of an audit log"),
        (lambda lines: [*lines, "[]"], "no export of an audit log"),
    ],
)
def test_a_file_that_was_tampered_with(exported: Path, run: Run, change: Any, said: str) -> None:
    noted = run("verify-export", exported).stdout.strip()
    exported.write_text("".join(f"{line}\n" for line in change(exported.read_text().splitlines())))
    told = run("verify-export", exported, "--head", noted)
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


def test_a_file_of_another_organization(exported: Path, org_b: OrganizationContext, run: Run) -> None:
    from engine import ids

    lines = exported.read_text().splitlines()
    header = json.loads(lines[0]) | {"organization": ids.encode("org", org_b.id)}
    exported.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    assert "not this organization" in run("verify-export", exported).output
