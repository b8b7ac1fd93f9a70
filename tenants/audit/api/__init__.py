"""HTTP of the audit app."""
