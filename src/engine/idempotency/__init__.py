"""A repeated command has one effect and one answer: keys, stored answers, leases."""
