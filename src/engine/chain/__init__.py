"""Sealed logs: rows written unnumbered with the act, numbered and hash-chained afterwards.

A number taken at insert commits out of order, so a reader of "everything after 7" would miss 6; a
chain extended inside the act's transaction would make an organization's acts wait for each other. So
each row also leaves a *pending* mark, and a sealer, one at a time, gives the committed rows their place.
"""
