"""The boxes' log files as one stream: whole lines, none lost, none twice."""

import asyncio

import pytest

from actors import box_logs
from actors.box_logs import BoxLogs

PATIENCE_S = 60


@pytest.fixture
def session(tmp_path):
    """Where Ray writes the logs of a session."""
    folder = tmp_path / "session_2026-11-22_09-00-00_000000_1" / "logs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def written():
    return []


@pytest.fixture
def logs(tmp_path, session, written):
    return BoxLogs(tmp_path, written.append)


def test_a_line_is_brought_once_and_whole(logs, session, written):
    """Its beginning waits for its end, as two processes write at the same time."""
    file = session / "worker-aa-01-7.err"
    file.write_bytes(b"first\nsec")
    assert logs.bring()
    assert not logs.bring()
    assert written == ["first\n"]

    with file.open("ab") as more:
        more.write(b"ond\n")
    logs.bring()
    assert written == ["first\n", "second\n"]


def test_what_ray_marks_for_itself_is_left_out(logs, session, written):
    """Names of jobs and actors, and the files of Ray's own processes."""
    (session / "worker-aa-01-7.out").write_bytes(b":job_id:01\n:actor_name:shard-0\nhello\n")
    (session / "raylet.err").write_bytes(b"not ours\n")
    logs.bring()
    assert written == ["hello\n"]


def test_the_last_words_need_no_end_of_line(logs, session, written):
    """What a dying box wrote comes whole, without a newline too, and whatever bytes it was."""
    (session / "worker-aa-01-7.err").write_bytes(b"one\ntwo \xff")
    logs.finish()
    assert "".join(written) == "one\ntwo �"


async def test_files_that_come_later_are_followed(tmp_path, session):
    """A box that is started anew has a file of its own."""
    came = asyncio.Queue()
    logs = BoxLogs(tmp_path, came.put_nowait)
    following = asyncio.create_task(logs.follow())
    (session / "worker-aa-01-7.err").write_bytes(b"old\n")
    async with asyncio.timeout(PATIENCE_S):
        assert await came.get() == "old\n"
        (session / "worker-bb-01-8.err").write_bytes(b"new\n")
        assert await came.get() == "new\n"
    following.cancel()


def test_a_long_line_is_broken_and_not_lost(logs, session, written, monkeypatch):
    """At most so much is read at one look; the rest comes with the next."""
    monkeypatch.setattr(box_logs, "READ_BYTES_MAX", 4)
    (session / "worker-aa-01-7.err").write_bytes(b"ab\n0123456789\n")
    while logs.bring():
        pass
    assert "".join(written) == "ab\n0123456789\n"
