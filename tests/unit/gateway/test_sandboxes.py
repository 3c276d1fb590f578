"""The demo's sandboxes as child processes: several in one, back on their ports, gone with us."""

import asyncio
import os
import signal
from urllib.parse import urlsplit

import pytest

from gateway import sandboxes
from gateway.sandboxes import Child
from gateway.settings import SettingsError

PATIENCE_S = 120
NAMES = ("wechat", "alipay")


@pytest.fixture
async def child(tmp_path):
    made = Child(NAMES, tmp_path)
    yield made
    await made.stop()


async def connects(port):
    """Wait until somebody listens there."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def test_two_sandboxes_share_a_process_and_come_back_where_they_were(
    child, tmp_path, monkeypatch
):
    """Each with its folder, its port and its word; a kill ends both, and both return."""
    monkeypatch.setattr(sandboxes, "AGAIN_S", 0)
    ready = await child.start()
    assert [one.channel for one in ready] == list(NAMES)
    assert all((tmp_path / name).is_dir() for name in NAMES)
    ports = [urlsplit(one.url).port for one in ready]
    assert len(set(ports)) == len(NAMES)

    first = child.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        while child.pid == first:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    for port in ports:
        await connects(port)
    assert child.restarts == 1


async def test_a_name_that_is_none_is_told_with_the_settings(tmp_path, capfd):
    """Nobody waits for a process that ended."""
    child = Child(("wechat", "paypal"), tmp_path)
    with pytest.raises(SettingsError, match="wechat, paypal"):
        await child.start()
    assert "paypal" in capfd.readouterr().err
