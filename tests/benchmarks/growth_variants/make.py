"""Makes organizations' roles and schemas from the baked script: numbers FIRST to LAST, the last excluded.

python -m tests.benchmarks.growth_variants.make FIRST LAST
"""

from __future__ import annotations

import sys

import django


def main() -> None:
    first, last = (int(argument) for argument in sys.argv[1:])
    django.setup()
    from provisioning import schemas
    from tests.benchmarks.growth_variants.child import name_of

    script = schemas.baked_script()
    with schemas.owner_connection() as raw:
        for number in range(first, last):
            with raw.transaction():
                schemas.make(raw, script=script, schema=name_of(number), role=name_of(number))


if __name__ == "__main__":
    main()
