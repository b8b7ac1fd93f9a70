from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("audit", "0003_pre_index_action")]

    operations = [
        AddIndexConcurrently("entry", models.Index(fields=["actor_id", "id"], name="audit_entry_actor")),
    ]
