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


# RFC 1123 2.1: labels of letters, digits and inner hyphens. The last one is no number, so this is no address.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
HOST_CHARACTERS_MAX = 230
"""Room for the label of the challenge in front of it."""


def host_problem(host: str, *, base_domain: str) -> str | None:
    """Why `host` cannot be an organization's own domain, None when it can."""
    if not host.isascii():
        return "write it as DNS does (xn--...)"
    if host != host.lower():
        return "use lower case"
    if len(host) > HOST_CHARACTERS_MAX or not _HOST.match(host):
        return "this is not a host name such as id.example.com"
    if f".{host}".endswith((f".{base_domain}", ".localhost")):
        return "this name is the platform's own"
    return None
