"""The example in docs/how-to/feature-stores.md, read by the described reader."""

import re
from pathlib import Path

import msgspec
import xxhash

from trainers.features.manifest import decode_manifest, encode_manifest, file_identity

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "feature-stores.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```json\n(.*?)```", PAGE, re.DOTALL))
CONTENT = EXAMPLES["features.json"].encode()


def test_features_page_manifest_example_is_canonical() -> None:
    assert encode_manifest(decode_manifest(CONTENT, path="features.json")) == CONTENT


def test_features_page_file_identity_matches_documented_hash() -> None:
    fields, manifest = msgspec.json.decode(CONTENT), decode_manifest(CONTENT, path="features.json")
    for shard, facts in zip(manifest.shards, fields["shards"], strict=True):
        content = msgspec.json.encode([2, fields["spec"], facts], order="sorted")
        assert file_identity(manifest.spec, shard) == xxhash.xxh3_128_hexdigest(content)
