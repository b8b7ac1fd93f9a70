"""What Prometheus is told. Nothing of it names an organization or a person."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SEARCH_SECONDS = Histogram(
    "keystead_matcher_search_seconds",
    "Time of a 1:N search, with the loading of a gallery where that was needed",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LOAD_SECONDS = Histogram(
    "keystead_matcher_load_seconds", "Time to load a gallery", buckets=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30)
)
GALLERIES = Gauge("keystead_matcher_galleries", "Galleries in memory")
GALLERY_BYTES = Gauge("keystead_matcher_gallery_bytes", "Memory of all galleries")
DROPPED = Counter("keystead_matcher_galleries_dropped_total", "Galleries taken out of memory", ["reason"])
UNREADABLE = Counter(
    "keystead_matcher_unreadable_templates_total", "Templates that did not open under their own row's keys"
)
