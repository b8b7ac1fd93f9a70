"""The platform's staff: what each may do, and when they look into an organization."""
