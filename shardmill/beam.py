"""PTransforms that read and write datasets in your own Beam pipeline.

    import apache_beam as beam
    from shardmill.beam import ReadRecords, WriteDataset

    with beam.Pipeline() as pipeline:
        pipeline | ReadRecords("data", "train") | beam.Map(lambda record: record.key)

    with beam.Pipeline() as pipeline:
        row = beam.Row(key="rose/1.jpg", label="rose", uri="s3://photos/1.jpg")
        pipeline | beam.Create([row]) | WriteDataset("s3://datasets/flowers", test=0.2)

Needs the extra `beam`.
"""

from __future__ import annotations

from records.runtime.extras import require_extra

require_extra("apache_beam", "beam")

from pipelines.transforms import ReadExamples, ReadRecords, WriteDataset  # noqa: E402

__all__ = ["ReadExamples", "ReadRecords", "WriteDataset"]
