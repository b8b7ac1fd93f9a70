"""What can never change is not changed by mistake: the platform's role may not update those columns."""

from django.db import migrations

_CHANGEABLE = "name, slug, status, plan_id, updated_at"


class Migration(migrations.Migration):
    dependencies = [("organizations", "0002_pre_router_reads")]

    operations = [
        migrations.RunSQL(
            sql=[
                "REVOKE UPDATE, DELETE ON organizations_organization FROM ks_platform",
                f"GRANT UPDATE ({_CHANGEABLE}) ON organizations_organization TO ks_platform",
                "REVOKE UPDATE, DELETE ON organizations_domain FROM ks_platform",
                "GRANT UPDATE (is_canonical) ON organizations_domain TO ks_platform",
            ],
            reverse_sql=[
                "GRANT UPDATE, DELETE ON organizations_organization TO ks_platform",
                "GRANT UPDATE, DELETE ON organizations_domain TO ks_platform",
            ],
        )
    ]
