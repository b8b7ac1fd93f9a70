"""Drop what another index of the same table answers as well: it starts with the same columns, or
serves LIKE by itself under C collation.

By name: AlterField would drop the foreign key too, and look through the table to make it again.
"""

import django.db.models.deletion
from django.db import migrations, models


_COVERED = (
    "payments_payment_person_id_2dfa1221",
    "payments_attempt_payment_id_a18ea4ce",
    "payments_attempt_provider_account_id_f9d36d68",
    "payments_providerevent_provider_account_id_2c27bb16",
    "payments_providertoken_payment_method_id_a27069b9",
    "payments_transfer_payment_id_28acc6ba",
    "payments_attempt_charge_key_61d86c36_like",
    "payments_attempt_place_key_a7405498_like",
    "payments_capture_key_30a757ab_like",
    "payments_refund_key_914ff18d_like",
    "payments_void_key_8acc019b_like",
)


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0002_post_drop_covered_indexes"),
        ("payments", "0002_pre_composite_keys"),
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
                    model_name="attempt",
                    name="payment",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="payments.payment",
                    ),
                ),
                migrations.AlterField(
                    model_name="attempt",
                    name="provider_account",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.provideraccount",
                    ),
                ),
                migrations.AlterField(
                    model_name="payment",
                    name="person",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.person",
                    ),
                ),
                migrations.AlterField(
                    model_name="providerevent",
                    name="provider_account",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.provideraccount",
                    ),
                ),
                migrations.AlterField(
                    model_name="providertoken",
                    name="payment_method",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tokens",
                        to="payments.paymentmethod",
                    ),
                ),
                migrations.AlterField(
                    model_name="transfer",
                    name="payment",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="payments.payment",
                    ),
                ),
            ],
        ),
    ]
