"""Recipes, every version of each: none is ever changed, and deleting one only marks its versions."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgeagent.clock import instant_ns, iso
from edgeagent.errors import CommandRefused
from edgeagent.model.recipes import StoredRecipe
from edgeagent.store import meta
from edgeagent.store.checksums import checksum_of, fits

if TYPE_CHECKING:
    from edgeagent.model.boards import RecipeName
    from edgeagent.model.machine import Judging
    from edgeagent.store.database import Database

MOST = 2000
"""Versions that are kept, over all machines; deleted ones that no board record names give way."""

MOST_BYTES = 64 << 10
"""Of one version, as JSON."""

_NAMED = (
    "SELECT DISTINCT json_extract(body, '$.recipe.version') FROM boards WHERE recipe = ? AND machine = ?"
)
"""Versions of a recipe that the records of boards name."""

_log = logging.getLogger(__name__)


_FORMER = "settings before the recipe of "
"""Key in `meta`, with the machine's id."""


class Former(msgspec.Struct, frozen=True):
    """What a machine was set to before a recipe was written to it."""

    recipe: str
    version: int
    values: dict[str, float | str | bool]


class Made(NamedTuple):
    """A new version, and older ones that make room for it: written in somebody's transaction."""

    recipe: StoredRecipe
    body: bytes
    gone: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes held while it waits for the disk."""
        return len(self.body)

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        it, id_ = self.recipe, row_id(self.recipe)
        connection.executemany("DELETE FROM recipes WHERE id = ?", [(id_,) for id_ in self.gone])
        crc = checksum_of("recipes", {"id": id_, "deleted_ns": None, "body": self.body})
        connection.execute(
            "INSERT OR REPLACE INTO recipes(id, machine, name, version, made_ns, deleted_ns, crc, body) "
            "VALUES(?, ?, ?, ?, ?, NULL, ?, ?)",
            (id_, it.machine, it.name, it.version, instant_ns(it.made_at), crc, self.body),
        )


class Deleted(NamedTuple):
    """The mark on all versions of a recipe: written in somebody's transaction."""

    machine: str
    name: str
    at_ns: int
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        of_all = "SELECT id FROM recipes WHERE machine = ? AND name = ? AND deleted_ns IS NULL"
        for (id_,) in connection.execute(of_all, (self.machine, self.name)).fetchall():
            self._mark(connection, id_)

    def _mark(self, connection: sqlite3.Connection, id_: str) -> None:
        """Mark one version; one that is damaged stays so."""
        body, crc = connection.execute("SELECT body, crc FROM recipes WHERE id = ?", (id_,)).fetchone()
        row = {"id": id_, "deleted_ns": None, "crc": crc, "body": body}
        if fits("recipes", row):
            crc = checksum_of("recipes", row | {"deleted_ns": self.at_ns})
        connection.execute("UPDATE recipes SET deleted_ns = ?, crc = ? WHERE id = ?", (self.at_ns, crc, id_))


class Settled(NamedTuple):
    """A machine's recipe stands: what stood before is forgotten in somebody's transaction."""

    machine: str
    size: int = 0

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        meta.put(connection, _FORMER + self.machine, "")


