"""The command line: one file per verb, loaded only when that verb is called.

A verb is a file of this folder without a leading underscore. The first line of its docstring is its line in
``kaname --help``; its function ``command`` (or its ``app``, for a family such as ``archive add``) is what
runs; its pydantic class ``Settings``, if it has one, is what ``kaname config VERB`` prints: ``docs/cli.md``.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from os import devnull
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from kaname import __version__
from kaname.core.errors import ExitCode, InputError, KanameError


def verbs() -> dict[str, str]:
    """Return the verbs and, for each, the line that says what it does, without importing any."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    return {f.stem.replace("_", "-"): f.open(encoding="utf-8").readline().strip('"\n ') for f in files}


def verb_module(verb: str) -> ModuleType:
    """Import the file of a verb.

    Raises
    ------
    InputError
        When there is no such verb.
    """
    if verb not in verbs():
        raise InputError(f"no verb {verb!r}; known are {', '.join(verbs())}")
    return import_module(f"kaname.cli.{verb.replace('-', '_')}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (see `kaname.core.errors.ExitCode`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # No global option takes a value, so the first bare word is the verb.
    n_global = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    try:
        try:
            _application("".join(words[n_global : n_global + 1]))(args=words, prog_name="kaname")
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has left (`kaname ... | head`); keep the interpreter from complaining at its last flush.
        sys.stdout = open(devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return 1
    except KanameError as error:
        if "--debug" in words[:n_global]:
            traceback.print_exception(error)
        else:
            sys.stderr.write(f"kaname: {error}\n")
        return int(error.exit_code)
    except OSError as error:
        if "--debug" in words[:n_global]:
            traceback.print_exception(error)
        else:
            sys.stderr.write(f"kaname: {_refused(error)}\n")
        return int(ExitCode.ERROR)
    return 0


def _refused(error: OSError) -> str:
    """Say what the system refused: a file where a folder should be, rights, space."""
    where = f"{error.filename}: " if error.filename else ""
    hint = ""
    if isinstance(error, FileExistsError | NotADirectoryError):
        hint = "; a file stands where a folder is expected, name another"
    return f"{where}{error.strerror or error}{hint}"


def _application(called: str) -> typer.Typer:
    """Build the application: the called verb in full, of the others only the name and the line of help."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for verb, line in verbs().items():
        module = verb_module(verb) if verb == called else None
        family = getattr(module, "app", None)
        if family is not None:
            app.add_typer(family, name=verb, short_help=line)
        else:
            app.command(verb, short_help=line)(getattr(module, "command", _not_loaded))
    return app


def _not_loaded() -> None:
    """Stand in for a verb that was not called."""


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what stderr is now, not to what it was when logging was set up: it may be closed by then."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kaname {__version__}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "-v",
            "--verbose",
            count=True,
            show_default=False,
            help="Say more on stderr; twice for everything.",
        ),
    ] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """From raw earthquake records to open archives, catalogues, models, forecasts and discoveries.

    Results go to stdout, logs and progress to stderr. Exit status: 0 done, 1 nothing could be done, 2 wrong
    usage or configuration, 3 done in part (see the failures table).
    """
    logger = logging.getLogger("kaname")
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
