"""Groups of members and of devices, roles of the organization's own, and what grants with a daily limit took."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

import engine.clock
import engine.ids

ID = ("id", models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False))
CREATED = ("created_at", models.DateTimeField(default=engine.clock.utc_now, editable=False))


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_pre_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Role",
            fields=[
                ID,
                CREATED,
                ("name", models.CharField(max_length=40)),
                ("meaning", models.CharField(blank=True, max_length=200)),
                (
                    "permissions",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=80), size=None),
                ),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["name"], name="access_role_name"),
                    models.CheckConstraint(
                        condition=models.Q(("name__regex", "^[a-z][a-z0-9_-]*$")), name="access_role_named"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Group",
            fields=[
                ID,
                CREATED,
                ("name", models.CharField(max_length=120)),
                ("kind", models.CharField(max_length=8)),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(django.db.models.functions.text.Lower("name"), name="access_group_name"),
                    models.CheckConstraint(condition=models.Q(("name", ""), _negated=True), name="access_group_named"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["member", "device"])), name="access_group_kind"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="GroupMembership",
            fields=[
                ID,
                CREATED,
                ("principal_id", models.UUIDField()),
                ("created_by", models.CharField(max_length=64)),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="memberships",
                        to="access.group",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["principal_id"], name="access_membership_principal")],
                "constraints": [
                    models.UniqueConstraint(fields=["group", "principal_id"], name="access_membership_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="DailySpend",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("grant_id", models.UUIDField()),
                ("principal_id", models.UUIDField()),
                ("day", models.DateField()),
                ("amount_minor", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["grant_id", "principal_id", "day"], name="access_dailyspend_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gte", 0)), name="access_dailyspend_positive"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Spending",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("source", models.CharField(max_length=64)),
                ("amount_minor", models.BigIntegerField()),
                (
                    "daily",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="access.dailyspend",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["source"], name="access_spending_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="access_spending_positive"
                    ),
                ],
            },
        ),
    ]
