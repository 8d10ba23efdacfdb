"""What is known by name: plug-ins of one kind, put there by a decorator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Generic, TypeVar

from kaname.core.errors import InputError, NotFoundError

T = TypeVar("T")
C = TypeVar("C")


class Registry(Generic[T]):
    """Plug-ins of one kind by name; no two may be called the same.

    Parameters
    ----------
    kind, kinds
        What one and what several are called in messages, such as ``picker`` and ``pickers``.
    modules
        Modules that put their plug-ins there when they are imported, which is at the first question. What
        a plug-in needs beyond our own dependencies it imports when it is made.
    """

    def __init__(self, kind: str, kinds: str, modules: Sequence[str] = ()) -> None:
        self.kind, self.kinds, self.modules = kind, kinds, tuple(modules)
        self._added: dict[str, T] = {}

    def add(self, name: str, item: T) -> None:
        """Make a plug-in known under a name.

        Raises
        ------
        InputError
            When the name is taken.
        """
        if name in self._added:
            raise InputError(f"two {self.kinds} are called {name!r}")
        self._added[name] = item

    def decorator(self, name: str) -> Callable[[C], C]:
        """Return a class decorator that makes the class known under ``name``; errors as `add`."""

        def register(cls: C) -> C:
            self.add(name, cls)  # type: ignore[arg-type]
            return cls

        return register

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._known())

    def find(self, name: str, *, variants: bool = False) -> T:
        """Return the plug-in that a name stands for.

        With ``variants`` what follows a colon is for the plug-in, and not part of the name.

        Raises
        ------
        NotFoundError
            When there is none of that name; the message lists those that there are.
        """
        base = name.partition(":")[0] if variants else name
        known = self._known()
        if base not in known:
            raise NotFoundError(f"no {self.kind} {name!r}; known are {', '.join(self.names()) or 'none'}")
        return known[base]

    def items(self) -> list[tuple[str, T]]:
        """Return names and plug-ins, in order of name."""
        return sorted(self._known().items())

    def _known(self) -> dict[str, T]:
        for module in self.modules:
            import_module(module)
        return self._added
