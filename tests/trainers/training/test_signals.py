"""Tests of deferred signals."""

from __future__ import annotations

import os
import signal

import pytest

from trainers.training.signals import defer_signals

pytestmark = pytest.mark.usefixtures("hears_ctrl_c")


def test_defer_signals_first_signal_is_raised_at_next_check() -> None:
    with defer_signals() as stop:
        stop.raise_if_requested()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_requested
    with pytest.raises(KeyboardInterrupt):
        stop.raise_if_requested()


def test_defer_signals_second_signal_raises_immediately() -> None:
    with defer_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_requested
