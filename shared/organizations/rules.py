"""What an organization may be called, and what of it can never change."""

from __future__ import annotations

import re

# One DNS label (RFC 1035 2.3.1) that is also easy to say: 3 to 40 characters, no double hyphen
# (RFC 5890 keeps `xn--` and its like for itself).
_SLUG = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){1,38}[a-z0-9]\Z")
SLUG_CHARACTERS_MIN = 3
SLUG_CHARACTERS_MAX = 40

RESERVED_SLUGS = frozenset(
    """
    about account accounts admin administrator api app apps assets auth autoconfig autodiscover billing
    blog cdn console dashboard demo-internal dev docs email events example files ftp gateway git grafana
    health help hooks host id identity imap internal invoice issuer keys keystead kms live local localhost
    login logout mail matcher media metrics monitor mta mx news ns ns1 ns2 oauth operator operators ops
    partner partners payments platform pop postmaster private prod production public register relay root
    sandbox security signin signup smtp sso staff staging static status stripe support system test testing
    token vpn webhook webhooks webmail worker wpad www
    """.split()
)


def slug_problem(slug: str) -> str | None:
    """Why `slug` cannot name an organization, None when it can."""
    if not slug.isascii():
        return "use the letters a to z, digits and hyphens only"
    if slug != slug.lower():
        return "use lower case: host names know no other"
    if not SLUG_CHARACTERS_MIN <= len(slug) <= SLUG_CHARACTERS_MAX:
        return f"use {SLUG_CHARACTERS_MIN} to {SLUG_CHARACTERS_MAX} characters"
    if not _SLUG.match(slug):
        return "start with a letter, end with a letter or digit, and put single hyphens between"
    if slug in RESERVED_SLUGS:
        return "this name is reserved for the platform"
    return None
