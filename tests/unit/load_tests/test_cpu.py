"""Processor time is counted for whole trees, by what each process does."""

import os
import subprocess
import sys
import time

import pytest

from load_tests import cpu
from load_tests.cpu import Sample

TICK_US = cpu.TICK_US

ROLES = [
    # name, command line, role
    ("front-door-1", "ray::RayBox.run", "front_door"),
    ("shard-0", "ray::RayBox.run", "shard"),
    ("lane-sim-0", "ray::RayBox.run", "channel"),
    ("python", "python -m gateway.cli sandbox wechat --json", "sandbox"),
    ("python", 'python -m gateway.sandbox_process [{"name":"bank"}]', "sandbox"),
    ("python", "python -P /app/actors/nursery.py /d/ray/nursery.sock uvloop", "ray"),
    ("python", "python /app/actors/worker_start.py --raylet-name=/d/ray/s/raylet", "ray"),
    ("channel-0", "ray::RayBox.run", "channel"),
    ("directory", "ray::RayBox.run", "directory"),
    ("ray::front-door", "ray::front-door-0.run", "front_door"),
    ("ray::MerchantSh", "ray::MerchantShard", "shard"),
    ("ray::RayBox.run", "ray::RayBox.run", "actor"),
    ("ray::IDLE", "ray::IDLE", "ray"),
    ("ray::DashboardA", "ray::DashboardAgent", "ray"),
    ("raylet", "/venv/ray/core/src/ray/raylet/raylet --raylet_socket_name=x", "ray"),
    ("gcs_server", "/venv/ray/core/src/ray/gcs/gcs_server --log_dir=x", "ray"),
    ("postgres", "postgres: writer process", "postgres"),
    ("python", "python -m gateway.cli serve", None),
]

BURNER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
print("done", flush=True)
time.sleep(60)
"""
STORE = """
import threading, time
def work():
    name = f"/proc/self/task/{threading.get_native_id()}/comm"
    open(name, "w").write("store-0")
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        pass
    time.sleep(60)
threading.Thread(target=work, daemon=True).start()
time.sleep(60)
"""


@pytest.mark.parametrize(("name", "command", "role"), ROLES)
def test_names_and_titles_tell_roles(name, command, role):
    """A process that names itself is believed; else Ray's title names the actor's class."""
    assert role == cpu.role_of(name, command)


def test_a_burner_is_counted_and_its_child_is_found():
    """What a process burns shows within two clock ticks, and the idle child costs nothing."""
    burn_s = 0.4
    burner = subprocess.Popen(
        [sys.executable, "-c", BURNER, str(burn_s)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert "ready\n" == burner.stdout.readline()
        tree = cpu.tree(burner.pid)
        before = cpu.snapshot([burner.pid])
        assert "done\n" == burner.stdout.readline()
        used = cpu.used_us(before, cpu.snapshot([burner.pid]))
        memory = cpu.memory_bytes([burner.pid])
    finally:
        for pid in cpu.tree(burner.pid)[::-1]:
            os.kill(pid, 9)
        burner.wait()
        burner.stdout.close()

    assert 2 == len(tree)
    assert burner.pid == tree[0]
    assert burn_s * 1e6 == pytest.approx(used["supervisor"], abs=0.15e6)
    assert {"supervisor", "other"} == set(memory)
    assert 1 << 20 < sum(memory.values()) < 1 << 30


def test_a_thread_that_calls_itself_store_is_counted_apart():
    """The store's writer lives in the shard's process; its name tells it apart."""
    process = subprocess.Popen([sys.executable, "-c", STORE])
    try:
        deadline = time.monotonic() + 60
        while cpu._store_ticks(process.pid) * TICK_US < 200_000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()


def test_used_time_is_the_difference_by_role():
    """Same process: difference. New process: in full. Another one with an old id: in full."""
    before = {
        1: Sample("shard", started=10, ticks=100, store_ticks=40),
        2: Sample("front_door", started=11, ticks=50, store_ticks=0),
        3: Sample("channel", started=12, ticks=70, store_ticks=0),
    }
    after = {
        1: Sample("shard", started=10, ticks=180, store_ticks=70),
        2: Sample("front_door", started=99, ticks=5, store_ticks=0),
        4: Sample("front_door", started=13, ticks=6, store_ticks=0),
    }

    assert {
        "shard": 50 * TICK_US,
        "store": 30 * TICK_US,
        "front_door": 11 * TICK_US,
    } == cpu.used_us(before, after)


def test_a_process_that_is_gone_has_no_tree():
    """Nothing is invented for it."""
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert [] == cpu.tree(ended.pid)
    assert {} == cpu.snapshot([ended.pid])
