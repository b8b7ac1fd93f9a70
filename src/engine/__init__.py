"""Machinery without business nouns: tenancy, outbox, keys, blobs, API conventions."""
