"""The operators' log over HTTP, on the platform's host."""
