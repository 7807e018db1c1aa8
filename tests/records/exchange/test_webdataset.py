from __future__ import annotations

import pytest

from records.exchange.webdataset import sample_name


@pytest.mark.parametrize(
    ("key", "kind", "previous", "name", "extension"),
    [
        (b"cat/17.jpg", "jpeg", b"", b"cat/17", b"jpg"),
        (b"cat/17.JPEG", "jpeg", b"", b"cat/17", b"JPEG"),
        (b"cat.s/17.png", "png", b"", b"cat.s/17", b"png"),
        (b"cat/17.gif", "png", b"", b"cat/17%2Egif", b"png"),
        (b"cat/17.5.jpg", "jpeg", b"", b"cat/17%2E5%2Ejpg", b"jpg"),
        (b"cat/17", "png", b"", b"cat/17", b"png"),
        (b".png", "png", b"", b"%2Epng", b"png"),
        (b"cat/17.png", "png", b"cat/17", b"cat/17%2Epng", b"png"),
        (b"cat/17", "png", b"cat/17", b"cat/17~2", b"png"),
        (b"../a//b\0/./x.png", "png", b"", b"%2E%2E/a/b%00/%2E/x", b"png"),
        (b"s3://b/x.png", "png", b"", b"b/x", b"png"),
        (b"/x.png", "png", b"", b"x", b"png"),
        (b"", "png", b"", b"image", b"png"),
        (b"\xff.png", "png", b"", b"\xff", b"png"),
        (b"__cat__/17.png", "png", b"", b"%5F_cat__/17", b"png"),
        (b"a/__cat__/17.png", "png", b"", b"a/__cat__/17", b"png"),
        (b"__17__.png", "png", b"", b"__17__", b"png"),
        (b"a.b\nc/17.png", "png", b"", b"a.b%0Ac/17", b"png"),
    ],
)  # fmt: skip
def test_sample_name_has_no_dot_and_differs_from_previous(
    key: bytes, kind: str, previous: bytes, name: bytes, extension: bytes
) -> None:
    assert sample_name(key, kind, previous) == (name, extension)  # type: ignore[arg-type]
