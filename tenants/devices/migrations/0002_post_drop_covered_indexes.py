"""Drop what another index of the same table answers as well: it starts with the same columns.

By name: AlterField would drop the foreign key too, and look through the table to make it again.
"""

import django.db.models.deletion
from django.db import migrations, models


_COVERED = ("devices_gatewaysession_device_id_0133f114",)


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0001_pre_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    sql=[f"DROP INDEX IF EXISTS {name}" for name in _COVERED],
                    reverse_sql=migrations.RunSQL.noop,
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="gatewaysession",
                    name="device",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sessions",
                        to="devices.device",
                    ),
                ),
            ],
        ),
    ]
