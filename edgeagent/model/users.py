"""Users: who may ask from where, how they prove who they are, and what they may."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from edgeagent.model.callers import ANYBODY

MOST_USERS, MOST_TOKENS = 256, 16
"""Of one agent; of one user."""

UserName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
Role = Literal["viewer", "operator", "engineer", "administrator"]
Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Function = Annotated[str, Meta(pattern=r"^[A-Za-z]{1,32}\.[A-Za-z]{1,64}$")]
_Time = Annotated[datetime, Meta(tz=True)]
_Text = Annotated[str, Meta(max_length=128)]


class _Kept(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    pass


class Token(_Kept, frozen=True, kw_only=True):
    """What is kept of a token: never the token.

    Attributes:
        id: names it to people. sha256: see `tokens.digest`. expires: None for never.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    sha256: Fingerprint
    created: _Time
    expires: _Time | None = None
    label: _Text = ""


class User(_Kept, frozen=True, kw_only=True):
    """Somebody who may ask.

    Attributes:
        role, functions: what the user may; one of the two, an explicit list in place of a role.
        fingerprints: SHA-256 of client certificates. common_names: of their subjects; any that the CA made counts.
        changed_by: the account of the computer that changed the user last.
        revoked: since when the user may nothing; None where it may.
    """

    name: UserName
    role: Role | None = None
    functions: Annotated[tuple[_Function, ...], Meta(max_length=128)] | None = None
    tokens: Annotated[tuple[Token, ...], Meta(max_length=MOST_TOKENS)] = ()
    fingerprints: Annotated[tuple[Fingerprint, ...], Meta(max_length=MOST_TOKENS)] = ()
    common_names: Annotated[tuple[_Text, ...], Meta(max_length=MOST_TOKENS)] = ()
    created: _Time
    changed_by: _Text = ""
    revoked: _Time | None = None

    def __post_init__(self) -> None:
        if (self.role is None) == (self.functions is None):
            raise ValueError(f"the user {self.name} has a role or functions, one of the two")
        if self.name == ANYBODY:
            raise ValueError(f"{ANYBODY} is the name of those who did not say who they are")

    @property
    def may(self) -> str:
        """What the user may, for people."""
        return self.role or ", ".join(self.functions or ()) or "nothing"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a client's certificate, which the CA of the configuration made, says of it."""

    fingerprint: str
    common_name: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, and what proved that it is this one.

    Attributes:
        proof: id of a token, or fingerprint of a certificate. expires: the end of the proof; None for never.
        fault: why it may nothing, in a clause: the user is revoked, or the proof has expired.
    """

    user: User
    proof: Token | Certificate
    fault: str | None

    @property
    def expires(self) -> datetime | None:
        """The end of the proof; None for never."""
        return self.proof.expires


def by_digest(users: Iterable[User], digest: str, now: datetime) -> Identity | None:
    """Find who has the token of a digest; takes as long for one that nobody has as for any other."""
    found: Identity | None = None
    for user in users:
        for token in user.tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = Identity(user, token, _fault(user, token, now))
    return found


def by_certificate(users: Iterable[User], certificate: Certificate, now: datetime) -> Identity | None:
    """Find whose certificate it is; a fingerprint goes before a name."""
    named: Identity | None = None
    for user in users:
        if certificate.fingerprint in user.fingerprints:
            return Identity(user, certificate, _fault(user, certificate, now))
        if named is None and certificate.common_name and certificate.common_name in user.common_names:
            named = Identity(user, certificate, _fault(user, certificate, now))
    return named


def renewed(users: Iterable[User], identity: Identity, now: datetime) -> Identity | None:
    """See what became of who was identified before; None where the user or the proof is there no more."""
    if isinstance(identity.proof, Token):
        return by_digest(users, identity.proof.sha256, now)
    return by_certificate(users, identity.proof, now)


def as_now(users: Iterable[User], name: str, proof: str | Certificate, now: datetime) -> User | None:
    """Find a user by name; None where it is there no more, is revoked, or what proved that it is this one is over.

    Args:
        proof: a certificate, or the id of a token; empty where nothing is known of it.
    """
    if isinstance(proof, Certificate):
        found = by_certificate(users, proof, now)
        return found.user if found and found.user.name == name and found.fault is None else None
    user = next((user for user in users if user.name == name and user.revoked is None), None)
    if user is None or not proof:
        return user
    token = next((each for each in user.tokens if each.id == proof), None)
    return None if token is None or _fault(user, token, now) else user


def _fault(user: User, proof: Token | Certificate, now: datetime) -> str | None:
    if user.revoked is not None:
        return f"the user {user.name} was revoked"
    if proof.expires is not None and proof.expires <= now:
        return f"{'this token' if isinstance(proof, Token) else 'this certificate'} has expired"
    return None


class UserChange(NamedTuple):
    """What became another of one user, in a clause; and the account of the computer that changed it."""

    user: str
    what: str
    by: str


def changes(before: Iterable[User], now: Iterable[User]) -> Iterator[UserChange]:
    """Tell what users are another than before."""
    old, new = ({user.name: user for user in users} for users in (before, now))
    for name in sorted(old.keys() | new.keys()):
        was, now_is = old.get(name), new.get(name)
        if now_is is None:
            yield UserChange(name, "was taken out of the file", "")
        elif was is None:
            yield UserChange(name, f"was added and may {now_is.may}", now_is.changed_by)
            yield from (UserChange(name, what, now_is.changed_by) for what in _proofs(None, now_is))
        else:
            yield from (UserChange(name, what, now_is.changed_by) for what in _differences(was, now_is))


def _differences(was: User, now_is: User) -> Iterator[str]:
    if was.may != now_is.may or was.functions != now_is.functions:
        yield f"may {now_is.may}, before {was.may}"
    if now_is.revoked is not None and was.revoked is None:
        yield "was revoked"
    elif was.revoked is not None and now_is.revoked is None:
        yield "is allowed again"
    yield from _proofs(was, now_is)


def _proofs(was: User | None, now_is: User) -> Iterator[str]:
    old, new = _names(was) if was else set(), _names(now_is)
    yield from (f"got the {each}" for each in sorted(new - old))
    yield from (f"lost the {each}" for each in sorted(old - new))


def _names(user: User) -> set[str]:
    return {
        *(f"token {token.id}" for token in user.tokens),
        *(f"certificate {fingerprint[:16]}" for fingerprint in user.fingerprints),
        *(f"certificates of {name}" for name in user.common_names),
    }
