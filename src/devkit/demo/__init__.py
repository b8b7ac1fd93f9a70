"""`keystead demo`: the main job, told and checked with real processes."""

from devkit.demo.run import run

__all__ = ["run"]
