"""What happened in an organization: facts in the order of their sealed numbers."""
