"""What the OPC UA process does without."""

import subprocess
import sys

import pytest

from edgeagent.publish.opcua.spared import SPARED

_PROCESS = """
import asyncio, sys
import edgeagent.publish.opcua.__main__
assert "asyncua" not in sys.modules
from edgeagent.publish.opcua.spared import SPARED, spare
spare()
import edgeagent.publish.opcua.serving
from asyncua import Server
from edgeagent.publish.opcua.standard.server import LazyServer

async def main():
    server = Server(iserver=LazyServer())
    await server.init()
    try:
        await server.import_xml("any.xml")
    except RuntimeError as error:
        print(error)
    try:
        sys.modules["dateutil"].parser.parse("1 May")
    except AttributeError as error:
        print(error)

asyncio.run(main())
print([name for name in SPARED if getattr(sys.modules[name], "__file__", None)])
"""


@pytest.fixture(scope="module")
def told():
    done = subprocess.run([sys.executable, "-P", "-c", _PROCESS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_server_is_made_without_what_is_spared(told):
    assert told[-1] == "[]"


def test_whoever_uses_it_all_the_same_is_told_so(told):
    assert told[:-1] == ["XmlImporter is spared in this process", "parser is spared in this process"]


def test_the_library_still_imports_all_of_it():
    loaded = subprocess.run(
        [sys.executable, "-c", "import asyncua, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert set(SPARED) <= set(loaded.stdout.split())
