from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("audit", "0004_pre_index_actor")]

    operations = [
        AddIndexConcurrently("entry", models.Index(fields=["created_at"], name="audit_entry_created_at")),
    ]
