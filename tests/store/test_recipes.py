"""Recipes are kept version by version: none is changed, none is lost that a board names, damage is told."""

from __future__ import annotations

import msgspec
import pytest

from edgeagent.errors import CommandRefused
from edgeagent.model.boards import RecipeName
from edgeagent.model.events import Event, ProcessCompleted
from edgeagent.model.machine import Tolerances
from edgeagent.model.recipes import StoredRecipe
from edgeagent.store import Journal, checksums, recipes
from edgeagent.store.copying import copy
from edgeagent.store.recipes import Recipes
from edgeagent.store.restoring import lay
from tests.store.samples import NOON, board, with_store


def recipe(version: int = 1, name: str = "A", machine: str = "RO0001", **more: object) -> StoredRecipe:
    return StoredRecipe(**({
        "machine": machine, "name": name, "version": version, "made_at": "2026-11-21T22:10:20.000Z", "by": "anna",
        "settling_s": 60.0, "settings": {"zone/1/top/setpoint": 100.0 + version}, "tolerances": Tolerances(),
        "window": None,
    } | more))  # fmt: skip


async def kept(database, *given: StoredRecipe) -> Recipes:
    them = await Recipes.open(database)
    for each in given:
        made = them.add(each)
        await database.write(made.insert)
    return them


def test_every_version_is_kept_and_read_again(tmp_path):
    async def use(database):
        them = await kept(database, recipe(), recipe(2), recipe(1, "B"), recipe(1, "A", "RO0002"))
        for each in (them, await Recipes.open(database)):
            assert each.get("RO0001", "A") == recipe(2) and each.get("RO0001", "A", 1) == recipe()
            assert [it.key for it in each.newest("RO0001")] == [RecipeName("A", 2), RecipeName("B", 1)]
            assert [it.version for it in each.history("RO0001", "A")] == [2, 1]
            assert (each.following("RO0001", "A"), each.following("RO0001", "C")) == (3, 1)
            assert each.get("RO0001", "C") is None and each.get("RO0001", "A", 3) is None
            assert each.judging("RO0001", RecipeName("A", 2)) == recipe(2).judging
            assert each.judging("RO0001", RecipeName("A", 3)) is each.judging("RO0001", RecipeName(None, None)) is None

    with_store(tmp_path / "s.db", use)


def test_a_deleted_recipe_is_marked_and_its_versions_stay_readable_by_their_numbers(tmp_path):
    async def use(database):
        them = await kept(database, recipe(), recipe(2))
        await database.write(them.delete("RO0001", "A", NOON).insert)
        for each in (them, await Recipes.open(database)):
            assert each.get("RO0001", "A") is None and each.newest("RO0001") == ()
            assert each.get("RO0001", "A", 2).deleted_at is not None
            assert each.judging("RO0001", RecipeName("A", 1)) is not None, "boards of it are judged as before"
            assert "was deleted" in each.why_none("RO0001", "A")
            assert each.following("RO0001", "A") == 3
        assert await database.write(checksums.damaged) == {}

    with_store(tmp_path / "s.db", use)


def test_a_damaged_version_is_left_out_told_and_its_number_not_used_again(tmp_path, caplog):
    async def use(database):
        await kept(database, recipe(), recipe(2))
        await database.write(lambda c: c.execute("UPDATE recipes SET body = X'7B7D' WHERE version = 2") and None)
        them = await Recipes.open(database)
        assert them.damaged == (("RO0001", "A", 2),)
        assert "version 2 of recipe A of RO0001 is damaged" in caplog.text
        assert them.get("RO0001", "A") is None, "an older version is not taken for the newest"
        assert "damaged on disk" in them.why_none("RO0001", "A")
        assert them.get("RO0001", "A", 1) == recipe() and them.following("RO0001", "A") == 3
        assert them.fault() == "damaged on disk, bring back a backup: version 2 of A of RO0001"
        assert await database.write(checksums.damaged) == {"recipes": 1}

    with_store(tmp_path / "s.db", use)


