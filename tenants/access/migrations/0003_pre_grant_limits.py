"""Grants for groups, and limits of grants. The constraints are looked through in a migration of their own."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0002_pre_roles_groups_spends"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="grant",
            name="access_grant_kind",
        ),
        migrations.AddField(
            model_name="grant",
            name="amount_max_minor",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="amount_per_day_max_minor",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="currency",
            field=models.CharField(blank=True, db_default="", default="", max_length=3),
        ),
        migrations.AddField(
            model_name="grant",
            name="expires_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="hours",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="mfa_max_age_s",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="policyrevision",
            name="token",
            field=models.UUIDField(blank=True, null=True),
        ),
        AddConstraintNotValid(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("principal_kind__in", ["member", "app", "device", "group"])),
                name="access_grant_kind",
            ),
        ),
        AddConstraintNotValid(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount_max_minor", None), ("amount_per_day_max_minor", None), ("currency", "")),
                    models.Q(
                        models.Q(("currency", ""), _negated=True),
                        models.Q(
                            ("amount_max_minor__isnull", False),
                            ("amount_per_day_max_minor__isnull", False),
                            _connector="OR",
                        ),
                    ),
                    _connector="OR",
                ),
                name="access_grant_amounts",
            ),
        ),
        AddConstraintNotValid(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount_max_minor", None), ("amount_max_minor__gt", 0), _connector="OR"),
                    models.Q(("amount_per_day_max_minor", None), ("amount_per_day_max_minor__gt", 0), _connector="OR"),
                ),
                name="access_grant_positive",
            ),
        ),
        AddConstraintNotValid(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("role", "owner"), _negated=True),
                    models.Q(
                        ("currency", ""),
                        ("expires_at", None),
                        ("hours__isnull", True),
                        ("mfa_max_age_s", None),
                        ("principal_kind", "member"),
                    ),
                    _connector="OR",
                ),
                name="access_grant_owner",
            ),
        ),
    ]
