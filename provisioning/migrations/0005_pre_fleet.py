"""Runs over the fleet and their ledger: the owner writes them, the platform's role reads."""

import django.db.models.deletion
import engine.clock
import engine.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0005_pre_validate_life'),
        ('provisioning', '0004_pre_add_backup'),
    ]

    operations = [
        migrations.CreateModel(
            name='FleetRun',
            fields=[
                ('id', models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=engine.clock.utc_now, editable=False)),
                ('status', models.CharField(choices=[('running', 'Running'), ('paused', 'Paused'), ('stopped', 'Stopped'), ('failed', 'Failed'), ('succeeded', 'Succeeded')], default='running', max_length=16)),
                ('target', models.CharField(max_length=64)),
                ('phase', models.CharField(max_length=8)),
                ('canaries', models.JSONField(default=list)),
                ('jobs', models.PositiveSmallIntegerField()),
                ('lock_timeout_ms', models.PositiveIntegerField()),
                ('failures_max', models.CharField(max_length=12)),
                ('pause_requested', models.BooleanField(default=False)),
                ('wave', models.CharField(blank=True, default='', max_length=16)),
                ('organizations', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['running', 'paused', 'stopped', 'failed', 'succeeded'])), name='fleetrun_status_known'), models.CheckConstraint(condition=models.Q(('phase__in', ['pre', 'post', 'all'])), name='fleetrun_phase_known'), models.UniqueConstraint(condition=models.Q(('status__in', ['running', 'paused'])), fields=('phase',), name='fleetrun_one_open_of_a_phase')],
            },
        ),
        migrations.CreateModel(
            name='FleetStep',
            fields=[
                ('id', models.UUIDField(default=engine.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=engine.clock.utc_now, editable=False)),
                ('app', models.CharField(max_length=60)),
                ('migration', models.CharField(max_length=200)),
                ('path', models.CharField(max_length=8)),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], max_length=8)),
                ('attempts', models.PositiveIntegerField(default=1)),
                ('error', models.CharField(blank=True, default='', max_length=300)),
                ('duration_ms', models.FloatField(default=0)),
                ('updated_at', models.DateTimeField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('state', 'done'), _negated=True), fields=['state'], name='fleetstep_not_done')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['running', 'done', 'failed'])), name='fleetstep_state_known'), models.CheckConstraint(condition=models.Q(('path__in', ['sql', 'django'])), name='fleetstep_path_known'), models.UniqueConstraint(fields=('organization', 'app', 'migration'), name='fleetstep_once')],
            },
        ),
        # The ledger's rows commit with what they tell of, so their writer is the owner.
        migrations.RunSQL(
            sql=["REVOKE INSERT, UPDATE, DELETE ON provisioning_fleetrun, provisioning_fleetstep FROM ks_platform"],
            reverse_sql=migrations.RunSQL.noop,
        ),
    ]
