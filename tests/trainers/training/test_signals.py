"""A signal waits for a moment that suits; it is never lost, and a second one does not wait."""

from __future__ import annotations

import os
import signal

import pytest

from trainers.training.signals import defer_signals

pytestmark = pytest.mark.usefixtures("hears_ctrl_c")


def test_a_signal_waits_and_is_obeyed_also_after_the_block() -> None:
    with defer_signals() as stop:
        stop.obey()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_made
    with pytest.raises(KeyboardInterrupt):
        stop.obey()


def test_a_second_signal_does_not_wait() -> None:
    with defer_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_made
