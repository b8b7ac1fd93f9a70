"""The operators' pages (Django's admin), on the platform's host alone. They write through services only."""
