"""Which messages have had their effect: a row that commits with it."""
