"""aiohttp's server without the rest of aiohttp, and the rest as soon as somebody asks for it."""

import subprocess
import sys

from tests.surroundings import beside_the_tests

_PROGRAM = """
import sys
import edgeagent.agent
from edgeagent.publish.transports import web

spared = {"aiohttp.client", "aiohttp.connector", "aiohttp.web", "aiohttp.web_urldispatcher", "aiohttp.cookiejar"}
assert not spared & sys.modules.keys(), spared & sys.modules.keys()

import aiohttp
assert not spared & sys.modules.keys(), "a name is asked for, not the package"
assert aiohttp.WSMsgType is web.WSMsgType
assert aiohttp.ClientSession is sys.modules["aiohttp.client"].ClientSession
from importlib.metadata import version
assert aiohttp.__version__ == version("aiohttp")
from aiohttp.web import Server
assert Server is web.Server
try:
    aiohttp.Nothing
except AttributeError:
    print("well")
"""


def test_the_agent_imports_no_more_of_aiohttp_than_its_server_until_the_rest_is_asked_for():
    ran = subprocess.run([sys.executable, "-P", "-c", _PROGRAM], capture_output=True, text=True, env=beside_the_tests(),
                         check=False)
    assert ran.stdout == "well\n", ran.stderr
