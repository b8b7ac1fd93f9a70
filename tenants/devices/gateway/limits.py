"""What one socket may do. A limit on everything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a gateway process and of each of its sockets."""

    authenticate_within_s: float = 10
    heartbeat_interval_ms: int = 20_000
    silence_max_s: float = 50
    """A socket that says nothing for so long is closed: two heartbeats may be missed."""
    frame_bytes_max: int = 32_768
    """A probe of 2,048 dimensions takes 10,924 characters."""
    frames_per_second: float = 20
    frames_burst: int = 40
    faults_max: int = 20
    """Refused frames after which a socket is closed."""
    in_flight_max: int = 4
    """Frames of one socket that are being worked on at the same time."""
    send_queue_max: int = 64
    send_within_s: float = 10
    """A device that does not take a frame for so long is closed."""
    recheck_interval_s: float = 2
    """How often revocations and commands are looked up, whatever became of the hints."""
    redeliver_after_s: float = 15
    presence_interval_s: float = 5
    slow_handlers_max: int = 12
    """Frames of all sockets that wait for the matcher or a provider, each on a thread."""
    slow_handlers_per_organization: int = 6
    """Those of one organization: while its provider is silent the others' devices are served all the same."""
