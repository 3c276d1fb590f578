"""What the settings say of shards and processes arrives at the shards."""

import msgspec
import pytest

from actors.gathering import gather_s
from actors.process import Shared
from gateway.main import Gateway
from gateway.processes import Place, build_shard
from gateway.settings import SettingsError, load
from payments.clock import SystemClock
from payments.storage.memory import MemoryStore


def shards(tmp_path, count, processes):
    flags = {"data_dir": str(tmp_path), "shards.count": count}
    environment = {"TILLWAY_SHARDS__PROCESSES": str(processes)}
    settings = load(None, flags, environment)
    path = tmp_path / "settings.json"
    path.write_bytes(msgspec.json.encode(settings))
    specs = Gateway(settings, json_ready=True)._specs(path, str(tmp_path))
    return [spec for spec in specs if spec.role == "shard"], specs


def built(spec):
    place = Place(None, str, SystemClock(), pytest.fail)
    return build_shard(spec, place, MemoryStore(spec.number)).handler.core


def test_shards_are_spread_over_the_processes_that_were_asked_for(tmp_path):
    found, everybody = shards(tmp_path, 3, 2)

    assert [spec.shared for spec in found] == [
        Shared("shards-0", 2, True),
        None,
        Shared("shards-0", 2, False),
    ]
    assert all(spec.shared is None for spec in everybody if spec.role != "shard")


def test_only_shards_of_one_process_gather(tmp_path):
    together, alone, _ = shards(tmp_path, 3, 2)[0]

    assert built(together).gathering._every_s == gather_s(2) > 0
    assert built(alone).gathering._every_s == 0


def test_a_number_of_processes_that_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="processes"):
        shards(tmp_path, 3, -1)
