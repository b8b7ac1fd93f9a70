"""What the platform's staff did, and why: an append-only log in the public schema."""
