"""The platform's settings, with outbox options for the processes of one test."""

import json
import os

from config.settings import *  # noqa: F403 - settings are a namespace

OUTBOX = json.loads(os.environ["TEST_OUTBOX"])
