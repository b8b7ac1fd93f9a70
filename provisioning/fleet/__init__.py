"""Migrations of every organization's schema, beside people who are at work in them.

planning   what an organization at some fingerprint lacks, as hops; SQL made once per fingerprint
applying   one hop, one organization, one transaction
running    the fleet: waves, workers, thresholds, pause
platform   the public schema, which goes first
ledger     what was done to whom, in the transaction that did it
drift      what a schema really consists of, beside what it should
"""
