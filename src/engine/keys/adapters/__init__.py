"""One module per key management service."""
