"""Ready schemas: the owner writes their rows, the platform's role takes them and changes nothing."""

import engine.clock
import engine.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('provisioning', '0001_pre_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReadySchema',
            fields=[
                ('id', models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=engine.clock.utc_now, editable=False)),
                ('schema_name', models.CharField(max_length=63, unique=True)),
                ('role_name', models.CharField(max_length=63, unique=True)),
                ('fingerprint', models.CharField(max_length=64)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RunSQL(
            sql=[
                "REVOKE INSERT, UPDATE ON provisioning_readyschema FROM ks_platform",
                # SELECT .. FOR UPDATE wants the privilege on some column, and takes any.
                "GRANT UPDATE (created_at) ON provisioning_readyschema TO ks_platform",
            ],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
