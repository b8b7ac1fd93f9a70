"""One module per blob store."""
