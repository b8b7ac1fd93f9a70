"""No row can break them, so nothing but a look at the table is left to do; people may write meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("provisioning", "0006_pre_drop_unused_choices"),
    ]

    operations = [
        ValidateConstraint(model_name="flow", name="flow_status_known"),
        ValidateConstraint(model_name="flow", name="flow_kind_known"),
    ]
