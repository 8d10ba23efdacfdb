"""Users of an archive and their hashed secrets, in one file that only its owner may read."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kaname.archive.index import Stamp
from kaname.core.errors import FormatError, InputError, NotFoundError, StorageError

USERS_NAME = "access-users.json"
LEAST_PASSWORD = 10
"""Characters of the shortest password."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_N, _R, _P = 2**15, 8, 1
_MEMORY_BYTES = 64 << 20
_REMEMBERED = 1024


class Users:
    """Users, their groups, and hashes of their passwords; read again when the file changes.

    Kept per user are a salted scrypt hash (RFC 7914), against which `check` compares a password, and, where
    HTTP digest authentication is wanted, HA1 = MD5(user:realm:password) (RFC 7616). What it means that HA1 is
    there says ``docs/access.md``.

    Raises
    ------
    StorageError
        When the file cannot be read, or others than its owner may read it.
    FormatError
        When it is no file of users.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: Stamp | None = None
        self._rows: dict[str, dict[str, Any]] = {}
        # Of passwords that were right, so that not every request costs the price of a guess.
        self._right: set[bytes] = set()
        self._pepper = secrets.token_bytes(32)
        self._read()

    def _read(self) -> None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._rows = None, {}
            self._right.clear()
            return
        stamp = Stamp.of(status)
        if stamp == self._stamp:
            return
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise StorageError(
                f"{self.path} has mode {stat.S_IMODE(status.st_mode):04o}: others may read the secrets; "
                f"run: chmod 600 {self.path}"
            )
        try:
            rows = json.loads(self.path.read_bytes())["users"]
            if not all({"groups", "salt", "scrypt"} <= set(row) for row in rows.values()):
                raise KeyError("a user without groups, salt or scrypt")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(
                f"{self.path} is no file of users: {error}; it is written by kaname archive user"
            ) from error
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror or error}") from error
        self._stamp, self._rows = stamp, rows
        self._right.clear()

    def __iter__(self) -> Iterator[str]:
        self._read()
        return iter(sorted(self._rows))

    def __contains__(self, user: object) -> bool:
        self._read()
        return user in self._rows

    def groups(self, user: str) -> frozenset[str]:
        """Return the groups of a user."""
        self._read()
        return frozenset(self._rows[user]["groups"])

    def check(self, user: str, password: str) -> bool:
        """Tell whether a password is the user's; an unknown user takes as long as a wrong password."""
        self._read()
        row = self._rows.get(user)
        proof = hashlib.blake2b(f"{user}\0{password}".encode(), key=self._pepper).digest()
        if row is not None and proof in self._right:
            return True
        salt = bytes(16) if row is None else bytes.fromhex(row["salt"])
        found = _scrypt(password, salt)
        right = row is not None and hmac.compare_digest(found, bytes.fromhex(row["scrypt"]))
        if right:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(proof)
        return right

    def digest(self, user: str, realm: str) -> str | None:
        """Return HA1 of HTTP digest authentication, or ``None`` when none is kept for this user and realm."""
        self._read()
        row = self._rows.get(user, {})
        return str(row["ha1"]) if row.get("ha1") and row.get("realm") == realm else None

    def put(
        self, user: str, password: str, realm: str, *, groups: Iterable[str] = (), digest: bool = True
    ) -> None:
        """Add a user, or change the password and groups of one.

        Parameters
        ----------
        user
            Letters, digits and ``._@+-``.
        password
            At least `LEAST_PASSWORD` characters.
        realm
            Realm of the policy; HA1 is valid in it alone.
        groups
            Groups of the user.
        digest
            Keep HA1, without which FDSN clients cannot use ``queryauth``.

        Raises
        ------
        InputError
            When a name cannot be one, or the password is too short.
        StorageError
            When the disk refuses.
        """
        groups = sorted(set(groups))
        if not _NAME.fullmatch(user):
            raise InputError(f"{user!r} cannot be a user: up to 64 letters, digits and ._@+- are allowed")
        for group in groups:
            if not _GROUP.fullmatch(group):
                raise InputError(f"{group!r} cannot be a group: up to 64 letters, digits and ._- are allowed")
        if len(password) < LEAST_PASSWORD or not password.isprintable():
            raise InputError(f"a password needs at least {LEAST_PASSWORD} printable characters")
        salt = secrets.token_bytes(16)
        row: dict[str, Any] = {
            "groups": groups,
            "salt": salt.hex(),
            "scrypt": _scrypt(password, salt).hex(),
        }
        if digest:
            ha1 = hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()
            row |= {"realm": realm, "ha1": ha1}
        self._read()
        self._write({**self._rows, user: row})

    def remove(self, user: str) -> None:
        """Forget a user.

        Raises
        ------
        NotFoundError
            When there is no such user.
        """
        if user not in self:
            raise NotFoundError(f"no user {user!r} in {self.path}")
        self._write({name: row for name, row in self._rows.items() if name != user})

    def _write(self, rows: dict[str, dict[str, Any]]) -> None:
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"users": rows}, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._read()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY_BYTES)
