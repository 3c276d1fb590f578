"""Sockets need short paths: inside the data directory when they fit, else in a folder of ours."""

import os
import tempfile
from pathlib import Path

import pytest

from gateway.folders import SOCKET_PATH_MAX, folder_for, leave
from gateway.settings import SettingsError

NAME_REST = 20


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder with a short path, for this test alone; after that of pytest."""
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


def deep(tmp_path: Path) -> Path:
    """A data directory whose paths are too long for sockets."""
    path = tmp_path / ("d" * SOCKET_PATH_MAX)
    path.mkdir()
    return path


def test_a_short_data_directory_keeps_its_sockets(temporary):
    """Inside, for its owner alone, and emptied of what an earlier run left."""
    (temporary / "run").mkdir()
    (temporary / "run" / "shard-0.sock").touch()
    (temporary / "run" / "session_1").mkdir()

    folder = folder_for(temporary, "run", NAME_REST)

    assert folder == temporary / "run"
    assert not any(folder.iterdir())
    leave(folder, temporary)
    assert folder.exists()


def test_a_deep_data_directory_has_a_folder_elsewhere(temporary, tmp_path):
    """Paths fit, nobody else may look, two deployments never share, and nothing is left."""
    one, other = deep(tmp_path), tmp_path / ("e" * SOCKET_PATH_MAX)
    other.mkdir()

    folder = folder_for(one, "run", NAME_REST)

    assert len(os.fsencode(folder)) + NAME_REST <= SOCKET_PATH_MAX
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert folder_for(one, "run", NAME_REST) == folder
    assert folder_for(other, "run", NAME_REST) != folder
    (folder / "shard-0.sock").touch()
    leave(folder, one)
    assert not folder.parent.exists()


def test_a_folder_that_others_can_write_is_refused(temporary, tmp_path):
    """Somebody else may have put it there, waiting for our sockets."""
    data = deep(tmp_path)
    home = folder_for(data, "run", NAME_REST).parent
    home.chmod(0o777)

    with pytest.raises(SettingsError, match="not a folder of ours alone"):
        folder_for(data, "run", NAME_REST)


def test_nowhere_short_enough_is_said(temporary, tmp_path):
    """With the way out."""
    with pytest.raises(SettingsError, match="choose a shorter --data"):
        folder_for(deep(tmp_path), "run", SOCKET_PATH_MAX)
