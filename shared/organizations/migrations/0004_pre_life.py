"""Hosts that were left or proven, claims of custom ones, and an organization's end."""

import django.db.models.deletion
import engine.clock
import engine.ids
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0003_pre_fixed_at_birth'),
        ('plans', '0001_pre_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='DomainClaim',
            fields=[
                ('id', models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=engine.clock.utc_now, editable=False)),
                ('host', models.CharField(max_length=253)),
                ('challenge', models.CharField(max_length=64)),
                ('expires_at', models.DateTimeField()),
                ('verified_at', models.DateTimeField(blank=True, null=True)),
                ('removed_at', models.DateTimeField(blank=True, null=True)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('finding', models.CharField(blank=True, default='', max_length=200)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='organization',
            name='organization_status_known',
        ),
        migrations.AddField(
            model_name='domain',
            name='use',
            field=models.CharField(choices=[('serves', 'Serves'), ('redirects', 'Redirects'), ('retired', 'Retired')], db_default='serves', default='serves', max_length=16),
        ),
        migrations.AlterField(
            model_name='organization',
            name='status',
            field=models.CharField(choices=[('provisioning', 'Provisioning'), ('active', 'Active'), ('suspended', 'Suspended'), ('offboarding', 'Offboarding'), ('offboarded', 'Offboarded')], default='provisioning', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='domain',
            constraint=models.CheckConstraint(condition=models.Q(('use__in', ['serves', 'redirects', 'retired'])), name='domain_use_known'),
        ),
        migrations.AddConstraint(
            model_name='domain',
            constraint=models.CheckConstraint(condition=models.Q(('is_canonical', False), ('use', 'serves'), _connector='OR'), name='domain_canonical_serves'),
        ),
        migrations.AddConstraint(
            model_name='organization',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['provisioning', 'active', 'suspended', 'offboarding', 'offboarded'])), name='organization_status_known'),
        ),
        migrations.AddField(
            model_name='domainclaim',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='domain_claims', to='organizations.organization'),
        ),
        migrations.AddConstraint(
            model_name='domainclaim',
            constraint=models.CheckConstraint(condition=models.Q(('host__regex', '^[a-z0-9.-]+$')), name='domainclaim_host_is_lower_case'),
        ),
        migrations.AddConstraint(
            model_name='domainclaim',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('organization', 'host'), name='domainclaim_one_of_a_host'),
        ),
        migrations.RunSQL(
            sql=["GRANT UPDATE (use) ON organizations_domain TO ks_platform"],
            reverse_sql=["REVOKE UPDATE (use) ON organizations_domain FROM ks_platform"],
        ),
        migrations.RunSQL(
            sql=["REVOKE DELETE ON organizations_domainclaim FROM ks_platform"],
            reverse_sql=["GRANT DELETE ON organizations_domainclaim TO ks_platform"],
        ),
    ]
