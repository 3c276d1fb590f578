"""The files for systemd and containers, read by the tools that will read them elsewhere."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "config" / "systemd" / "tillway.service"
COMPOSE = ROOT / "compose.yaml"
DRAIN_LONGEST_S = 60


def run(*line):
    """Standard output and error of a command that must end well."""
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def tool(name):
    """A program beside our interpreter, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"{name} is missing: make setup"
    return found


def test_systemd_reads_the_unit_without_a_complaint(tmp_path):
    """With a program that exists in the place of ours: the rest is verified as it stands."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tillway/bin/tillway", "/bin/true"))

    assert "" == run(tool("systemd-analyze"), "verify", "--man=no", str(unit))


def test_hadolint_reads_the_containerfile_without_a_complaint():
    """Also no remark of its lowest kind."""
    assert "" == run(tool("hadolint"), "--failure-threshold", "info", str(ROOT / "Containerfile"))


def test_the_compose_file_keeps_to_its_schema():
    """The schema is the one of the Compose specification."""
    line = ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]

    assert "validation done" in run(tool("check-jsonschema"), *line)


@pytest.mark.parametrize("part", sorted((ROOT / "config" / "grafana").rglob("*.yml")), ids=str)
def test_grafana_can_read_its_provisioning(part):
    """And the data source is the one that the dashboards name."""
    read = yaml.safe_load(part.read_text())

    assert 1 == read["apiVersion"]
    for source in read.get("datasources", []):
        assert "tillway-prometheus" == source["uid"]


def test_every_path_that_compose_mounts_is_there():
    """A missing one would become an empty folder."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    volumes = [each for service in services.values() for each in service.get("volumes", [])]
    paths = [each.split(":")[0] for each in volumes if each.startswith("./")]

    assert 3 == len(paths)
    assert [] == [path for path in paths if not (ROOT / path).exists()]


def test_everybody_waits_longer_than_a_drain():
    """Whoever kills earlier cuts requests off."""
    settings = tomllib.loads((ROOT / "config" / "tillway.toml").read_text())["drain"]
    longest_s = settings["grace_s"] + settings["timeout_s"]
    stop = yaml.safe_load(COMPOSE.read_text())["services"]["tillway"]["stop_grace_period"]
    waits = [int(re.findall(r"TimeoutStopSec=(\d+)", UNIT.read_text())[0]), int(stop[:-1])]

    assert [DRAIN_LONGEST_S] * 2 == waits
    assert longest_s * 2 < DRAIN_LONGEST_S
