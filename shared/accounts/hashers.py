"""How passwords are hashed; named by PASSWORD_HASHERS in the settings."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet, 2025).

    Django's own figures take 100 MiB and eight threads for each attempt: whoever sends wrong passwords
    in parallel would exhaust a small machine.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
