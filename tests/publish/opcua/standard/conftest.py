import asyncio

import pytest


@pytest.fixture
def run():
    """Run a coroutine that needs a loop of its own."""
    return asyncio.run
