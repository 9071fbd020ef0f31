from __future__ import annotations

from edgeagent.store import Meta
from tests.store.samples import with_store


def test_a_text_is_kept_over_a_restart_and_can_be_changed(tmp_path):
    async def first(database):
        meta = Meta(database)
        assert await meta.get("origin") is None
        await meta.set("origin", "1")
        await meta.set("origin", "2 °C")

    with_store(tmp_path / "s.db", first)
    assert with_store(tmp_path / "s.db", lambda database: Meta(database).get("origin")) == "2 °C"
