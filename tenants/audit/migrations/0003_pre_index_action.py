from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("audit", "0002_pre_add_source")]

    operations = [
        AddIndexConcurrently("entry", models.Index(fields=["action", "id"], name="audit_entry_action")),
    ]
