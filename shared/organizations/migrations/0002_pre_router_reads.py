"""The router may read which organization a host belongs to, and nothing else of the platform."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("organizations", "0001_pre_initial")]

    operations = [
        migrations.RunSQL(
            sql=[
                "GRANT SELECT ON organizations_organization TO ks_router",
                "GRANT SELECT ON organizations_domain TO ks_router",
            ],
            reverse_sql=[
                "REVOKE SELECT ON organizations_organization FROM ks_router",
                "REVOKE SELECT ON organizations_domain FROM ks_router",
            ],
        )
    ]
