"""The application for a server: `uvicorn matcher.app:app`, or `python -m matcher`."""

from __future__ import annotations

import logging

from engine.keys.material import forbid_core_dumps
from matcher.assembly import build
from matcher.settings import load

_settings = load()
logging.basicConfig(level=_settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
forbid_core_dumps()

app = build(_settings)
