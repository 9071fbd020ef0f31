"""An oven with three instruments that speak text beside it: the agent as a user starts it, an MES that asks."""

import asyncio
from contextlib import ExitStack

from firmware_iface.simulated.text_instruments import BisynchController, PolledAnalyser, StreamingSensor
from tests.acquire.text_device import TextDevice
from tests.journeys.plant import Plant, plant

INSTRUMENTS = {
    "eurotherm2000-bisynch": 'data_bits = 7\nmaster = true\nbaud = 9600',
    "oxygen-rapidox1100": 'parity = "none"\nmaster = true\nbaud = 9600',
    "oxygen-luminox": 'parity = "none"\nbaud = 9600',
}
"""Map → how its line is configured."""


def connect(the_plant: Plant, cleaning: ExitStack) -> dict[str, TextDevice]:
    """Plug each instrument into a line of its own, and configure the agent for them."""
    lines, sources, devices = "", "", {}
    for number, (name, line) in enumerate(INSTRUMENTS.items(), 1):
        devices[name] = TextDevice()
        devices[name].plug(the_plant.folder / f"tty-{number}")
        cleaning.callback(devices[name].unplug)
        lines += f'[[lines]]\nid = "line{number}"\nport = "{devices[name].port}"\n{line}\n'
        sources += f'[[machines.sources]]\nkind = "serial-instrument"\nmap = "{name}"\nline = "line{number}"\n'
    sources += 'rename = { "analyser/1" = "analyser/2" }\n'
    file = the_plant.folder / "agent.toml"
    whole, window, rest = file.read_text().partition("[machines.window]")
    file.write_text(lines + whole + sources + window + rest)
    return devices


async def good(client, path: str) -> float:
    """Ask until the value is good."""
    object_, _, name = path.rpartition("/")
    while True:
        values = (await client.call("Status.GetValues", objects=[object_]))["values"]
        told = next(value for value in values if value["name"] == name)
        if told["quality"] == "good":
            return told["value"]
        await asyncio.sleep(0.05)


async def three_instruments(folder) -> None:
    controller, analyser, sensor = BisynchController(), PolledAnalyser(), StreamingSensor()
    with ExitStack() as cleaning:
        async with plant(folder, 1.0) as the_plant:
            bisynch, polled, streamed = connect(the_plant, cleaning).values()
            bisynch.answer = lambda question: [controller.hear(question)]
            polled.answer = lambda question: [analyser.hear(question)]

            async def talk() -> None:
                while True:
                    streamed.send(sensor.second())
                    await asyncio.sleep(0.2)

            talking = asyncio.create_task(talk())
            try:
                await the_plant.start_agent()
                client = await the_plant.client()
                async with asyncio.timeout(30):
                    assert await good(client, "controller/1/temperature") == 183.4
                    assert await good(client, "analyser/1/concentration") == 812.5
                    assert await good(client, "analyser/2/concentration") == 209_500
                    assert await good(client, "zone/1/top/temperature") is not None
                client.close()
            finally:
                talking.cancel()
            assert await the_plant.end_agent() == 0
    assert streamed.requests == [], "nothing is sent to one that talks by itself"


def test_an_oven_is_read_together_with_instruments_that_speak_text(tmp_path):
    asyncio.run(three_instruments(tmp_path))