def test_a_deleted_recipe_whose_mark_the_disk_took_away_is_not_there_again(tmp_path, caplog):
    async def use(database):
        them = await kept(database, recipe(), recipe(1, "B"))
        await database.write(them.delete("RO0001", "A", NOON).insert)
        await database.write(lambda c: c.execute("UPDATE recipes SET deleted_ns = NULL WHERE name = 'A'") and None)
        await database.write(lambda c: c.execute("UPDATE recipes SET deleted_ns = 1 WHERE name = 'B'") and None)
        them = await Recipes.open(database)
        assert them.newest("RO0001") == ()
        assert them.damaged == (("RO0001", "A", 1), ("RO0001", "B", 1))
        assert "version 1 of recipe A of RO0001 is damaged" in caplog.text

    with_store(tmp_path / "s.db", use)


def test_a_damaged_version_stays_damaged_when_its_recipe_is_deleted(tmp_path):
    async def use(database):
        them = await kept(database, recipe(), recipe(2))
        await database.write(lambda c: c.execute("UPDATE recipes SET body = X'7B7D' WHERE version = 2") and None)
        await database.write(them.delete("RO0001", "A", NOON).insert)
        them = await Recipes.open(database)
        assert them.damaged == (("RO0001", "A", 2),)
        assert them.get("RO0001", "A", 1).deleted_at is not None

    with_store(tmp_path / "s.db", use)


def test_when_all_room_is_taken_a_deleted_version_that_no_board_names_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "MOST", 4)

    async def use(database):
        them = await kept(database, *(recipe(n) for n in (1, 2, 3, 4)))
        assert await them.room() is None, "what is not deleted gives no room"
        journal = await Journal.open(database)
        named = msgspec.structs.replace(board("b1", recipe="A"), recipe=RecipeName("A", 1))
        journal.append([Event("Board.ProcessCompleted", NOON, "RO0001", ProcessCompleted(named), named)])
        await database.write(them.delete("RO0001", "A", NOON).insert)
        gone = await them.room()
        assert gone == ("RO0001/2/A",)
        await database.write(them.add(recipe(1, "B"), gone).insert)
        for each in (them, await Recipes.open(database)):
            assert [it.version for it in each.history("RO0001", "A")] == [4, 3, 1]
        await database.write(them.add(recipe(2, "B"), await them.room()).insert)
        assert await them.room() is None, "the board's version stays, and the highest, whose number is not used again"

    with_store(tmp_path / "s.db", use)


def test_a_recipe_that_is_too_large_is_refused_and_not_known(tmp_path):
    async def use(database):
        them = await Recipes.open(database)
        with pytest.raises(CommandRefused) as refused:
            them.add(recipe(comment="x" * recipes.MOST_BYTES))
        assert refused.value.kind == "tooLarge" and them.all() == ()

    with_store(tmp_path / "s.db", use)


def test_what_stood_before_a_start_is_known_after_a_restart_and_of_this_recipe_only(tmp_path):
    async def use(database):
        them = await Recipes.open(database)
        assert await them.former(recipe()) is None
        await them.note_former(recipe(), {"zone/1/top/setpoint": 99.0, "recipe/name": "B"})
        again = await Recipes.open(database)
        assert await again.former(recipe()) == {"zone/1/top/setpoint": 99.0, "recipe/name": "B"}
        assert await again.former(recipe(2)) is None
        await again.forget_former("RO0001")
        assert await again.former(recipe()) is None

    with_store(tmp_path / "s.db", use)


def test_a_restore_takes_over_the_recipes_that_are_newer_than_the_backup(tmp_path):
    store, backup = tmp_path / "s.db", tmp_path / "b.db"

    async def before(database):
        await kept(database, recipe())
        await database.read(lambda c: copy(c, backup))

    async def after(database):
        them = await Recipes.open(database)
        await database.write(them.add(recipe(2)).insert)
        await database.write(them.delete("RO0001", "A", NOON).insert)

    with_store(store, before)
    with_store(store, after)
    lay(backup, store)

    async def restored(database):
        them = await Recipes.open(database)
        assert [it.version for it in them.history("RO0001", "A")] == [2, 1]
        assert all(it.deleted_at for it in them.history("RO0001", "A"))

    with_store(store, restored)
