"""A payment provider on loopback that speaks Stripe's wire format, for development, tests and the
demo.

It moves no money, keeps what it did across a kill, and can be told to fail in every way that
matters.
"""
