"""Tasks give the same outputs wherever they run, and one that fails or dies takes no other with it."""

from __future__ import annotations

import socket
import time

import pandas as pd
import pytest
import work

from kaname.core import execution, tables
from kaname.core.errors import InputError, KanameError
from kaname.core.execution import Task, execute
from kaname.core.jobs import JobStore


def squares(n, *more):
    return [Task(f"key-{i}", f"number {i}", (i, *more)) for i in range(n)]


def run(function, tasks, **where):
    return {task.key: output for task, output in execute(function, tasks, label="Test", **where)}


def failures(outputs):
    return {k: o["failures"].iloc[0] for k, o in outputs.items() if "failures" in o}


@pytest.fixture(params=["inline", "processes", "dask"])
def where(request):
    if request.param == "dask":
        return {"cluster": request.getfixturevalue("dask_cluster")}
    return {"workers": 1 if request.param == "inline" else 2}


@pytest.fixture(params=["processes", "dask"])
def elsewhere(request):
    return {"cluster": request.getfixturevalue("dask_cluster")} if request.param == "dask" else {"workers": 2}


def test_every_task_gives_its_output_once(where):
    seen = [task.key for task, _ in execute(work.square, squares(12), label="Test", **where)]
    assert sorted(seen) == sorted(t.key for t in squares(12))


def test_outputs_do_not_depend_on_where_they_are_made(where):
    outputs = run(work.square, squares(7), **where)
    for i in range(7):
        expected = pd.DataFrame({"number": [i], "square": [i * i]})
        pd.testing.assert_frame_equal(outputs[f"key-{i}"]["numbers"], expected)


def test_no_tasks_is_no_work(where):
    assert run(work.square, [], **where) == {}


def test_a_failing_task_becomes_a_row_and_the_others_go_on(where):
    moods = ["", "ours", "", "defect", ""]
    outputs = run(work.moody, [Task(f"{i}", f"task {i}", (i, how)) for i, how in enumerate(moods)], **where)
    failed = failures(outputs)
    assert set(failed) == {"1", "3"}
    assert failed["1"]["error"] == "FormatError"
    assert failed["1"]["message"] == "file 1 is empty"
    assert failed["1"]["subject"] == "task 1"
    assert failed["3"]["error"] == "ZeroDivisionError"
    assert "defect" in failed["3"]["message"]
    for output in outputs.values():
        tables.validate(output.get("failures", tables.empty(tables.FAILURES)), tables.FAILURES)
    assert [outputs[k]["numbers"]["square"].item() for k in "024"] == [0, 4, 16]


def test_a_task_that_kills_its_process_is_told_from_the_others(elsewhere):
    moods = ["", "", "kill", "", "", ""]
    outputs = run(
        work.moody, [Task(f"{i}", f"task {i}", (i, how)) for i, how in enumerate(moods)], **elsewhere
    )
    assert set(failures(outputs)) == {"2"}
    assert failures(outputs)["2"]["subject"] == "task 2"
    assert sorted(o["numbers"]["number"].item() for k, o in outputs.items() if k != "2") == [0, 1, 3, 4, 5]


def test_a_task_that_leaves_its_process_is_told_from_the_others():
    moods = ["exit", "", "exit", ""]
    outputs = run(work.moody, [Task(f"{i}", f"task {i}", (i, how)) for i, how in enumerate(moods)], workers=2)
    assert {k: row["error"] for k, row in failures(outputs).items()} == dict.fromkeys("02", "ProcessKilled")


def test_a_task_that_killed_its_process_cannot_kill_the_resumed_run(tmp_path):
    tasks = [Task(f"{i}", f"task {i}", (i, how)) for i, how in enumerate(["", "kill"])]
    with JobStore(tmp_path / "jobs.sqlite") as store:
        for _ in range(2):
            outputs = run(work.moody, tasks, workers=2, store=store)
            assert set(failures(outputs)) == {"1"}


def test_finished_tasks_are_not_run_again(where, tmp_path):
    log = tmp_path / "calls"
    log.mkdir()
    with JobStore(tmp_path / "jobs.sqlite") as store:
        first = run(work.square, squares(5, log), store=store, **where)
        assert len(list(log.iterdir())) == 5
        second = run(work.square, squares(8, log), store=store, **where)
    assert len(list(log.iterdir())) == 8
    for key, output in first.items():
        pd.testing.assert_frame_equal(output["numbers"], second[key]["numbers"])


def test_a_failed_task_is_tried_again(where, tmp_path):
    file = tmp_path / "late"
    tasks = [Task(f"{i}", f"task {i}", (i, file)) for i in range(3)]
    with JobStore(tmp_path / "jobs.sqlite") as store:
        assert len(failures(run(work.needs_file, tasks, store=store, **where))) == 3
        assert len(store) == 0
        file.touch()
        assert failures(run(work.needs_file, tasks, store=store, **where)) == {}
        assert len(store) == 3


def test_a_broken_off_run_keeps_what_was_finished(tmp_path):
    log = tmp_path / "calls"
    log.mkdir()
    with JobStore(tmp_path / "jobs.sqlite") as store:
        running = execute(work.square, squares(6, log), label="Test", store=store)
        for _ in range(3):
            next(running)
        running.close()
    with JobStore(tmp_path / "jobs.sqlite") as store:
        assert len(store) == 3
        assert len(run(work.square, squares(6, log), store=store)) == 6
    assert len(list(log.iterdir())) == 6


def test_wrong_calls_are_refused():
    with pytest.raises(InputError, match="at least 1, found 0"):
        run(work.square, squares(2), workers=0)
    with pytest.raises(InputError, match="unique"):
        run(work.square, [*squares(2), *squares(1)])


@pytest.mark.slow
def test_an_unreachable_scheduler_is_one_error_within_bounded_time():
    with socket.socket() as taken:  # a port at which nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(KanameError, match=r"cannot reach the Dask scheduler at tcp://127\.0\.0\.1"):
            run(work.square, squares(2), cluster=address)
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("address", ["nonsense://here", "tcp://no-port"])
def test_an_address_that_is_none_is_one_error(address):
    with pytest.raises(KanameError, match="cannot reach the Dask scheduler"):
        run(work.square, squares(2), cluster=address)


def test_a_cluster_without_workers_is_told_and_given_up(monkeypatch, caplog):
    from distributed import LocalCluster

    monkeypatch.setattr(execution, "WORKER_CHECK_S", 0.2)
    monkeypatch.setattr(execution, "WORKER_PATIENCE_S", 0.5)
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0") as cluster,
        pytest.raises(KanameError, match="has had no workers"),
    ):
        run(work.square, squares(2), cluster=cluster.scheduler_address)
    assert "has no workers; waiting" in caplog.text
