"""`python -m matcher`: one matcher process, listening where its settings say."""

from __future__ import annotations

import uvicorn

from matcher.settings import load


def main() -> None:
    """Serve until a signal says otherwise."""
    settings = load()
    uvicorn.run(
        "matcher.app:app",
        host=settings.matcher_host,
        port=settings.matcher_port,
        log_level=settings.log_level.lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
