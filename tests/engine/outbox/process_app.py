"""What the worker processes of test_processes.py import: the real worker, and handlers to watch.

The handlers leave rows in the inbox table, the one table that any organization's role may write here.
"""

from __future__ import annotations

import time
from uuid import uuid4

from config.worker import broker
from engine.inbox.models import InboxMessage
from engine.outbox import handler

__all__ = ["broker"]


@handler("test.effect")
def effect(*, message):
    """Writes an effect, then takes its time before it commits: a kill hits it in the middle."""
    InboxMessage.objects.create(id=uuid4(), name=f"effect:{message.payload['word']}")
    time.sleep(float(message.payload.get("seconds", "0.02")))


@handler("test.slow", queue="webhooks", transactional=False)
def slow(*, message):
    """Longer than a lease."""
    InboxMessage.objects.create(id=uuid4(), name=f"started:{message.payload['word']}")
    time.sleep(float(message.payload["seconds"]))
    InboxMessage.objects.create(id=uuid4(), name=f"finished:{message.payload['word']}")
