"""Progress of long work: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

log = logging.getLogger("kaname")

LOG_INTERVAL_S = 15.0


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr while the block runs; call what it yields with the number of items done.

    On a terminal this is a bar; in a log file it is a line every `LOG_INTERVAL_S` seconds.
    """
    if total and sys.stderr.isatty():
        with _bar(label, total) as bar:
            yield bar
        return
    begun = last = monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = monotonic()
        if now - last >= LOG_INTERVAL_S:
            last = now
            rate = done / (now - begun)
            left = (total - done) / rate if rate else float("nan")
            log.info("%s: %d of %d, %.3g/s, %.0f s left", label, done, total, rate, left)

    yield advance
    if total:
        log.info("%s: %d of %d in %.1f s", label, done, total, monotonic() - begun)


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.3g}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(n: int) -> None:
            bar.advance(task, n)

        yield advance
