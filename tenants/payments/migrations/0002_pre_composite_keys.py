"""What Django has no word for: foreign keys over several columns.

They hold the currency of a transfer equal to that of both its accounts, and make a row that resolves a pending
transfer name that transfer's accounts and its whole amount.
"""

from django.db import migrations

FORWARD = [
    """ALTER TABLE payments_transfer ADD CONSTRAINT transfer_debit_currency
       FOREIGN KEY (debit_account_id, currency) REFERENCES payments_ledgeraccount (id, currency)""",
    """ALTER TABLE payments_transfer ADD CONSTRAINT transfer_credit_currency
       FOREIGN KEY (credit_account_id, currency) REFERENCES payments_ledgeraccount (id, currency)""",
    """ALTER TABLE payments_transfer ADD CONSTRAINT transfer_resolves_its_pending
       FOREIGN KEY (pending_id, pending_kind, debit_account_id, credit_account_id, pending_minor)
       REFERENCES payments_transfer (id, kind, debit_account_id, credit_account_id, amount_minor)""",
]
BACKWARD = [
    "ALTER TABLE payments_transfer DROP CONSTRAINT transfer_resolves_its_pending",
    "ALTER TABLE payments_transfer DROP CONSTRAINT transfer_credit_currency",
    "ALTER TABLE payments_transfer DROP CONSTRAINT transfer_debit_currency",
]


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_pre_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
