"""``python -m devkit.sandbox --port 8300 --state .keystead/sandbox``."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from devkit.sandbox.app import Sandbox
from devkit.sandbox.store import Store


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m devkit.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of its SQLite file")
    parser.add_argument("--seed", type=int, default=0, help="of the fault rates")
    parser.add_argument("--log-level", default="warning")
    arguments = parser.parse_args()
    store = Store(arguments.state)
    try:
        uvicorn.run(
            Sandbox(store, seed=arguments.seed),
            host=arguments.host,
            port=arguments.port,
            log_level=arguments.log_level,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    finally:
        store.close()


if __name__ == "__main__":
    main()
