"""Configuration: a pydantic model per verb, TOML on disk, every key explained where it is printed."""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, to_jsonable_python

from kaname.core.errors import InputError, NotFoundError, StorageError

_WIDTH = 100
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of every configuration: immutable, defaults checked, an unknown key is an error.

    Give each key a ``Field(default, description="what it means [unit]")``; a nested model is a section.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def load_settings(cls: type[Model], path: str | Path | None) -> Model:
    """Read settings from a TOML file; ``None`` gives the defaults.

    Types are checked strictly: the text ``"5"`` is not taken for the number 5.

    Raises
    ------
    NotFoundError
        When there is no such file.
    InputError
        When it is not TOML, has an unknown key, or a value of a wrong type or out of its bounds.
    """
    if path is None:
        return cls()
    source = Path(path)
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"no such configuration file: {source}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{source} is not TOML: {error}") from error
    except OSError as error:
        raise StorageError(f"cannot read {source}: {error.strerror or error}") from error
    return settings_of(cls, data, str(source))


def settings_of(cls: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """Return settings from a mapping that a file held, such as the properties of a GeoJSON feature.

    Parameters
    ----------
    cls
        Class of the settings.
    data
        Values by key.
    where
        What a message calls the mapping, such as its file.

    Raises
    ------
    InputError
        When there is an unknown key, or a value of a wrong type or out of its bounds.
    """
    try:
        # Strict by way of JSON: arrays serve as tuples and text as paths, but text never as a number.
        return cls.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        problems = [_explain(cls, detail) for detail in error.errors()]
        raise InputError("\n  ".join([f"{where}: wrong configuration", *problems])) from error


def _explain(cls: type[BaseModel], detail: ErrorDetails) -> str:
    """Say what was found at one key and what was expected."""
    where = [str(part) for part in detail["loc"]]
    key = ".".join(where)
    known = list(_keys(cls))
    if detail["type"] == "extra_forbidden":
        # The right key in a wrong section is as likely as a misspelling.
        near = [k for k in known if k.rsplit(".", 1)[-1] == where[-1]]
        near = near or get_close_matches(key, known, n=1, cutoff=0.5)
        there = ", ".join(near or known)
        return f"{key}: no such key; {'did you mean' if near else 'known are'} {there}{'?' if near else ''}"
    if detail["type"] == "missing":
        return f"{key}: this key has no default and must be given"
    return f"{key}: found {detail['input']!r}; {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _keys(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in cls.model_fields.items():
        yield prefix + name
        section = _model_class(field.annotation)
        if section is not None:
            yield from _keys(section, f"{prefix}{name}.")


def _model_class(annotation: Any) -> type[BaseModel] | None:
    """Return the model in ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def to_toml(settings: type[BaseModel] | BaseModel) -> str:
    """Write settings (of a class: its defaults) as TOML with each key's meaning, bounds and default above it.

    What is not set stands as a comment, so the text always reads back as the same settings.

    Raises
    ------
    InputError
        When a key whose default is a value was set to ``None``, which TOML cannot express.
    """
    return "\n".join(_section(settings, "")).strip("\n") + "\n"


def _section(settings: type[BaseModel] | BaseModel, name: str, several: bool = False) -> Iterator[str]:
    cls = settings if isinstance(settings, type) else type(settings)
    if name:
        yield f"\n[[{name}]]" if several else f"\n[{name}]"
    yield from _comment(cls.__doc__ or "")
    sections: list[tuple[str, type[BaseModel] | BaseModel, bool, bool]] = []
    for key, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        value = default if isinstance(settings, type) else getattr(settings, key)
        nested, many = _model_class(field.annotation), get_origin(field.annotation) is tuple
        if isinstance(value, BaseModel) or (isinstance(value, type) and issubclass(value, BaseModel)):
            sections.append((key, value, many, True))
            continue
        if nested is not None and (value is None or value is PydanticUndefined or value == ()):
            sections.append((key, nested, many, value is PydanticUndefined))
            continue
        yield ""
        yield from _comment(_meaning(field, default))
        if value is None or value is PydanticUndefined:
            if value is None and default not in (None, PydanticUndefined):
                raise InputError(f"{key} is None, which TOML cannot express; its default is {default!r}")
            yield f"# {key} ="
        else:
            yield f"{key} = {_value(to_jsonable_python(value, inf_nan_mode='constants'))}"
    for key, nested_settings, many, present in sections:
        lines = _section(nested_settings, f"{name}.{key}" if name else key, many)
        if present:
            yield from lines
        else:
            # A section that may be left out, or stand any number of times: all of it is a comment.
            yield ""
            yield from ("# " + line if line else "#" for line in "\n".join(lines).strip("\n").split("\n"))


def _meaning(field: FieldInfo, default: Any) -> str:
    """Return the description, and in a second paragraph the default with the bounds or choices."""
    said = (field.description or "").rstrip(".")
    if default is PydanticUndefined:
        limits = ["Must be given"]
    elif default is None:
        limits = ["Not set by default"]
    else:
        limits = [f"Default: {_value(to_jsonable_python(default, inf_nan_mode='constants'))}"]
    limits += [
        f"{sign} {getattr(m, b)}" for m in field.metadata for b, sign in _BOUNDS.items() if hasattr(m, b)
    ]
    choices = [c for a in (field.annotation, *get_args(field.annotation)) for c in _choices(a)]
    if choices:
        limits.append("one of " + ", ".join(_value(c) for c in choices))
    return f"{said[:1].upper()}{said[1:]}.\n\n{'; '.join(limits)}" if said else "; ".join(limits)


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _comment(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph:
            yield from textwrap.wrap(
                " ".join(paragraph.split()), _WIDTH, initial_indent="# ", subsequent_indent="# "
            )


def _value(value: Any) -> str:
    """Return a plain value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        pairs = (f"{_value(str(k))} = {_value(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    raise InputError(f"cannot write {value!r} ({type(value).__name__}) as TOML")
