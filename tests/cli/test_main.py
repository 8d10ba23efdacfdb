"""The command line as a whole: help without imports, exit status, one message for an error, quiet pipes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kaname
from kaname import cli
from kaname.cli import main, verb_module, verbs
from kaname.core import errors

COMMAND = [sys.executable, "-c", "import sys; from kaname.cli import main; sys.exit(main())"]


@pytest.fixture
def verb(monkeypatch):
    """Let ``kaname doctor`` do what a test says."""

    def install(function):
        monkeypatch.setattr(verb_module("doctor"), "command", function)

    return install


@pytest.mark.parametrize("name", verbs())
def test_every_verb_is_a_file_that_explains_itself(name, capsys):
    module = verb_module(name)
    assert hasattr(module, "command") or hasattr(module, "app")
    assert verbs()[name] == module.__doc__.strip().splitlines()[0]
    assert verbs()[name].endswith(".")
    assert main([name, "--help"]) == 0
    assert f"kaname {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", verbs())
def test_every_key_of_every_configuration_is_explained(name):
    def explained(model, prefix=""):
        for key, field in model.model_fields.items():
            nested = getattr(field.annotation, "model_fields", None)
            assert nested or field.description, f"{name}: {prefix}{key} has no description"
            if nested:
                explained(field.annotation, f"{prefix}{key}.")

    settings = getattr(verb_module(name), "Settings", None)
    if settings is None:
        return
    assert settings.model_config["extra"] == "forbid"
    explained(settings)


def test_help_lists_every_verb_and_imports_none():
    code = (
        "import sys; from kaname.cli import main; main(['--help']);"
        "sys.exit(','.join(m for m in sys.modules if m.startswith('kaname.') and m.count('.') > 1"
        " and not m.startswith('kaname.core')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
    for name, line in verbs().items():
        assert f"  {name} " in done.stdout
        assert line[:30] in done.stdout


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kaname {kaname.__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["no-such-verb"], ["--no-such-option"], ["config"], ["config", "a", "b"]]
)
def test_wrong_usage_is_2(words, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert "kaname" in out + err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InputError, 2),
        (errors.FormatError, 1),
        (errors.StorageError, 1),
        (errors.MissingDependencyError, 1),
    ],
)
def test_our_error_is_one_message_and_its_status(verb, error, status, capsys):
    def command():
        raise error("found this, expected that")

    verb(command)
    assert main(["doctor"]) == status
    out, err = capsys.readouterr()
    assert (out, err) == ("", "kaname: found this, expected that\n")
    assert main(["--debug", "doctor"]) == status
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_of_ours_is_not_hidden(verb):
    def command():
        raise ZeroDivisionError("a defect")

    verb(command)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_a_verb_that_finished_in_part_is_3(verb):
    import typer

    def command():
        raise typer.Exit(errors.ExitCode.PARTIAL)

    verb(command)
    assert main(["doctor"]) == 3


@pytest.mark.parametrize(
    ("flags", "level"), [([], "WARNING"), (["-v"], "INFO"), (["-vv"], "DEBUG"), (["-vvv"], "DEBUG")]
)
def test_logs_go_to_stderr_from_the_level_asked_for(flags, level):
    code = (
        "import logging, sys; from kaname import cli; from kaname.cli import doctor\n"
        "def command():\n"
        "    for level in (10, 20, 30): logging.getLogger('kaname.x').log(level, 'message')\n"
        "doctor.command = command; sys.exit(cli.main())"
    )
    done = subprocess.run([sys.executable, "-c", code, *flags, "doctor"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    said = [line.split()[2] for line in done.stderr.splitlines()]
    assert said == ["DEBUG", "INFO", "WARNING"][["DEBUG", "INFO", "WARNING"].index(level) :]


def test_ctrl_c_is_130(tmp_path):
    ready = tmp_path / "ready"
    code = (
        "import sys, time; from pathlib import Path; from kaname import cli; from kaname.cli import doctor\n"
        f"def command(): Path({str(ready)!r}).touch(); time.sleep(60)\n"
        "doctor.command = command; sys.exit(cli.main(['doctor']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not ready.exists():
        assert process.poll() is None, process.stderr.read()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_leaves_is_no_error_message():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*COMMAND, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 1


def test_a_refusal_of_the_system_is_one_line(verb, tmp_path, capsys):
    file = tmp_path / "a_file"
    file.write_text("")
    verb(lambda: (file / "below").mkdir(parents=True))
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"kaname: {file / 'below'}: Not a directory; a file stands where a folder is expected, name another"
    ]
    verb(lambda: file.mkdir(parents=True, exist_ok=True))
    assert main(["doctor"]) == 1
    assert "a folder is expected" in capsys.readouterr().err
    assert main(["--debug", "doctor"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_files_with_an_underscore_are_no_verbs():
    folder = Path(cli.__file__).parent
    assert set(verbs()) == {
        f.stem.replace("_", "-") for f in folder.glob("*.py") if not f.stem.startswith("_")
    }


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was():
    logger = logging.getLogger("kaname")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
