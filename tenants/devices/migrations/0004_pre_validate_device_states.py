"""No row can break them; people may write meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0003_pre_add_device_states"),
    ]

    operations = [
        ValidateConstraint(model_name="device", name="devices_device_revoked"),
        ValidateConstraint(model_name="device", name="devices_device_status"),
        ValidateConstraint(model_name="device", name="devices_device_quarantined"),
        ValidateConstraint(model_name="devicecredential", name="devices_credential_pending"),
        ValidateConstraint(model_name="enrolmentcode", name="devices_code_claimed"),
        migrations.RunSQL(
            sql=["ALTER TABLE devices_enrolmentcode VALIDATE CONSTRAINT devices_code_re_enrols"],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
