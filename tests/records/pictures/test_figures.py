"""Tests that figures do not depend on the settings of the user."""

from __future__ import annotations

from typing import Any

import pytest

from records.pictures.figures import encode_figure, figure_style

matplotlib = pytest.importorskip("matplotlib")
SETTINGS: tuple[dict[str, Any], ...] = (
    {"text.usetex": True},
    {"font.family": "Nonsense", "font.size": 31},
    {"savefig.dpi": 20, "savefig.format": "pdf", "savefig.bbox": "tight"},
    {"axes.facecolor": "red", "figure.autolayout": True, "image.cmap": "jet"},
    {"backend": "pdf"},
)


def draw() -> bytes:
    from matplotlib.figure import Figure

    with figure_style({"font.size": 9}):
        figure = Figure(figsize=(2, 2))
        figure.subplots().set_title("$x_{ b$")
        return encode_figure(figure)


@pytest.mark.parametrize("settings", SETTINGS)
def test_encode_figure_any_settings_give_same_bytes(settings: dict[str, Any]) -> None:
    expected = draw()
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        assert draw() == expected
        assert dict(matplotlib.rcParams) == before
