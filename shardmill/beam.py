"""PTransforms that read a dataset in your own Beam pipeline.

    import apache_beam as beam
    from shardmill.beam import ReadRecords

    with beam.Pipeline() as pipeline:
        pipeline | ReadRecords("data", "train") | beam.Map(lambda record: record.key)

Needs the extra `beam`.
"""

from __future__ import annotations

from records.runtime.extras import require_extra

require_extra("apache_beam", "beam")

from pipelines.transforms import ReadExamples, ReadRecords  # noqa: E402

__all__ = ["ReadExamples", "ReadRecords"]
