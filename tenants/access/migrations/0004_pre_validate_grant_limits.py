"""No row can break them; people may write meanwhile."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0003_pre_grant_limits"),
    ]

    operations = [
        ValidateConstraint(model_name="grant", name="access_grant_kind"),
        ValidateConstraint(model_name="grant", name="access_grant_amounts"),
        ValidateConstraint(model_name="grant", name="access_grant_positive"),
        ValidateConstraint(model_name="grant", name="access_grant_owner"),
    ]
