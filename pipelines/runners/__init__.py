"""Runners, which process shards in this process or on Beam."""

from pipelines.runners.driver import check_runner, map_shards, run_on_shards

__all__ = ["check_runner", "map_shards", "run_on_shards"]
