"""Unit tests build plain classes; none of them may start a cluster."""

import sys
from typing import NoReturn

import pytest


def refuse(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a unit test builds the plain class, or uses LocalSystem")


def forbid_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = sys.modules.get("ray")
    if ray is None:
        # Importing Ray takes a second; hardly any unit test pays for it. Now it is an ImportError.
        monkeypatch.setitem(sys.modules, "ray", None)
    else:
        monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """A unit test that needs Ray is not a unit test."""
    forbid_cluster(monkeypatch)
