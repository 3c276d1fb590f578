"""Where webhooks may go: every table here is a way in that somebody tried."""

import pytest

from payments.addresses import Reach, UrlRefused, refusal, target_of

LIVE, TEST, OWN = Reach(True), Reach(False), Reach(False, private=True)

PUBLIC = (
    "93.184.215.14",
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
)
LOOPBACK = ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
PRIVATE = ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd12::1", "::ffff:10.1.2.3")
NEVER = (
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:db8::1",
    "2001::1",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "100::1",
    "64:ff9b:1::1",
    "64:ff9b::a9fe:a9fe",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
)
NO_ADDRESS = (
    "2130706433",
    "0x7f000001",
    "017700000001",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "1.2.3.4.5",
    "256.1.1.1",
    "",
    "localhost",
    "١٢٧.0.0.1",
)


@pytest.mark.parametrize(
    ("addresses", "live", "test", "own"),
    [
        (PUBLIC, True, True, True),
        (LOOPBACK, False, True, True),
        (PRIVATE, False, False, True),
        (NEVER, False, False, False),
        (NO_ADDRESS, False, False, False),
    ],
)
def test_an_address_passes_by_what_it_is(addresses, live, test, own):
    """Public ones always; loopback in test mode; networks of one's own when that was said."""
    for address in addresses:
        passed = [refusal(address, reach) is None for reach in (LIVE, TEST, OWN)]
        assert [live, test, own] == passed, address


GOOD = {
    "https://example.com": ("https", "example.com", 443),
    "https://Shop.Example.com:8443/hook?a=b": ("https", "shop.example.com", 8443),
    "https://a-b.example.co/x%20y": ("https", "a-b.example.co", 443),
    "https://8.8.8.8/hook": ("https", "8.8.8.8", 443),
    "https://[2606:4700:4700::1111]/": ("https", "2606:4700:4700::1111", 443),
    "https://xn--fiqs8s.example/": ("https", "xn--fiqs8s.example", 443),
}
GOOD_IN_TEST = {
    "http://127.0.0.1:9999/hook": ("http", "127.0.0.1", 9999),
    "http://localhost:1/": ("http", "localhost", 1),
    "http://[::1]:8080/": ("http", "::1", 8080),
    "http://example.com/": ("http", "example.com", 80),
    "https://example.com:444/": ("https", "example.com", 444),
}
BAD = (
    "",
    "example.com",
    "//example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "unix:/run/x.sock",
    "javascript:alert(1)",
    "https://",
    "https:///path",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com@10.0.0.1/",
    "https://example.com/#part",
    "https://example.com/#",
    "https://example.com\\@10.0.0.1/",
    "https://example.com/a b",
    "https://example.com/\n",
    "https://exa\tmple.com/",
    "https://例子.com/",
    "https://exam%70le.com/",
    "https://127%2e0.0.1/",
    "https://-bad.example.com/",
    "https://bad-.example.com/",
    "https://a..b.com/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://example.com:0/",
    "https://[::1/",
    "https://[fe80::1%25eth0]/",
    "https://10.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://example.0x1/",
    "https://169.254.169.254/latest/meta-data",
    "https://example.com/" + "a" * 2048,
)


def test_a_good_url_is_read():
    """Scheme, host and port as they will be connected to."""
    for url, parts in GOOD.items():
        for reach in (LIVE, TEST):
            target = target_of(url, reach)
            assert parts == (target.scheme, target.host, target.port), url


def test_test_mode_reaches_this_machine_and_live_mode_does_not():
    """http, any port, loopback: for receivers that are being written."""
    for url, parts in GOOD_IN_TEST.items():
        target = target_of(url, TEST)
        assert parts == (target.scheme, target.host, target.port), url
        with pytest.raises(UrlRefused):
            target_of(url, LIVE)


@pytest.mark.parametrize("url", BAD)
def test_a_bad_url_is_refused_in_both_modes(url):
    """What is unclear to one reader of URLs is refused by this one."""
    for reach in (LIVE, TEST):
        with pytest.raises(UrlRefused):
            target_of(url, reach)
