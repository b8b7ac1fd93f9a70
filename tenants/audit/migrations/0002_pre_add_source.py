"""Where an act came from, and through what."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_pre_initial")]

    operations = [
        migrations.AddField(
            model_name="entry",
            name="address",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="entry",
            name="through",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
    ]
