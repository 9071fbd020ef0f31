from __future__ import annotations

import pytest
from asyncua import Node, ua

from edgeagent.publish.opcua.port import Identity
from edgeagent.publish.opcua.rights import SEEN, may_hear, sees_machines
from tests.publish.opcua.clients import connected
from tests.publish.opcua.conftest import Run, Serve
from tests.publish.opcua.fakes import STARTER, VIEWER

MEASURED, STATE = "RO0001/zone/1/top/temperature", "RO0001/status/State"


class Nobody:
    """Hears nothing."""


async def status(node: Node) -> str:
    return str((await node.read_data_value(raise_on_bad_status=False)).StatusCode.name)


def test_who_has_a_list_of_functions_sees_no_more_than_they_answer(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(has_machines=True) as its, connected(
            its.server, its.application, user="starter", password=STARTER
        ) as client:  # fmt: skip
            def node(key: str) -> Node:
                return client.get_node(its.model.node_ids.of_node(key))

            for key in (STATE, MEASURED, "RO0001/boards/last/Id"):
                assert await status(node(key)) == "BadUserAccessDenied"
            assert await status(client.nodes.server_state) == "Good"
            assert await status(node("RO0001/methods/Recipe.Start/input")) == "Good"
            subscription = await client.create_subscription(100, Nobody())
            for asked in (
                subscription.subscribe_data_change(node(STATE)), subscription.subscribe_events(),
                node(MEASURED).read_raw_history(numvalues=1),
            ):  # fmt: skip
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await asked

    run(test())


def test_who_has_a_role_sees_the_machines(serve: Serve, run: Run) -> None:
    async def test() -> None:
        async with serve(has_machines=True) as its, connected(
            its.server, its.application, user="panel", password=VIEWER
        ) as client:  # fmt: skip
            assert await status(client.get_node(its.model.node_ids.of_node(STATE))) == "Good"

    run(test())


def test_a_list_that_has_all_that_is_shown_is_enough() -> None:
    def its(*functions: str) -> Identity:
        return Identity(1, "mes", "", functions, True)

    assert sees_machines(its(*SEEN))
    assert not sees_machines(its(*sorted(SEEN)[1:]))
    assert (may_hear(its(*SEEN)), may_hear(its("Event.Subscribe"))) == (False, True)
    assert not sees_machines(None)
