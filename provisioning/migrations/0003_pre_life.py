"""An organization's end: two operators, and what became of everything."""

import django.db.models.deletion
import engine.clock
import engine.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0005_pre_validate_life'),
        ('provisioning', '0002_pre_ready_schemas'),
    ]

    operations = [
        migrations.CreateModel(
            name='Offboarding',
            fields=[
                ('id', models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=engine.clock.utc_now, editable=False)),
                ('reason', models.CharField(max_length=500)),
                ('status_before', models.CharField(blank=True, default='', max_length=16)),
                ('requested_by', models.CharField(max_length=64)),
                ('requested_by_display', models.CharField(max_length=254)),
                ('approved_by', models.CharField(blank=True, default='', max_length=64)),
                ('approved_by_display', models.CharField(blank=True, default='', max_length=254)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('grace_ends_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_by', models.CharField(blank=True, default='', max_length=64)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
                ('final_at', models.DateTimeField(blank=True, null=True)),
                ('archive', models.JSONField(blank=True, null=True)),
                ('keys', models.JSONField(blank=True, null=True)),
                ('keys_destroyed_at', models.DateTimeField(blank=True, null=True)),
                ('schema_dropped_at', models.DateTimeField(blank=True, null=True)),
                ('role_dropped_at', models.DateTimeField(blank=True, null=True)),
                ('certificate', models.TextField(blank=True, default='')),
                ('flow', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='offboarding', to='provisioning.flow')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='offboardings', to='organizations.organization')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('cancelled_at', None)), fields=('organization',), name='offboarding_one_open'), models.CheckConstraint(condition=models.Q(('approved_by', models.F('requested_by')), _negated=True), name='offboarding_two_operators'), models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', ''), ('grace_ends_at', None)), models.Q(models.Q(('approved_by', ''), _negated=True), ('approved_at__isnull', False), ('grace_ends_at__isnull', False)), _connector='OR'), name='offboarding_approved_as_a_whole'), models.CheckConstraint(condition=models.Q(('final_at', None), models.Q(('approved_at__isnull', False), ('cancelled_at', None)), _connector='OR'), name='offboarding_final_after_approval')],
            },
        ),
        migrations.RunSQL(
            sql=[
                "REVOKE DELETE ON provisioning_offboarding FROM ks_platform",
            ],
            reverse_sql=[
                "GRANT DELETE ON provisioning_offboarding TO ks_platform",
            ],
        ),
    ]
