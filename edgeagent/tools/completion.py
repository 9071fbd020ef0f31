"""Completion of the command line in shells."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import shtab

from edgeagent.model.events import TOPICS
from edgeagent.model.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = ("bash", "zsh")


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What a shell is to source: commands, options, their choices, files, functions and topics."""
    for action in _actions(parser):
        if action.type is Path or action.dest == "configuration":
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
        elif action.dest == "function":
            action.choices = list(FUNCTIONS)
        elif action.dest == "topics":
            action.choices = list(TOPICS)
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
