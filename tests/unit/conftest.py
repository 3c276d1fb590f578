"""Unit tests build plain classes; none of them may start a cluster.

Laws are searched for counterexamples: few examples in each `make check`, always the same ones, so
that a red check is about the change at hand; many new ones in `make prove`, whose finds are added
as tests of their own.
"""

import os
import sys
from typing import NoReturn

import pytest
from hypothesis import settings

from same_examples import leave_out_local_constants

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "check")

# The machine of a check is shared: how long an example takes says nothing about the code.
settings.register_profile(
    "check", deadline=None, print_blob=True, max_examples=40, derandomize=True
)
settings.register_profile("prove", deadline=None, print_blob=True, max_examples=1_000)
settings.load_profile(PROFILE)
if PROFILE == "check":
    leave_out_local_constants()


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
