"""Quarantine, reset, keys that wait to be taken up, codes that enrol again. Constraints are looked through apart."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0002_post_drop_covered_indexes"),
        ("sites", "0001_pre_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="device",
            name="devices_device_revoked",
        ),
        migrations.RemoveConstraint(
            model_name="enrolmentcode",
            name="devices_code_claimed",
        ),
        migrations.AddField(
            model_name="device",
            name="quarantine_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="device",
            name="quarantined_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="devicecredential",
            name="expires_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                # As AddField would, but without a look through the table.
                migrations.RunSQL(
                    sql=[
                        "ALTER TABLE devices_enrolmentcode ADD COLUMN re_enrols_id uuid NULL",
                        "ALTER TABLE devices_enrolmentcode ADD CONSTRAINT devices_code_re_enrols"
                        " FOREIGN KEY (re_enrols_id) REFERENCES devices_device (id)"
                        " DEFERRABLE INITIALLY DEFERRED NOT VALID",
                    ],
                    reverse_sql=["ALTER TABLE devices_enrolmentcode DROP COLUMN re_enrols_id"],
                )
            ],
            state_operations=[
                migrations.AddField(
                    model_name="enrolmentcode",
                    name="re_enrols",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="devices.device",
                    ),
                ),
            ],
        ),
        migrations.AlterField(
            model_name="device",
            name="status",
            field=models.CharField(
                choices=[
                    ("active", "active"),
                    ("quarantined", "quarantined"),
                    ("reset", "reset"),
                    ("revoked", "revoked"),
                ],
                default="active",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="devicecredential",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("active", "Active"),
                    ("replaced", "Replaced"),
                    ("revoked", "Revoked"),
                ],
                default="active",
                max_length=16,
            ),
        ),
        AddConstraintNotValid(
            model_name="device",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("revoked_at__isnull", False), ("status", "revoked")),
                    models.Q(models.Q(("status", "revoked"), _negated=True), ("revoked_at", None)),
                    _connector="OR",
                ),
                name="devices_device_revoked",
            ),
        ),
        AddConstraintNotValid(
            model_name="device",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["active", "quarantined", "reset", "revoked"])),
                name="devices_device_status",
            ),
        ),
        AddConstraintNotValid(
            model_name="device",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "quarantined"), _negated=True),
                    ("quarantined_at__isnull", False),
                    _connector="OR",
                ),
                name="devices_device_quarantined",
            ),
        ),
        AddConstraintNotValid(
            model_name="devicecredential",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "pending"), _negated=True), ("expires_at__isnull", False), _connector="OR"
                ),
                name="devices_credential_pending",
            ),
        ),
        AddConstraintNotValid(
            model_name="enrolmentcode",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("claimed_at", None), ("device", None)),
                    models.Q(("claimed_at__isnull", False), ("device__isnull", False), ("re_enrols", None)),
                    models.Q(("claimed_at__isnull", False), ("device", None), ("re_enrols__isnull", False)),
                    _connector="OR",
                ),
                name="devices_code_claimed",
            ),
        ),
    ]
