"""Drop what another index of the same table answers as well: it starts with the same columns.

By name: AlterField would drop the foreign key too, and look through the table to make it again.
"""

import django.db.models.deletion
from django.db import migrations, models


_COVERED = (
    "checkouts_checkout_device_id_f1af5e71",
    "checkouts_checkout_person_id_56941a69",
    "checkouts_checkout_site_id_204f7f1a",
)


class Migration(migrations.Migration):
    dependencies = [
        ("checkouts", "0001_pre_initial"),
        ("devices", "0002_post_drop_covered_indexes"),
        ("identity", "0002_post_drop_covered_indexes"),
        ("sites", "0001_pre_initial"),
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
                    model_name="checkout",
                    name="device",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="devices.device",
                    ),
                ),
                migrations.AlterField(
                    model_name="checkout",
                    name="person",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.person",
                    ),
                ),
                migrations.AlterField(
                    model_name="checkout",
                    name="site",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="sites.site"
                    ),
                ),
            ],
        ),
    ]
