"""What a schema is made of, as text that two schemas can be compared by."""

from __future__ import annotations

import re
import subprocess

from provisioning import schemas


def structure(*, database_url: str, schema: str, role: str) -> str:
    """pg_dump of one schema with its privileges, without the schema's and role's own names.

    `database_url` is a superuser's: it sees everything.
    """
    done = subprocess.run(
        [schemas.pg_dump_path(), "--schema-only", "--no-owner", f"--schema={schema}", f"--dbname={database_url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    text = re.sub(r"\\(un)?restrict \S+", "", done.stdout)
    # PostgreSQL prints the cast of an array of literals to text[] as one cast; reading that back, it
    # casts each element. The two mean the same, and the first turns into the second on every reload.
    text = re.sub(r"\(ARRAY\[([^\]]*)\]\)::text\[\]", _cast_each, text)
    return text.replace(role, "ROLE").replace(schema, "SCHEMA")


def _cast_each(array: re.Match[str]) -> str:
    return f"ARRAY[{', '.join(f'({element})::text' for element in array.group(1).split(', '))}]"
