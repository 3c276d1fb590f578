"""Books of many payments are read to their end, also from a gateway that is busy for a moment."""

import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from load_tests import books


class Stub(BaseHTTPRequestHandler):
    """Pages of two; refuses as the server's `refusals` say, first of all."""

    def do_GET(self):
        status = self.server.refusals.pop(0) if self.server.refusals else 200
        after = parse_qs(urlsplit(self.path).query, keep_blank_values=True)["after"][0]
        rows = [{"out_trade_no": each} for each in self.server.numbers if each > after][:2]
        body = json.dumps(rows if status == 200 else {"code": "overloaded"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(books, "BETWEEN_S", 0.001)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.numbers, server.refusals = [f"N{number}" for number in range(5)], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def read(stub):
    host, port = stub.server_address
    return [row["out_trade_no"] for row in books.channel_books(f"http://{host}:{port}", "sim", "k")]


def test_all_pages_are_read_and_a_busy_gateway_is_asked_again(stub):
    stub.refusals = [503, 504, 503]

    assert stub.numbers == read(stub)


def test_what_time_does_not_cure_is_raised_at_once(stub):
    stub.refusals = [401]

    with pytest.raises(urllib.error.HTTPError):
        read(stub)


def test_patience_ends(stub, monkeypatch):
    monkeypatch.setattr(books, "WITHIN_S", 0.0)
    stub.refusals = [503] * 1_000

    with pytest.raises(urllib.error.HTTPError):
        read(stub)
