"""`python -m engine.keys create|disable|enable|schedule-deletion|destroy|show FOLDER [NAME]`.

Works on the key files of the file KMS; other KMSes have their own consoles.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from engine.keys.adapters import file
from engine.keys.kms import KmsError

_VERBS = ("create", "disable", "enable", "schedule-deletion", "destroy", "show")


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; 0 when done, 1 with one line on stderr when refused."""
    parser = argparse.ArgumentParser(prog="python -m engine.keys", description=__doc__)
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", nargs="?", default=file.DEFAULT_KEY_ID)
    options = parser.parse_args(arguments)
    try:
        done = _run(options.verb, options.folder.absolute(), options.name)
    except (KmsError, file.KeyExists, ValueError) as error:
        sys.stderr.write(f"{options.verb}: {error}\n")
        return 1
    sys.stdout.write(f"{done}\n")
    return 0


def _run(verb: str, folder: Path, name: str) -> str:
    if verb == "create":
        file.create_key(folder, name)
        return f"{name} created; KEYSTEAD_KMS_URL=file://{folder}?key_id={name}"
    if verb == "disable":
        file.set_state(folder, name, "disabled")
    elif verb == "enable":
        file.set_state(folder, name, "enabled")
    elif verb == "schedule-deletion":
        deletion_at = datetime.now(UTC) + file.MINIMUM_DELETION_WAIT
        file.set_state(folder, name, "pending_deletion", deletion_at=deletion_at)
        return f"{name} is pending_deletion; it can be destroyed from {deletion_at:%Y-%m-%d %H:%M} UTC"
    elif verb == "destroy":
        file.destroy_key(folder, name)
        return f"{name} destroyed"
    return f"{name} is {file.FileKms(folder).state(key_id=name)}"


if __name__ == "__main__":
    sys.exit(main())
