"""What stops the devkit with a message for its user instead of a traceback."""

from __future__ import annotations


class CannotRun(Exception):
    """The platform cannot be run here as asked; the message says why and what to do."""
