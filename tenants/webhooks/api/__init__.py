"""HTTP of the webhooks app."""
