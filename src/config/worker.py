"""The worker processes: `dramatiq config.worker --queues default payments webhooks`.

The one that holds the owner's login runs the queue `provisioning`, and no other does.
"""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - the worker module needs the apps

from engine.keys.material import forbid_core_dumps  # noqa: E402
from engine.outbox.worker import build_broker  # noqa: E402

# This process opens the secrets tree.
forbid_core_dumps()
broker = build_broker(settings)
