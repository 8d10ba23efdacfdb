"""Run many independent tasks: in this process, in a pool of processes, or on a Dask cluster.

The same function and the same tasks give the same output wherever they run; that is a contract test.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from kaname.core import tables
from kaname.core.errors import InputError, KanameError, MissingDependencyError
from kaname.core.jobs import JobStore, TaskOutput
from kaname.core.progress import progress

log = logging.getLogger("kaname")

PARENT_CHECK_S = 2.0
WORKER_CHECK_S = 30.0
WORKER_PATIENCE_S = 300.0
"""A cluster may have no workers for so long: a batch system may still be starting them."""


@dataclass(frozen=True)
class Task:
    """One call of a function: a key that names everything the result depends on, and its arguments."""

    key: str
    subject: str
    """What it works on, for people: a station-day, a file."""
    arguments: tuple[Any, ...]


Function = Callable[..., TaskOutput]
"""A module-level function, so that another process can import it."""


def execute(
    function: Function,
    tasks: Sequence[Task],
    *,
    label: str,
    workers: int = 1,
    cluster: str | None = None,
    store: JobStore | None = None,
) -> Iterator[tuple[Task, TaskOutput]]:
    """Run ``function(*task.arguments)`` for every task and yield each output when it is there.

    The order is that of completion; sort what you build from it. A task that raises or whose process dies
    yields a ``failures`` table in place of its output, is not stored, and is tried again by the next run.

    Parameters
    ----------
    function
        Module-level function returning tables by name.
    tasks
        What to run; keys must be unique.
    label
        What the progress bar says.
    workers
        Processes to use; 1 runs in this process, and so does a task that is the only one.
    cluster
        Address of a Dask scheduler, such as ``tcp://host:8786``, in place of local processes. Its workers
        must have this version of Kaname and see the same files.
    store
        Where finished outputs are kept and taken from.

    Raises
    ------
    InputError
        For fewer than one worker, or keys that are not unique.
    KanameError
        When the cluster cannot be reached.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    if len({t.key for t in tasks}) < len(tasks):
        raise InputError("task keys must be unique")
    with progress(label, len(tasks)) as advance:
        pending = []
        for task in tasks:
            output = None if store is None else store.get(task.key)
            if output is None:
                pending.append(task)
            else:
                yield task, output
                advance(1)
        if len(pending) < len(tasks):
            log.info("%s: %d of %d finished by an earlier run", label, len(tasks) - len(pending), len(tasks))
        if cluster:
            results = _on_cluster(function, pending, cluster)
        elif workers == 1 or len(tasks) < 2:
            results = ((t, _call(function, t)) for t in pending)
        else:
            results = _in_processes(function, pending, min(workers, len(pending)))
        for task, (output, finished) in results:
            if store is not None and finished:
                store.put(task.key, output)
            yield task, output
            advance(1)


@dataclass(frozen=True)
class Engine:
    """Where the work is done and its results are kept."""

    workers: int = 1
    cluster: str | None = None
    store: JobStore | None = None

    def run(self, function: Function, tasks: Sequence[Task], label: str) -> list[TaskOutput]:
        """Run tasks and return their outputs in the order of the tasks."""
        outputs = {
            task.key: output
            for task, output in execute(
                function, tasks, label=label, workers=self.workers, cluster=self.cluster, store=self.store
            )
        }
        return [outputs[task.key] for task in tasks]


Outcome = tuple[TaskOutput, bool]
"""Output, and whether the task finished."""


def _call(function: Function, task: Task) -> Outcome:
    """Run one task; whatever goes wrong with it becomes a row, so that the others go on."""
    try:
        return function(*task.arguments), True
    except KanameError as error:
        return _failed(task, type(error).__name__, str(error)), False
    except Exception as error:  # the boundary of a batch: the defect is listed, and the rest goes on
        log.debug("task %s", task.subject, exc_info=True)
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{error} (at {place.name}, line {place.lineno}; this is a defect, please report it)"
        return _failed(task, type(error).__name__, message), False


def _failed(task: Task, error: str, message: str) -> TaskOutput:
    row = {"step": "run", "subject": task.subject, "error": error, "message": message}
    return {"failures": tables.table([row], tables.FAILURES)}


def _in_processes(function: Function, tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Outcome]]:
    # A few tasks ahead keep the workers busy; not all of them, to bound memory.
    queue = list(reversed(tasks))
    suspects: list[Task] = []
    while queue:
        with _pool(workers) as pool:
            running: dict[Future[Outcome], Task] = {}
            try:
                while queue or running:
                    while queue and len(running) < 2 * workers:
                        task = queue[-1]
                        running[pool.submit(_call, function, task)] = task
                        queue.pop()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcome = future.result()
                        yield running.pop(future), outcome
            except BrokenProcessPool:
                suspects.extend(running.values())
    for task in suspects:  # a worker died: find out which task killed it, each in a process of its own
        yield task, _alone(function, task)


def _alone(function: Function, task: Task) -> Outcome:
    with _pool(1) as pool:
        try:
            return pool.submit(_call, function, task).result()
        except BrokenProcessPool:
            message = "its process was killed, perhaps for want of memory; run it again with fewer workers"
            return _failed(task, "ProcessKilled", message), False


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not fork: numba and BLAS threads do not survive it.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: a killed run leaves nothing behind."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return

    def watch(pid: int = parent.pid) -> None:
        # The pipes that would tell are held open by the other workers, so the process itself is asked after.
        while True:
            time.sleep(PARENT_CHECK_S)
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(function: Function, tasks: Sequence[Task], address: str) -> Iterator[tuple[Task, Outcome]]:
    try:
        dask: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingDependencyError("--cluster needs Dask: pip install 'kaname[cluster]'") from error
    try:
        client = dask.Client(address, timeout="20s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise KanameError(f"cannot reach the Dask scheduler at {address}: {error}") from error
    with client:
        waiting = list(reversed(tasks))
        suspects: list[Task] = []
        running: dict[Any, Task] = {}
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        while waiting or running or suspects:
            alone = not waiting and not running
            if alone:  # workers died: find out which task killed them, each with nothing beside it
                waiting.append(suspects.pop())
            ahead = max(2, 2 * sum(client.ncores().values()))
            while waiting and len(running) < ahead:
                task = waiting.pop()
                future = client.submit(_call, function, task, pure=False)
                running[future] = task
                future.add_done_callback(done.put)
            future = _next(done, client, address)
            task = running.pop(future)
            try:
                outcome = future.result()
            except Exception as error:  # a task never raises: this one was lost with its worker
                log.debug("task %s", task.subject, exc_info=True)
                if not alone:
                    suspects.append(task)
                    continue
                outcome = _failed(task, type(error).__name__, f"lost on the cluster: {error}"), False
            yield task, outcome


def _next(done: queue.SimpleQueue[Any], client: Any, address: str) -> Any:
    """Wait for the next future; a cluster without workers is told, and after a while given up."""
    without = 0.0
    while True:
        try:
            return done.get(timeout=WORKER_CHECK_S)
        except queue.Empty:
            without = 0.0 if client.ncores() else without + WORKER_CHECK_S
        if without >= WORKER_PATIENCE_S:
            raise KanameError(
                f"the Dask scheduler at {address} has had no workers for {without:.0f} s; start some and run "
                "this again: what is finished is kept"
            )
        if without:
            log.warning("the Dask scheduler at %s has no workers; waiting for some", address)
