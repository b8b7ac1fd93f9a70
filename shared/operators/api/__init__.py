"""Operators over HTTP, on the platform's host."""
