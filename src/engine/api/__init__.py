"""How every HTTP API of the platform speaks: ids, problems, pages, limits, documents."""
