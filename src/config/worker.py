"""The worker processes: `dramatiq config.worker --queues default payments webhooks`.

The one that holds the owner's login runs the queues `provisioning` and `archives`, and no other does.
"""

from __future__ import annotations

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402 - the worker module needs the apps
from dramatiq.middleware import Middleware  # noqa: E402

from engine.keys.material import forbid_core_dumps  # noqa: E402
from engine.outbox.worker import build_broker  # noqa: E402
from provisioning.keeper import PoolKeeper  # noqa: E402


class _Pool(Middleware):
    """Keeps schemas ready while the provisioner runs."""

    def after_worker_boot(self, *_: Any) -> None:
        self.keeper = PoolKeeper()
        self.keeper.start()

    def before_worker_shutdown(self, *_: Any) -> None:
        self.keeper.stop()


# This process opens the secrets tree.
forbid_core_dumps()
broker = build_broker(settings)
if settings.HOLDS_OWNER_LOGIN:
    broker.add_middleware(_Pool())
