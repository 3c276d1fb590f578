"""The examples of a check are the same whatever else its process has imported."""

import importlib.util
import sys

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

from same_examples import leave_out_local_constants


def drawn():
    """What a search tries."""
    tried = []

    @seed(7)
    @settings(max_examples=300, database=None)
    @given(st.integers())
    def look(number):
        tried.append(number)

    look()
    return tried


def test_another_module_changes_no_example(tmp_path, monkeypatch):
    """Its constants would be tried otherwise."""
    monkeypatch.setattr(providers, "_get_local_constants", providers._get_local_constants)
    leave_out_local_constants()
    before = drawn()
    path = tmp_path / "made_here.py"
    path.write_text("\n".join(f"A{n} = {n}" for n in range(7_000_000_001, 7_000_000_100)))
    spec = importlib.util.spec_from_file_location("made_here", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "made_here", module)
    spec.loader.exec_module(module)

    assert before == drawn()
