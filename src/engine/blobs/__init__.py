"""Append-only storage outside the database, and the erasure journal in it. Imports no Django."""