class Recipes:
    """All recipes; on the event loop only. What is answered from memory may be on its way to the disk.

    Attributes:
        damaged: machine, name and version of what could not be read when the file was opened: the disk changed it.
        on_made: called with each new version.
    """

    def __init__(
        self, database: Database, found: Iterable[StoredRecipe], damaged: Iterable[tuple[str, str, int]] = ()
    ) -> None:
        self._database = database
        self._versions: dict[tuple[str, str], dict[int, StoredRecipe]] = {}
        self.damaged = tuple(damaged)
        self.on_made: list[Callable[[StoredRecipe], object]] = []
        for recipe in found:
            self._versions.setdefault((recipe.machine, recipe.name), {})[recipe.version] = recipe

    @classmethod
    async def open(cls, database: Database) -> Recipes:
        """Read all recipes; a damaged version is left out and logged."""
        return cls(database, *await database.read(_load))

    def get(self, machine: str, name: str, version: int | None = None) -> StoredRecipe | None:
        """One version, deleted or not; without a number the newest, of a recipe that is not deleted. None without."""
        versions = self._versions.get((machine, name), {})
        if version is not None:
            return versions.get(version)
        newest = versions.get(self.following(machine, name) - 1)
        return newest if newest and newest.deleted_at is None else None

    def why_none(self, machine: str, name: str, version: int | None = None) -> str:
        """Say why `get` finds nothing."""
        lost = [number for *of, number in self.damaged if of == [machine, name] and version in (None, number)]
        if lost:
            return (f"Version {max(lost)} of recipe {name!r} is damaged on disk and cannot be read; "
                    "name another version, or bring back a backup.")
        versions = self._versions.get((machine, name), {})
        if not versions:
            return f"There is no recipe {name!r} for {machine}; Recipe.List tells all."
        if version is None:
            return f"Recipe {name!r} of {machine} was deleted; its versions can be read by their numbers."
        return f"Recipe {name!r} of {machine} has no version {version}; the newest is {max(versions)}."

    def history(self, machine: str, name: str) -> tuple[StoredRecipe, ...]:
        """All versions of a recipe, the deleted ones too, the newest first."""
        versions = self._versions.get((machine, name), {})
        return tuple(versions[version] for version in sorted(versions, reverse=True))

    def newest(self, machine: str) -> tuple[StoredRecipe, ...]:
        """The newest version of each recipe of a machine, by name."""
        names = sorted(name for of, name in self._versions if of == machine)
        return tuple(recipe for name in names if (recipe := self.get(machine, name)))

    def following(self, machine: str, name: str, running: RecipeName | None = None) -> int:
        """The number of the next version: none is used twice, not even after the recipe was deleted.

        Args:
            running: what the machine runs. A version of the same name that was made at its panel is another recipe, and
                its boards must not be judged by ours.
        """
        if running and running.name == name and running.version is not None:
            return max(running.version + 1, self.following(machine, name))
        lost = (number for *of, number in self.damaged if of == [machine, name])
        return max((*self._versions.get((machine, name), {}), *lost), default=0) + 1

    def all(self) -> tuple[StoredRecipe, ...]:
        """Every version of every machine."""
        return tuple(recipe for versions in self._versions.values() for recipe in versions.values())

    def judging(self, machine: str, recipe: RecipeName) -> Judging | None:
        """What the boards of a recipe are judged by; None where this very version is not kept."""
        if recipe.name is None or recipe.version is None:
            return None
        kept = self.get(machine, recipe.name, recipe.version)
        return kept.judging if kept else None

    def fault(self) -> str | None:
        """Say which versions the disk damaged; None where none is."""
        lost = [f"version {version} of {name} of {machine}" for machine, name, version in self.damaged]
        return f"damaged on disk, bring back a backup: {', '.join(lost[:10])}" if lost else None

    async def room(self) -> tuple[str, ...] | None:
        """Find deleted versions that may make room for a new one; none while there is room, None where there is none.

        Raises:
            StoreError: the records of boards cannot be read.
        """
        if len(self.all()) < MOST:
            return ()
        deleted = sorted((it for it in self.all() if it.deleted_at), key=lambda it: (it.deleted_at or "", it.version))
        for recipe in deleted:
            place = recipe.name, recipe.machine
            named = await self._database.read(lambda c, place=place: c.execute(_NAMED, place).fetchall())  # type: ignore[misc]
            if (recipe.version,) not in named and self.following(recipe.machine, recipe.name) - 1 != recipe.version:
                return (row_id(recipe),)
        return None

    def add(self, recipe: StoredRecipe, gone: tuple[str, ...] = ()) -> Made:
        """Know a new version from now on; what is returned writes it to the disk.

        Args:
            gone: what `room` found.

        Raises:
            CommandRefused: tooLarge.
        """
        body = msgspec.json.encode(recipe)
        if len(body) > MOST_BYTES:
            raise CommandRefused("tooLarge", f"A recipe has at most {MOST_BYTES} bytes; this one has {len(body)}.",
                                 recipe.machine)
        for versions in self._versions.values():
            for version in [number for number, it in versions.items() if row_id(it) in gone]:
                del versions[version]
        self._versions.setdefault((recipe.machine, recipe.name), {})[recipe.version] = recipe
        for callback in self.on_made:
            callback(recipe)
        return Made(recipe, body, gone)

    async def note_former(self, recipe: StoredRecipe, former: dict[str, float | str | bool]) -> None:
        """Keep what a machine was set to before a recipe is written to it; on disk when this returns."""
        body = msgspec.json.encode(Former(recipe.name, recipe.version, former)).decode()
        await self._database.write(lambda connection: meta.put(connection, _FORMER + recipe.machine, body))

    async def former(self, recipe: StoredRecipe) -> dict[str, float | str | bool] | None:
        """What a machine was set to before this recipe was written to it; None where it was not begun to be.

        Raises:
            StoreError: it cannot be read.
        """
        body = await self._database.read(lambda connection: meta.get(connection, _FORMER + recipe.machine))
        text = meta.unseal(body) if body else None
        if body and text is None:
            _log.error("what %s was set to before %s is damaged on disk and is not used", recipe.machine, recipe.name)
        it = msgspec.json.decode(text, type=Former) if text else None
        return it.values if it and (it.recipe, it.version) == (recipe.name, recipe.version) else None

    async def forget_former(self, machine: str) -> None:
        """Nothing is being written; on disk when this returns."""
        await self._database.write(self.settled(machine).insert)

    def settled(self, machine: str) -> Settled:
        """The recipe stands; what is returned forgets on the disk what stood before."""
        return Settled(machine)

    def delete(self, machine: str, name: str, at_ns: int) -> Deleted:
        """Mark all versions as deleted from now on; what is returned writes that to the disk."""
        versions = self._versions.get((machine, name), {})
        for version, recipe in versions.items():
            if recipe.deleted_at is None:
                versions[version] = msgspec.structs.replace(recipe, deleted_at=iso(at_ns))
        return Deleted(machine, name, at_ns)


def row_id(recipe: StoredRecipe) -> str:
    """How a version is called in the file."""
    return f"{recipe.machine}/{recipe.version}/{recipe.name}"


def _load(connection: sqlite3.Connection) -> tuple[list[StoredRecipe], list[tuple[str, str, int]]]:
    found, damaged = [], []
    decode = msgspec.json.Decoder(StoredRecipe).decode
    query = "SELECT machine, name, version, id, deleted_ns, crc, body FROM recipes ORDER BY machine, name, version"
    for machine, name, version, *rest in connection.execute(query):
        row = dict(zip(("id", "deleted_ns", "crc", "body"), rest, strict=True))
        try:
            recipe = decode(row["body"]) if fits("recipes", row) else None
        except msgspec.DecodeError:
            recipe = None
        if recipe is None:
            damaged.append((machine, name, version))
            _log.error("version %d of recipe %s of %s is damaged on disk and is left out", version, name, machine)
            continue
        deleted_ns = row["deleted_ns"]
        found.append(recipe if deleted_ns is None else msgspec.structs.replace(recipe, deleted_at=iso(deleted_ns)))
    return found, damaged
