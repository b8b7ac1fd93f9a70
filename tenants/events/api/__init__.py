"""HTTP of the events app."""
