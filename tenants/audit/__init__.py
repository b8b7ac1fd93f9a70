"""Who did what in an organization: a sealed log for auditors."""
