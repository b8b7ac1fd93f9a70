"""Migrations keep what their names promise, and a planted one that does not is found."""

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from tests.architecture.migrations import faults, ours, statements

in_a_transaction = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def planted(name: str, *operations: Operation) -> migrations.Migration:
    migration = migrations.Migration(name, "organizations")
    migration.operations = list(operations)
    return migration


# Outside of any transaction: an index is only built concurrently there.
@pytest.mark.usefixtures("live_db")
def test_every_migration_keeps_its_promise(loader: MigrationLoader) -> None:
    found = ours(loader)
    assert {migration.app_label for migration in found} >= {"organizations", "plans", "outbox"}
    for migration in found:
        before = loader.project_state((migration.app_label, migration.name), at_end=False)
        assert faults(before, migration) == []
        if migration.name.startswith("0001_"):
            assert any("CREATE TABLE" in line for line in statements(before, migration)), migration.app_label


@in_a_transaction
@pytest.mark.parametrize("name", ["0099_drop_name", "0099_auto_20260101_1200", "99_pre_x", "0099_pre_"])
def test_a_name_without_a_phase_is_refused(loader: MigrationLoader, name: str) -> None:
    (fault,) = faults(loader.project_state(), planted(name))
    assert "NNNN_pre_" in fault


@in_a_transaction
@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (migrations.RemoveField("organization", "name"), "DROP_COLUMN"),
        (migrations.RenameField("organization", "name", "title"), "RENAME_COLUMN"),
        (migrations.DeleteModel("domain"), "DROP_TABLE"),
        (migrations.AddField("organization", "rank", models.IntegerField(default=0)), "NOT_NULL"),
        (migrations.AddIndex("organization", models.Index(fields=["name"], name="planted")), "CREATE_INDEX"),
        (migrations.AlterField("organization", "name", models.IntegerField()), "ALTER_COLUMN"),
        (migrations.RenameModel("domain", "host"), "RENAME_TABLE"),
        (
            migrations.AddConstraint(
                "organization", models.CheckConstraint(condition=~models.Q(name=""), name="planted_check")
            ),
            "VALIDATED_CONSTRAINT",
        ),
        (
            migrations.AddField("domain", "plan", models.ForeignKey("plans.plan", models.PROTECT, null=True)),
            "VALIDATED_CONSTRAINT",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_old_code_cannot_bear_waits_for_post(loader: MigrationLoader, operation: Operation, code: str) -> None:
    state = loader.project_state()
    assert any(f"({code}" in fault for fault in faults(state.clone(), planted("0099_pre_planted", operation)))
    assert faults(state.clone(), planted("0099_post_planted", operation)) == []


@in_a_transaction
def test_what_the_old_code_does_not_see_may_go_first(loader: MigrationLoader) -> None:
    add = migrations.AddField("organization", "note", models.TextField(null=True))
    assert faults(loader.project_state(), planted("0099_pre_add_note", add)) == []
