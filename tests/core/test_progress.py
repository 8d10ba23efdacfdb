"""Progress goes to stderr, says how many, how fast and how long still, and never disturbs results."""

from __future__ import annotations

import logging
import sys

import pytest

from kaname.core import progress as module
from kaname.core.progress import progress


def test_nothing_goes_to_stdout(capsys, caplog):
    caplog.set_level(logging.INFO, "kaname")
    with progress("Count", 3) as advance:
        for _ in range(3):
            advance(1)
    assert capsys.readouterr().out == ""
    assert "Count: 3 of 3" in caplog.text


def test_a_log_has_a_line_now_and_then_with_rate_and_time_left(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "kaname")
    clock = iter(range(0, 1000, 10))
    # Of this module alone: other threads tell the time as well.
    monkeypatch.setattr(module, "monotonic", lambda: float(next(clock)))
    with progress("Count", 4) as advance:
        for _ in range(4):
            advance(1)
    lines = [r.getMessage() for r in caplog.records]
    # Every 10 s an item, a line at most every 15 s: after 20 s and after 40 s, then the last.
    assert lines[0] == "Count: 2 of 4, 0.1/s, 20 s left"
    assert lines[1] == "Count: 4 of 4, 0.1/s, 0 s left"
    assert lines[2] == "Count: 4 of 4 in 50.0 s"
    assert len(lines) == 3


def test_a_terminal_gets_a_bar_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("Count", 2) as advance:
        advance(1)
        advance(1)
    told = capsys.readouterr()
    assert told.out == ""
    assert "Count" in told.err


def test_no_work_says_nothing(caplog, capsys):
    caplog.set_level(logging.INFO, "kaname")
    with progress("Count", 0):
        pass
    told = capsys.readouterr()
    assert (told.out, told.err, caplog.text) == ("", "", "")


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), progress("Count", 2):
        raise ZeroDivisionError
