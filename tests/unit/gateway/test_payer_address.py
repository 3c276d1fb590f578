"""Who is believed about where a payer is: one's own proxies, and what stands nearest to them."""

import asyncio
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.handlers.pages import payer_ip
from gateway.payer.address import HOPS_MAX, networks_of, payer_address
from gateway.settings import SettingsError, load

OURS = ("10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48")
XFF, FORWARDED = "X-Forwarded-For", "Forwarded"

TABLE = """
    # peer            what the line says                        -> payer
      10.0.0.1        9.9.9.9                                      9.9.9.9
      10.0.0.1        6.6.6.6, 9.9.9.9                             9.9.9.9
      10.0.0.1        6.6.6.6, 9.9.9.9, 10.1.2.3                   9.9.9.9
      10.0.0.1        6.6.6.6, 9.9.9.9, 192.0.2.7, 10.1.2.3        9.9.9.9
      192.0.2.7       2606:4700::1111                              2606:4700::1111
      2001:db8:1::5   9.9.9.9:41234                                9.9.9.9
      ::ffff:10.0.0.1  ::ffff:9.9.9.9                              9.9.9.9
      10.0.0.1        [2606:4700::1111]:443                        2606:4700::1111
      10.0.0.1        6.6.6.6, 127.0.0.1                           -
      10.0.0.1        6.6.6.6, 192.168.1.5                         -
      10.0.0.1        6.6.6.6, unknown                             -
      10.0.0.1        6.6.6.6,                                     -
      10.0.0.1        6.6.6.6, 9.9.9                               -
      10.0.0.1        6.6.6.6, 9.9.9.9:port                        -
      10.0.0.1        6.6.6.6, 009.9.9.9                           -
      10.0.0.1        6.6.6.6, fe80::1%eth0                        -
      10.0.0.1        6.6.6.6, http://9.9.9.9                      -
      10.0.0.1        10.0.0.2, 10.0.0.3                           -
      9.9.9.9         6.6.6.6                                      9.9.9.9
      9.9.9.9         -                                            9.9.9.9
      10.0.0.1        -                                            -
      127.0.0.1       6.6.6.6                                      -
"""
ROWS = [
    [part.strip() for part in line.strip().split("  ") if part.strip()]
    for line in TABLE.strip().splitlines()[1:]
]

FORWARDED_ROWS = [
    ("for=9.9.9.9", "9.9.9.9"),
    ("For=9.9.9.9;proto=https;by=10.0.0.1", "9.9.9.9"),
    ('proto=https; for="9.9.9.9:1234"', "9.9.9.9"),
    ('for=6.6.6.6, for="[2606:4700::1111]:4711"', "2606:4700::1111"),
    ("for=6.6.6.6, for=9.9.9.9, for=10.0.0.3", "9.9.9.9"),
    ('for=9.9.9.9;host="a,for=6.6.6.6,b"', "9.9.9.9"),
    ('host="a;for=6.6.6.6;b";for=9.9.9.9', "9.9.9.9"),
    ('for=9.9.9.9;host="a\\";for=6.6.6.6;b"', "9.9.9.9"),
    ("for=6.6.6.6, for=_hidden", None),
    ("for=6.6.6.6, for=unknown", None),
    ("for=6.6.6.6, proto=https", None),
    ("for=6.6.6.6;for=9.9.9.9", None),
    ('for=6.6.6.6, for="9.9.9.9', None),
    ("for=6.6.6.6, for", None),
    ("for=6.6.6.6, 9.9.9.9", None),
    ("", None),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_the_nearest_that_is_not_ours_is_the_payer(row):
    """Whatever the payer wrote stands to its left, and is not looked at."""
    peer, line, expected = row
    lines = [] if line == "-" else [line]

    found = payer_address(peer, lines, networks_of(OURS), XFF)

    assert (None if expected == "-" else expected) == found


@pytest.mark.parametrize(("line", "expected"), FORWARDED_ROWS)
def test_forwarded_is_read_by_its_standard(line, expected):
    """RFC 7239: pairs, quotations, names that hide."""
    assert expected == payer_address("10.0.0.1", [line], networks_of(OURS), FORWARDED)


def test_several_lines_are_one():
    """A proxy may add a line of its own instead of a word."""
    lines = ["6.6.6.6", "9.9.9.9", "10.0.0.2"]

    assert "9.9.9.9" == payer_address("10.0.0.1", lines, networks_of(OURS), XFF)


def test_without_trusted_proxies_nothing_is_known():
    """The peer may be a proxy that nobody named: its address is nobody's payer."""
    assert payer_address("9.9.9.9", ["6.6.6.6"], (), XFF) is None


def test_a_line_of_our_own_without_end_is_not_read_to_its_end():
    """So much patience, and no more."""
    line = ["9.9.9.9", *["10.0.0.2"] * HOPS_MAX]

    assert payer_address("10.0.0.1", line, networks_of(OURS), XFF) is None
    assert "9.9.9.9" == payer_address("10.0.0.1", line[:-1], networks_of(OURS), XFF)


@given(st.text(max_size=60), st.sampled_from([XFF, FORWARDED]))
def test_what_a_payer_writes_changes_nothing(written, header):
    """The proxy's own word follows it, after a comma."""
    said = "9.9.9.9" if header == XFF else "for=9.9.9.9"

    found = payer_address("10.0.0.1", [written, said], networks_of(OURS), header)

    # In quotes that never end the proxy's word is lost, not replaced.
    assert found == "9.9.9.9" or (header == FORWARDED and '"' in written and found is None)


@given(st.text(max_size=80), st.text(max_size=40), st.sampled_from([XFF, FORWARDED]))
def test_nothing_that_arrives_raises(line, peer, header):
    """An address of the world's, or none."""
    for each in (peer, "10.0.0.1"):
        found = payer_address(each, [line], networks_of(OURS), header)
        assert found is None or ip_address(found).is_global


@pytest.mark.parametrize(
    "names", ["10.0.0.1/8", "proxy.example", "", "10.0.0.0/33", "0.0.0.0/0", "::/0", "10.0.0"]
)
def test_settings_name_addresses_and_networks(tmp_path, names):
    """A name can change, host bits are a slip, and everybody is nobody's proxy."""
    path = tmp_path / "tillway.toml"
    path.write_text(f'[http]\ntrusted_proxies = ["{names}"]\n')

    with pytest.raises(SettingsError, match="http"):
        load(path, {"data_dir": str(tmp_path)}, {})


def test_settings_choose_one_header(tmp_path):
    """The other one may come straight from the payer: no proxy of ours wrote it."""
    path = tmp_path / "tillway.toml"
    path.write_text('[http]\ntrusted_proxies = ["10.0.0.1"]\nforwarded = "Forwarded"\n')
    settings = load(path, {"data_dir": str(tmp_path)}, {})
    headers = CIMultiDict({"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=9.9.9.9"})
    door = SimpleNamespace(settings=settings, proxies=networks_of(settings.http.trusted_proxies))

    call = SimpleNamespace(door=door, headers=CIMultiDictProxy(headers), peer="10.0.0.1")

    assert "9.9.9.9" == payer_ip(call)


async def test_the_peer_is_whoever_is_connected():
    """As the server's own request says it: an address without a port."""
    seen = asyncio.get_running_loop().create_future()

    async def handle(request):
        seen.set_result(request.remote)
        return web.Response()

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert "127.0.0.1" == await asyncio.wait_for(seen, 30)

    writer.close()
    await runner.cleanup()
