"""What a migration's SQL is made from, and what the public schema makes of an organization's migration."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.state import ProjectState
from django.db.models.signals import post_migrate

from engine.tenancy.context import owner_schema
from provisioning.fleet import planning, platform
from provisioning.fleet.narrowing import narrowed
from provisioning.fleet.planning import Phase
from tests.harness.planted import Planted

NARROW = {
    "0090_pre_column": 'migrations.AddField("site", "colour", models.CharField(max_length=9, default="red")),',
    "0091_pre_reference": """
        migrations.AddField(
            "site", "chief", models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, related_name="+")
        ),
    """,
    "0092_pre_table": """
        migrations.CreateModel(
            name="Lamp",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("sites", models.ManyToManyField("sites.Site")),
                ("behind", models.ForeignKey("self", on_delete=models.CASCADE, null=True)),
            ],
        ),
        migrations.AddField("lamp", "owner", models.ForeignKey("accounts.User", on_delete=models.CASCADE)),
        migrations.AddIndex("lamp", models.Index(fields=["owner"], name="lamp_owner")),
        migrations.AddConstraint(
            "lamp", models.CheckConstraint(condition=models.Q(id__gt=0), name="lamp_id")
        ),
    """,
    "0093_post_less": 'migrations.RemoveField("lamp", "owner"), migrations.RemoveField("lamp", "sites"),',
    "0094_pre_both": """
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL("SELECT 1")], [migrations.AddField("site", "a", models.TextField(null=True))]
        ),
    """,
}
WIDE = {"0095_pre_wider": 'migrations.AlterField("site", "name", models.CharField(max_length=999)),'}


def written(migration: Migration, state: ProjectState) -> list[str]:
    with connection.schema_editor(collect_sql=True, atomic=True) as editor:
        migration.apply(state, editor, collect_sql=True)
    return list(editor.collected_sql)


def test_few_models_give_the_sql_that_all_models_give(fleet_db, planted, org_a):
    keys = [planted.add(name, operations) for name, operations in (NARROW | WIDE).items()]
    with owner_schema(org_a.schema_name):
        executor = planning.read_migrations()
        state = planning.state_of(executor)
        for key in keys:
            migration = executor.loader.graph.nodes[key]
            few = narrowed(migration, state)
            assert (len(few.models) < len(state.models) / 2) == (key[1] in NARROW), key
            assert written(migration, few) == written(migration, state.clone()), key
            state = migration.mutate_state(state, preserve=False)


@pytest.mark.parametrize(("folder", "app", "is_told"), [("tenants", "sites", False), ("shared", "plans", True)])
def test_public_notes_organizations_migrations_and_tells_of_its_own_only(fleet_db, tmp_path, folder, app, is_told):
    told: list[object] = []

    def listen(**_: object) -> None:
        told.append(True)

    planted = Planted(tmp_path, app=app, origin=f"{folder}.{app}.migrations")
    with planted.installed():
        key = planted.add("0990_pre_x", f'migrations.AddField("{app[:-1]}", "planted", models.TextField(null=True)),')
        post_migrate.connect(listen, weak=False)
        try:
            assert platform.migrate(phase=Phase.ALL, lock_timeout_ms=50) == [key]
            assert platform.migrate(phase=Phase.ALL, lock_timeout_ms=50) == []
        finally:
            post_migrate.disconnect(listen)
    assert bool(told) is is_told
    with owner_schema("public"), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations WHERE name = '0990_pre_x'")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("SELECT count(*) FROM information_schema.columns WHERE column_name = 'planted'")
        assert cursor.fetchall() == [(int(is_told),)]
