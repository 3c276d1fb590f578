"""The fence around the unit tests."""

import importlib
import sys
import types

import pytest


@pytest.fixture
def fence(request):
    return request.config.pluginmanager.get_plugin(str(request.path.with_name("conftest.py")))


def test_a_unit_test_runs_inside_the_fence():
    """Whatever another file imported, in here Ray is absent or refuses to start."""
    with pytest.raises((ImportError, RuntimeError)):
        importlib.import_module("ray").init()


def test_ray_cannot_be_imported_for_the_first_time(fence, monkeypatch):
    """Code under test that reaches for Ray on the way is found out."""
    monkeypatch.delitem(sys.modules, "ray")

    fence.forbid_cluster(monkeypatch)

    with pytest.raises(ImportError):
        importlib.import_module("ray")


def test_ray_that_is_already_there_cannot_be_started(fence, monkeypatch):
    """A module that imports Ray at its head can be tested, as long as it starts nothing."""
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=lambda: "started"))

    fence.forbid_cluster(monkeypatch)

    with pytest.raises(RuntimeError, match="LocalSystem"):
        sys.modules["ray"].init()
