"""`edgeagent users`: the users' file is changed as a whole; a token is shown once and kept as its hash."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import secrets
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from edgeagent.clock import iso
from edgeagent.errors import StoreError
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.tokens import digest, new_token
from edgeagent.model.users import MOST_TOKENS, MOST_USERS, Token, User
from edgeagent.store.users import Users, change, read, users_file
from edgeagent.tools import stores, tables
from firmware_iface.map_values import near

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path


class UserCommands:
    """One command on the users of the agent that the options name.

    Raises:
        ConfigError: the configuration cannot be used.
        StoreError: the file cannot be used, or the command does not fit what is in it; nothing is changed then.
    """

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self._file = users_file(stores.named(options))
        self._now = datetime.now(UTC).replace(microsecond=0)

    def run(self) -> bool:
        """Do it; says whether it went well."""
        {"add": self._add, "list": self._list, "revoke": self._revoke, "grant": self._grant, "token": self._token}[
            self._options.what]()
        return True

    def _add(self) -> None:
        options = self._options
        fingerprints = () if options.certificate is None else (fingerprint(options.certificate),)
        names = () if options.common_name is None else (options.common_name,)
        text, token = (None, None) if fingerprints or names else self._made()
        user = self._checked(User, {
            "name": options.name, **self._rights(), "tokens": () if token is None else (token,),
            "fingerprints": fingerprints, "common_names": names, "created": self._now, "changed_by": account(),
        })  # fmt: skip

        def edit(users: Users) -> Users:
            if any(each.name == user.name for each in users):
                raise StoreError(f"there is a user {user.name} already: users grant changes what it may, users token "
                                 "makes another token, users revoke ends it")  # fmt: skip
            if len(users) >= MOST_USERS:
                raise StoreError(f"there are {MOST_USERS} users already")
            return (*users, user)

        change(self._file, edit)
        self._show(user, text, token)

    def _list(self) -> None:
        users = read(self._file)
        if self._options.json:
            print(json.dumps({"users": [_described(user) for user in users]}, ensure_ascii=False))
            return
        rows = [("NAME", "MAY", "SHOWS", "EXPIRES", "LABEL")]
        for user in users:
            may = user.may if user.revoked is None else f"revoked {tables.local(_iso(user.revoked))}"
            shows = [(f"token {token.id}", _until(token, self._now), token.label) for token in user.tokens]
            shows += [(f"certificate {each[:16]}", "with it", "") for each in user.fingerprints]
            shows += [(f"certificate of {each}", "with it", "") for each in user.common_names]
            rows += [(user.name, may, *shown) for shown in shows or [("nothing", "", "")]]
        print("\n".join(tables.table(rows, tables.width(), whole=1)) if users else f"{self._file}: no users")

    def _revoke(self) -> None:
        wanted = self._options.token

        def edit(user: User) -> User:
            if wanted is None:
                return replace(user, tokens=(), fingerprints=(), common_names=(), revoked=user.revoked or self._now)
            kept = tuple(token for token in user.tokens if token.id != wanted)
            if len(kept) == len(user.tokens):
                known = ", ".join(token.id for token in user.tokens) or "none"
                raise StoreError(f"{user.name} has no token {wanted}; it has {known}")
            return replace(user, tokens=kept)

        user = self._changed(edit)
        self._say(user, f"{user.name} is revoked" if wanted is None else f"the token {wanted} of {user.name} is gone")

    def _grant(self) -> None:
        rights = self._rights()
        user = self._changed(lambda user: replace(user, **rights, revoked=None))
        bare = "" if user.tokens or user.fingerprints or user.common_names else "; make a token with users token"
        self._say(user, f"{user.name} may {user.may}{bare}")

    def _token(self) -> None:
        text, token = self._made()

        def edit(user: User) -> User:
            if user.revoked is not None:
                raise StoreError(f"{user.name} was revoked: say with users grant what it may, then make a token")
            if len(user.tokens) >= MOST_TOKENS:
                raise StoreError(f"{user.name} has {MOST_TOKENS} tokens already: revoke one")
            return replace(user, tokens=(*user.tokens, token))

        self._show(self._changed(edit), text, token)

    def _changed(self, edit: Any) -> User:
        """Change the user that the options name."""
        name = self._options.name
        found: list[User] = []

        def edit_all(users: Users) -> Users:
            if all(user.name != name for user in users):
                known = ", ".join(user.name for user in users) or "none"
                raise StoreError(f"there is no user {name} in {self._file}; there is {known}")
            changed = tuple(replace(edit(user), changed_by=account()) if user.name == name else user for user in users)
            found.extend(user for user in changed if user.name == name)
            return changed

        change(self._file, edit_all)
        return found[0]

    def _made(self) -> tuple[str, Token]:
        text = new_token()
        expires = None if self._options.expires is None else self._now + self._options.expires
        return text, self._checked(Token, {"id": secrets.token_hex(4), "sha256": digest(text), "created": self._now,
                                           "expires": expires, "label": self._options.label})  # fmt: skip

    def _rights(self) -> dict[str, Any]:
        functions = self._options.functions
        for name in functions or ():
            if name not in FUNCTIONS:
                meant = near(name, FUNCTIONS)
                raise StoreError(f"there is no function {name}" + (f"; {meant}" if meant else ""))
        return {"role": self._options.role, "functions": None if functions is None else tuple(dict.fromkeys(functions))}

    def _checked(self, kind: Any, members: dict[str, Any]) -> Any:
        """Make what will be read again; raises StoreError."""
        try:
            return msgspec.convert(msgspec.to_builtins(kind(**members), builtin_types=(datetime,)), kind)
        except ValueError as error:
            raise StoreError(str(error)) from None

    def _show(self, user: User, text: str | None, token: Token | None) -> None:
        """Show a user and, this once, its new token: that alone on standard output, so that it can go to a file."""
        if self._options.json:
            print(json.dumps({"user": _described(user), "token": text}, ensure_ascii=False))
        elif text is None or token is None:
            print(f"{user.name} may {user.may}, with its certificate")
        else:
            ends = f"ends {tables.local(_iso(token.expires))}" if token.expires else "never ends"
            print(f"{user.name} may {user.may}; the token {token.id} {ends}. It is shown this once:", file=sys.stderr)
            print(text)

    def _say(self, user: User, text: str) -> None:
        print(json.dumps({"user": _described(user)}, ensure_ascii=False) if self._options.json else text)


def fingerprint(file: Path) -> str:
    """SHA-256 of the first certificate of a PEM file; raises StoreError."""
    import ssl  # noqa: PLC0415  for certificates only

    try:
        text = file.read_text(encoding="ascii")
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[begin:end])).hexdigest()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise StoreError(f"{file}: holds no certificate as PEM") from None


def account() -> str:
    """The account of this computer that asks for a change."""
    try:
        return (os.environ.get("SUDO_USER") or getpass.getuser())[:128]
    except (KeyError, OSError):
        return str(os.getuid())


def _described(user: User) -> dict[str, Any]:
    """A user for programs: all but the hashes of its tokens."""
    plain: dict[str, Any] = msgspec.to_builtins(user)
    for token in plain["tokens"]:
        del token["sha256"]
    return plain


def _iso(moment: datetime) -> str:
    return iso(round(moment.timestamp() * 1e9))


def _until(token: Token, now: datetime) -> str:
    if token.expires is None:
        return "never"
    return f"{'expired ' if token.expires <= now else ''}{tables.local(_iso(token.expires))}"
