"""HTTP of the usage app."""
