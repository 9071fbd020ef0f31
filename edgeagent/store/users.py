"""The users' file beside the store: read strictly, replaced as a whole, seen by the agent as soon as it changes."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeagent.errors import StoreError
from edgeagent.model.users import MOST_USERS, User

_MOST_BYTES = 4 << 20
_log = logging.getLogger(__name__)

Users = tuple[User, ...]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    layout: Literal[1]
    users: Annotated[Users, Meta(max_length=MOST_USERS)] = ()

    def __post_init__(self) -> None:
        users = self.users
        _require_once("the user", (user.name for user in users))
        _require_once("the token", (token.id for user in users for token in user.tokens))
        _require_once("the token with the hash", (token.sha256 for user in users for token in user.tokens))
        _require_once("the certificate", (each for user in users for each in user.fingerprints))
        _require_once("the common name", (each for user in users for each in user.common_names))


_DECODER = msgspec.json.Decoder(_Document)


def users_file(store: Path) -> Path:
    """Where the users of the agent with this store are."""
    return store.parent / "users.json"


def decoded(text: bytes) -> Users:
    """Read the text of a users' file; raises ValueError with what is wrong in it."""
    if len(text) > _MOST_BYTES:
        raise ValueError(f"it is over {_MOST_BYTES} bytes")
    try:
        return _DECODER.decode(text).users
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def encoded(users: Users) -> bytes:
    """Write users as the text of their file."""
    return msgspec.json.format(msgspec.json.encode(_Document(1, users)), indent=1) + b"\n"


def read(file: Path) -> Users:
    """Read a users' file; nobody where there is none.

    Raises:
        StoreError: it cannot be read, or is no file of users; it says what to do.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror} (give it to the user of the agent)") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{file}: is no file (put it aside)")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StoreError(f"{file}: may be written by others, so it proves nothing (chmod 600 {file})")
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            return decoded(opened.read(_MOST_BYTES + 1))
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror} (check the disk)") from None
    except ValueError as error:
        raise StoreError(f"{file}: is damaged: {error} (mend it, or put it aside and add the users anew)") from None
    finally:
        os.close(descriptor)


def change(file: Path, edit: Callable[[Users], Users]) -> Users:
    """Change the users while nobody else does; return what they are now. The agent may run.

    Raises:
        StoreError: the file cannot be read, which changes nothing, or not be written. Whatever `edit` raises.
    """
    try:
        with _locked(file):
            users = edit(read(file))
            text = encoded(users)
            decoded(text)  # what would not be read is not written
            _replace(file, text)
    except ValueError as error:
        raise StoreError(f"{file}: {error}") from None
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror} (do it as root, or as the user of the agent)"
                         ) from None  # fmt: skip
    return users


class KnownUsers:
    """The users as the running agent knows them: the file is looked at whenever somebody asks.

    Args:
        on_change: takes the users as they were when the file was well before, and as they are now.

    Attributes:
        generation: another number whenever they are others. fault: why nobody is known; None while the file is well.
    """

    def __init__(self, file: Path, on_change: Callable[[Users, Users], None] = lambda _, __: None) -> None:
        self._file = file
        self._on_change = on_change
        self._seen: tuple[int, ...] | None = None
        self._users: Users = ()
        self._good: Users | None = None
        self.generation = 0
        self.fault: str | None = None

    def begin(self, before: Users) -> None:
        """Tell what changed since the agent last knew them."""
        self._good = before
        self.now()

    def now(self) -> Users:
        """Who they are at this moment; nobody while the file cannot be used."""
        try:
            found = self._file.stat()
            seen: tuple[int, ...] = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        except FileNotFoundError:
            seen = ()
        except OSError:
            seen = (0,)
        if seen != self._seen or seen == (0,):
            self._read(seen)
        return self._users

    def health(self) -> str | None:
        """Why nobody is known; None while the file is well. Looks at it."""
        self.now()
        return self.fault

    def _read(self, seen: tuple[int, ...]) -> None:
        before, fault = self._users, self.fault
        try:
            self._users, self.fault = read(self._file), None
        except StoreError as error:
            self._users, self.fault = (), f"nobody is known: {error}"
            if self.fault != fault:
                _log.error("nobody is known: %s", error)
        self._seen = seen
        if self._users != before:
            self.generation += 1
        if self.fault is None:
            before_it = self._good
            self._good = self._users
            if before_it is not None and before_it != self._users:
                self._on_change(before_it, self._users)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock of a users' file; waits while another command has it."""
    lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _give(lock, file)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(file: Path, text: bytes) -> None:
    """Put a file in the place of another, so that whoever reads finds one of the two whole, also after a power cut."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            _give(descriptor, file)
            os.fchmod(descriptor, 0o600)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(descriptor: int, file: Path) -> None:
    """Give what root makes to whom the folder belongs: the agent, which must be able to read it."""
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _require_once(what: str, names: Iterator[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]} is there twice")
