"""Telling an organization's own servers what happened: signed, retried, logged."""
