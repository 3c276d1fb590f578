"""What `pip install .` brings: the wheel, built from this checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The content of a freshly built wheel: name -> bytes."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [Path(sys.executable).with_name("hatchling"), "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (built,) = folder.glob("tillway-*.whl")
    with zipfile.ZipFile(built) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def names(wheel):
    return set(wheel)


def test_the_configuration_travels_with_the_code(names):
    """Each file of config/ is in the wheel, where gateway/settings.py looks for it."""
    files = [file.relative_to(ROOT / "config") for file in (ROOT / "config").rglob("*.*")]
    assert files

    assert {f"gateway/_config/{file.as_posix()}" for file in files} <= names


@pytest.mark.parametrize("suffix", [".py", ".sql", ".lua", ".js", ".css", ".html"])
def test_each_file_of_the_packages_is_in_the_wheel(names, suffix):
    """SQL, scripts and pages are part of the program as much as Python is."""
    files = {
        file.relative_to(ROOT).as_posix()
        for package in ("gateway", "actors", "payments", "load_tests")
        for file in (ROOT / package).rglob(f"*{suffix}")
    }

    assert not files - names


def test_nothing_but_the_packages_is_in_the_wheel(names):
    """Tests and documents are for the checkout; a top-level `config` would be anybody's."""
    tops = {name.partition("/")[0] for name in names}

    assert tops == {"gateway", "actors", "payments", "load_tests", "tillway-0.1.0.dist-info"}


def test_the_command_is_declared(wheel):
    """`tillway` starts the command line of the gateway."""
    points = wheel["tillway-0.1.0.dist-info/entry_points.txt"].decode()

    assert "tillway = gateway.cli.app:main" in points
