"""The archive keeps what came, whole, once, and never puts anything else in its place."""

import hashlib
import os
import subprocess

import pytest

from payments.bills import archive as module
from payments.bills.archive import Archive, ArchiveDamaged

DAY = ("wechat", "1900000001", 20261121, "payments")
BILL = b"a bill of many lines\n" * 100


def keep(archive, content=BILL):
    return archive.keep(*DAY, content, ".csv.gz")


def test_the_bytes_are_kept_as_they_came(tmp_path):
    """By a name that says whose, of which day and with which hash; sha256sum agrees."""
    kept = keep(Archive(tmp_path / "bills"))

    digest = hashlib.sha256(BILL).hexdigest()
    assert BILL == kept.path.read_bytes()
    assert (digest, True) == (kept.sha256, kept.is_new)
    name = f"20261121.payments.{digest[:16]}.csv.gz"
    assert tmp_path / "bills" / "wechat" / "1900000001" / name == kept.path
    assert 0 == kept.path.stat().st_mode & 0o077
    command = ["sha256sum", "--check", f"{name}.sha256"]
    assert 0 == subprocess.run(command, cwd=kept.path.parent, capture_output=True).returncode


def test_the_same_bytes_again_change_nothing(tmp_path):
    """Fetching a bill twice leaves one file, as it was."""
    archive = Archive(tmp_path)
    before = keep(archive).path.stat()

    again = keep(archive)

    assert not again.is_new
    assert (before.st_ino, before.st_mtime_ns) == (
        again.path.stat().st_ino,
        again.path.stat().st_mtime_ns,
    )


def test_another_story_about_the_day_is_kept_beside_the_first(tmp_path):
    """A channel that changes its bill has told two things, and both can be read."""
    archive = Archive(tmp_path)

    first, second = keep(archive), keep(archive, BILL + b"one more\n")

    assert {first.path, second.path} == {kept.path for kept in archive.of_day(*DAY)}
    assert BILL == first.path.read_bytes()


def test_other_bytes_under_the_name_are_not_overwritten(tmp_path):
    """Whoever changed a kept file is told, by `keep` and by `of_day`, and the change stays."""
    archive = Archive(tmp_path)
    kept = keep(archive)
    kept.path.write_bytes(b"changed")

    with pytest.raises(ArchiveDamaged):
        keep(archive)
    with pytest.raises(ArchiveDamaged):
        archive.of_day(*DAY)
    assert b"changed" == kept.path.read_bytes()


@pytest.mark.parametrize("dies_in", ["fsync", "link"])
def test_a_crash_leaves_the_whole_file_or_none(tmp_path, monkeypatch, dies_in):
    """Dying before the name is given leaves no file; keeping it again does."""
    archive = Archive(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module.os, dies_in, died)
        with pytest.raises(Died):
            keep(archive)
    assert [] == archive.of_day(*DAY)

    assert keep(archive).is_new
    assert 1 == len(archive.of_day(*DAY))


class Died(Exception):
    """The machine stopped here."""


def died(*_, **__):
    raise Died


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """First the content, then the name, then the folder that holds the name."""
    done = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(module.os, "fsync", lambda f: (done.append("fsync"), fsync(f)))
    monkeypatch.setattr(module.os, "link", lambda a, b: (done.append("link"), link(a, b)))

    keep(Archive(tmp_path))

    assert ["fsync", "link"] * 2 == done[:4]
    assert ["fsync"] * 4 == done[4:]


@pytest.mark.parametrize(
    ("channel", "account", "date", "kind", "extension"),
    [
        ("..", "1", 20261121, "payments", ".csv"),
        ("wechat", "../../etc", 20261121, "payments", ".csv"),
        ("wechat", "", 20261121, "payments", ".csv"),
        ("wechat", "1", 202611210, "payments", ".csv"),
        ("wechat", "1", -1, "payments", ".csv"),
        ("wechat", "1", 20261121, "*", ".csv"),
        ("wechat", "1", 20261121, "payments", "/../x"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, channel, account, date, kind, extension):
    """Nothing outside the archive is ever written."""
    with pytest.raises(ValueError, match="not a name"):
        Archive(tmp_path).keep(channel, account, date, kind, BILL, extension)

    assert [] == list(tmp_path.iterdir())
