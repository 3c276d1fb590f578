"""Pages about the API: the reader of the document, and a paragraph for each problem code.

Everything they need comes from this server: the policy that goes with them lets a browser ask no
other. The reader is vendored (`assets/LICENSE.scalar`), compressed as it is served.
"""

import gzip
import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from html import escape
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from msgspec import Struct
from msgspec.json import encode

from gateway.modules import MODULES
from gateway.openapi.document import document_bytes
from gateway.openapi.problems import ProblemKind, kinds

HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"
JSON: Final = "application/json"
DOCUMENT: Final = "openapi.json"
DOCUMENT_URL: Final = f"/{DOCUMENT}"
_MARK: Final = re.compile(r"`([^`]+)`")

# The reader writes its styles into the page; no script but the file of this server can run.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SETTINGS: Final = {
    "url": DOCUMENT_URL,
    "withDefaultFonts": False,
    "telemetry": False,
    "agent": {"disabled": True},
    "mcp": {"disabled": True},
    "hideClientButton": True,
    "showDeveloperTools": "never",
    "persistAuth": False,
}
"""What would speak to other hosts is off; that nothing can, is the policy's work."""


class File(Struct, frozen=True):
    """Something to serve. `packed`: the same, gzipped."""

    kind: str
    plain: bytes
    packed: bytes
    tag: str


def _file(kind: str, plain: bytes) -> File:
    packed = gzip.compress(plain, mtime=0)
    return File(kind, plain, packed, sha256(plain).hexdigest()[:16])


def _vendored(kind: str, name: str) -> File:
    packed = files("gateway.openapi").joinpath("assets", name).read_bytes()
    return File(kind, gzip.decompress(packed), packed, sha256(packed).hexdigest()[:16])


@cache
def file(name: str, modules: tuple[str, ...] = MODULES) -> File:
    """One of the files, by the last step of its path. KeyError for another."""
    if name == DOCUMENT:
        return _file(JSON, document_bytes(modules))
    return _MAKERS[name]()


def _reader() -> File:
    """`/docs`: the reader over the document."""
    settings = escape(encode(SETTINGS).decode())
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tillway API</title>
<link rel="icon" href="data:,">
</head>
<body>
<noscript><p>This reader is a script. The document itself:
<a href="{DOCUMENT_URL}">openapi.json</a>. Problems, as a plain page:
<a href="/docs/errors">errors</a>.</p></noscript>
<script id="api-reference" type="application/json" data-configuration="{settings}"></script>
<script src="/docs/scalar.js"></script>
</body>
</html>
"""
    return _file(HTML, page.encode())


def _errors() -> File:
    """`/docs/errors`: what each problem code means, and what to do next."""
    found = kinds()
    links = "\n".join(
        f'<li><a href="#{kind.code}"><code>{kind.code}</code></a></li>' for kind in found
    )
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Problems of the Tillway API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/reader.css">
</head>
<body>
<h1>Problems</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457); programs look at
<code>code</code>. A refusal does not use up its Idempotency-Key. A declined payment is no problem:
it is a payment with <code>status: failed</code>. <a href="/docs">The whole API</a></p>
<nav aria-label="Codes"><ul>
{links}
</ul></nav>
{"".join(map(_section, found))}</body>
</html>
"""
    return _file(HTML, page.encode())


def _section(kind: ProblemKind) -> str:
    again = "yes, with the same Idempotency-Key" if kind.retryable else "not as it is"
    return f"""<section id="{kind.code}">
<h2><a href="#{kind.code}"><code>{kind.code}</code></a>
<small>{kind.status} {escape(HTTPStatus(kind.status).phrase)}</small></h2>
<dl>
<dt>What happened</dt><dd>{_marked(kind.happened)}</dd>
<dt>What to do next</dt><dd>{_marked(kind.next)}</dd>
<dt>Send it again?</dt><dd>{again}</dd>
</dl>
</section>
"""


def _marked(text: str) -> str:
    return _MARK.sub(r"<code>\1</code>", escape(text, quote=False))


def _style() -> File:
    return _file(CSS, files("gateway.openapi").joinpath("assets", "reader.css").read_bytes())


_MAKERS: Final[dict[str, Callable[[], File]]] = {
    "docs": _reader,
    "errors": _errors,
    "reader.css": _style,
    "scalar.js": lambda: _vendored(SCRIPT, "scalar.js.gz"),
}
