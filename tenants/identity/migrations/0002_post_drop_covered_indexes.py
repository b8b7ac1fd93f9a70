"""Drop what another index of the same table answers as well: it starts with the same columns, or
serves LIKE by itself under C collation.

By name: AlterField would drop the foreign key too, and look through the table to make it again.
"""

import django.db.models.deletion
from django.db import migrations, models


_COVERED = (
    "identity_template_person_id_feaa64ba",
    "identity_person_external_reference_df624288_like",
)


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0001_pre_initial"),
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
                    model_name="template",
                    name="person",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="templates",
                        to="identity.person",
                    ),
                ),
            ],
        ),
    ]
