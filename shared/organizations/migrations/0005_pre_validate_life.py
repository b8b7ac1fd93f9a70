"""The constraints of 0004 hold for the rows that were there, too: looked at without a lock that anybody feels."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("organizations", "0004_pre_life")]

    operations = [
        ValidateConstraint("domain", "domain_use_known"),
        ValidateConstraint("domain", "domain_canonical_serves"),
        ValidateConstraint("organization", "organization_status_known"),
    ]
