from __future__ import annotations

from tests.publish.conftest import run

__all__ = ["run"]
