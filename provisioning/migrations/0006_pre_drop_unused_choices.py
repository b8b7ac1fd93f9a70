"""No flow renames an organization, which is one transaction, and none gives up: it stops where it is, and is parked."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

STATUSES = ["running", "waiting", "succeeded", "cancelled"]
KINDS = ["create", "suspend", "resume", "offboard", "backup", "restore"]


class Migration(migrations.Migration):

    dependencies = [
        ("provisioning", "0005_pre_fleet"),
    ]

    operations = [
        migrations.AlterField(
            model_name="flow",
            name="kind",
            field=models.CharField(choices=[(kind, kind.title()) for kind in KINDS], max_length=24),
        ),
        migrations.AlterField(
            model_name="flow",
            name="status",
            field=models.CharField(
                choices=[(status, status.title()) for status in STATUSES], default="running", max_length=16
            ),
        ),
        migrations.RemoveConstraint(model_name="flow", name="flow_status_known"),
        AddConstraintNotValid(
            model_name="flow",
            constraint=models.CheckConstraint(condition=models.Q(("status__in", STATUSES)), name="flow_status_known"),
        ),
        migrations.RemoveConstraint(model_name="flow", name="flow_kind_known"),
        AddConstraintNotValid(
            model_name="flow",
            constraint=models.CheckConstraint(condition=models.Q(("kind__in", KINDS)), name="flow_kind_known"),
        ),
    ]
