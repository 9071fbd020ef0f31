from __future__ import annotations

import msgspec

from edgeagent.model.commands import Job
from edgeagent.store import jobs
from edgeagent.store.jobs import Jobs
from tests.store.samples import NOON, job, with_store


def kept(path, written, use):
    async def work(database):
        for one in written:
            await database.write(lambda connection, one=one: jobs.put(connection, one))
        return await use(Jobs(database), database)

    return with_store(path, work)


def ids(bodies):
    return [msgspec.json.decode(body, type=Job).id for body in bodies]


def test_a_job_is_kept_as_far_as_it_has_got(tmp_path):
    ended = msgspec.structs.replace(job(), state="failed", reason="zone 3 did not take its setpoint", ended_at="later")

    async def use(them, _):
        assert msgspec.json.decode(await them.get("j1"), type=Job) == ended
        assert await them.get("j2") is None
        assert (await them.find(state="running"), ids((await them.find(state="failed"))[0])) == (([], None), ["j1"])

    kept(tmp_path / "s.db", [job(), ended], use)


def test_pages_hold_the_jobs_of_a_state_a_machine_and_a_time_the_last_accepted_first(tmp_path):
    written = [job(f"j{n}", NOON + n, ("done", "refused")[n % 2], f"RO000{n // 4}") for n in range(8)]

    async def use(them, _):
        first, cursor = await them.find(limit=5)
        second, end = await them.find(limit=5, cursor=cursor)
        assert (ids(first + second), end) == ([f"j{n}" for n in range(7, -1, -1)], None)
        assert ids((await them.find(state="refused"))[0]) == ["j7", "j5", "j3", "j1"]
        assert ids((await them.find(machine="RO0000", state="done"))[0]) == ["j2", "j0"]
        assert ids((await them.find(since_ns=NOON + 6_000))[0]) == []
        assert ids((await them.find(since_ns=NOON))[0]) == ids(first + second)

    kept(tmp_path / "s.db", written, use)


def test_a_damaged_job_is_left_out_and_logged(tmp_path, caplog):
    async def use(them, database):
        await database.write(lambda c: c.execute("UPDATE jobs SET body = x'7b7d' WHERE id = 'j1'") and None)
        assert await them.get("j1") is None
        assert ids((await them.find())[0]) == ["j2"]
        assert "job j1 is damaged" in caplog.text

    kept(tmp_path / "s.db", [job(), job("j2")], use)
