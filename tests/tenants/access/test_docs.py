"""docs/access.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from tenants.access.permissions import PERMISSIONS, ROLES
from tenants.access.rules import Reason

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "access.md").read_text()


def test_the_table_of_roles_is_the_code_s() -> None:
    head = f"| Permission | Allows to | {' | '.join(ROLES)} |"
    assert head in PAGE
    for one in PERMISSIONS.values():
        held = ["yes" if one.name in role.permissions else "" for role in ROLES.values()]
        assert f"| `{one.name}` | {one.meaning} | {' | '.join(held)} |" in PAGE
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == len(ROLES) + 3]
    assert len(rows) == len(PERMISSIONS)


def test_every_reason_for_a_refusal_is_explained() -> None:
    for reason in Reason:
        if reason is not Reason.GRANTED:
            assert f"| `{reason}` |" in PAGE
