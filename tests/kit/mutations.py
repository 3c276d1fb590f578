"""What can happen to the bytes of an answer or a callback on its way, drawn from a seed.

Each mutator takes (random, message, others) and gives another message: a bit is flipped, the end is
missing, the encoding is another one, JSON or a form says the same thing twice, a header is gone,
the body is that of another answer. Most results are wrong, some say the same as before; none may
make anybody believe something that was not signed.
"""

import base64
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import quote

from msgspec import Struct

HUGE_BYTES = 900_000
"""Just below what the HTTP client still hands to a connector."""


class Message(Struct, frozen=True):
    """An answer, or a callback (status 0)."""

    status: int
    headers: dict[str, str]
    body: bytes


Mutator = Callable[[Random, Message, Sequence[Message]], Message]
MUTATORS: list[Mutator] = []


def mutator(mutate: Mutator) -> Mutator:
    MUTATORS.append(mutate)
    return mutate


def body_mutator(mutate: Callable[[Random, bytes], bytes]) -> Mutator:
    def on_message(random: Random, message: Message, _: Sequence[Message]) -> Message:
        return Message(message.status, message.headers, mutate(random, message.body))

    on_message.__name__ = mutate.__name__
    return mutator(on_message)


# --- bytes -------------------------------------------------------------------------------------


@body_mutator
def flipped_bits(random: Random, body: bytes) -> bytes:
    changed = bytearray(body or b"\0")
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


@body_mutator
def truncated(random: Random, body: bytes) -> bytes:
    return body[: random.randrange(len(body) + 1)]


@body_mutator
def beheaded(random: Random, body: bytes) -> bytes:
    return body[random.randrange(len(body) + 1) :]


@body_mutator
def other_bytes(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    return body[:at] + random.randbytes(random.randrange(1, 5)) + body[at + random.randrange(3) :]


@body_mutator
def doubled_part(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    end = random.randrange(start, len(body) + 1)
    return body[:end] + body[start:end] + body[end:]


@body_mutator
def missing_part(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    return body[:start] + body[random.randrange(start, len(body) + 1) :]


@body_mutator
def another_digit(random: Random, body: bytes) -> bytes:
    """The most expensive kind of flipped bit: an amount, a number, a time."""
    places = [at for at, byte in enumerate(body) if 48 <= byte <= 57]
    if not places:
        return body + b"0"
    at = random.choice(places)
    return body[:at] + bytes([48 + random.randrange(10)]) + body[at + 1 :]


@body_mutator
def longer_number(random: Random, body: bytes) -> bytes:
    places = [at for at, byte in enumerate(body) if 48 <= byte <= 57] or [0]
    at = random.choice(places)
    return body[:at] + random.choice((b"0", b"9" * 30, b".", b"e3", b"-", b"+")) + body[at:]


# --- encodings ---------------------------------------------------------------------------------

CODECS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "gbk", "latin-1", "cp037", "utf-7")


@body_mutator
def other_encoding(random: Random, body: bytes) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(random.choice(CODECS), "replace")


@body_mutator
def wrapped(random: Random, body: bytes) -> bytes:
    return random.choice(
        (
            base64.b64encode(body),
            quote(body).encode(),
            quote(quote(body)).encode(),
            json.dumps(body.decode("latin-1")).encode(),
            b"[" + body + b"]",
            b'{"a":' + body + b"}",
            b"\xef\xbb\xbf" + body,
            body + b"\n",
            body + b"\0",
            b" " * 9 + body,
            body + body,
            b"<xml>" + body + b"</xml>",
        )
    )


@body_mutator
def escaped(random: Random, body: bytes) -> bytes:
    """The same text in other letters: \\u0061 for a, %61 for a."""
    text = body.decode("utf-8", "replace")
    places = [at for at, letter in enumerate(text) if letter.isalnum()] or [0]
    at = random.choice(places)
    letter = text[at : at + 1]
    code = ord(letter) if letter else 65
    instead = random.choice((f"\\u{code:04x}", f"%{code & 255:02X}", f"&#{code};", letter.upper()))
    return (text[:at] + instead + text[at + 1 :]).encode("utf-8", "replace")


# --- JSON and forms ------------------------------------------------------------------------------

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 2**63, 10**40, "", "0", "38.00", "null", [], {}, [[]],
    "\ud800", "\u202e", "A" * 5_000, {"total": 1}, ["SUCCESS"], "SUCCESS", "TRADE_SUCCESS",
    "NaN", "00",
)  # fmt: skip


def _objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a JSON value."""
    found = []
    if isinstance(value, dict):
        found.append(value)
        for each in value.values():
            found += _objects(each)
    elif isinstance(value, list):
        for each in value:
            found += _objects(each)
    return found


@body_mutator
def other_json(random: Random, body: bytes) -> bytes:
    """Parsed, one value made another, or gone, or nothing at all, and written again."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return b"{" + body
    objects = [each for each in _objects(value) if each]
    if objects and random.random() < 0.9:
        chosen = random.choice(objects)
        name = random.choice(list(chosen))
        if random.random() < 0.3:
            del chosen[name]
        else:
            chosen[name] = random.choice(ODD_VALUES)
    indent = random.choice((None, None, 1))
    return json.dumps(value, indent=indent, ensure_ascii=random.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


@body_mutator
def twice_the_same_name(random: Random, body: bytes) -> bytes:
    """The first or the last one counts? Whoever signs and whoever reads had better agree."""
    text = body.decode("latin-1")
    if text.lstrip().startswith("{"):
        names = [part for part in text.split('"') if part.isidentifier()] or ["code"]
        name, odd = random.choice(names), json.dumps(random.choice(ODD_VALUES))
        member = f'"{name}":{odd}'
        if random.random() < 0.5:
            return text.replace("{", "{" + member + ",", 1).encode("latin-1", "replace")
        head, _, tail = text.rpartition("}")
        return f"{head},{member}}}{tail}".encode("latin-1", "replace")
    name = random.choice([part.partition("=")[0] for part in text.split("&")])
    extra = f"{name}={random.choice(('1', '', '0.01', '%00', 'TRADE_SUCCESS'))}"
    pair = (extra, text) if random.random() < 0.5 else (text, extra)
    return random.choice(("&", ";", "&&")).join(pair).encode("latin-1")


@body_mutator
def deep(random: Random, body: bytes) -> bytes:
    depth = random.choice((50, 2_000, 100_000))
    return random.choice((b"[" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"(" * depth))


@body_mutator
def other_form(random: Random, body: bytes) -> bytes:
    """Parts in another order, one gone, one with another value, one moved into its neighbor."""
    parts = body.split(b"&")
    at = random.randrange(len(parts))
    how = random.randrange(5)
    if how == 0:
        random.shuffle(parts)
    elif how == 1:
        del parts[at]
    elif how == 2:
        parts[at] = parts[at].partition(b"=")[0] + b"=" + random.randbytes(4).hex().encode()
    elif how == 3:
        parts[at] = parts[at].replace(b"=", b"%3D")
    else:
        parts[at] = parts[at].replace(b"%", b"%25")
    return b"&".join(parts)


# --- headers, and the wrong answer ---------------------------------------------------------------


@mutator
def header_gone(random: Random, message: Message, _: Sequence[Message]) -> Message:
    if not message.headers:
        return Message(message.status, {"a": "b"}, message.body)
    gone = random.choice(list(message.headers))
    kept = {name: text for name, text in message.headers.items() if name != gone}
    return Message(message.status, kept, message.body)


@mutator
def header_changed(random: Random, message: Message, _: Sequence[Message]) -> Message:
    if not message.headers:
        return Message(message.status, {"content-type": "text/plain"}, message.body)
    name = random.choice(list(message.headers))
    text = message.headers[name]
    at = random.randrange(len(text) + 1)
    other = random.choice(
        (
            text[:at],
            text[:at] + chr(random.randrange(32, 127)) + text[at + 1 :],
            text + "=",
            text + ", " + text,
            text.replace("+", "-").replace("/", "_"),
            text.lower(),
            text.upper(),
            "",
            "é" * 3,
            "A" * 10_000,
            str(random.randrange(10**10)),
            "WECHATPAY/SIGNTEST/" + text,
        )
    )
    return Message(message.status, {**message.headers, name: other}, message.body)


@mutator
def other_status(random: Random, message: Message, _: Sequence[Message]) -> Message:
    status = random.choice((200, 201, 202, 204, 302, 400, 401, 403, 404, 429, 500, 502, 503))
    return Message(status if message.status else 0, message.headers, message.body)


@mutator
def body_of_another(random: Random, message: Message, others: Sequence[Message]) -> Message:
    """Sound in itself, and under a seal that is not its own."""
    return Message(message.status, message.headers, random.choice(others).body)


@mutator
def seal_of_another(random: Random, message: Message, others: Sequence[Message]) -> Message:
    return Message(message.status, random.choice(others).headers, message.body)


def huge(random: Random, message: Message) -> Message:
    """As long as an answer can be and still be read."""
    filler = random.choice((b" ", b"A", b"[", b'{"a":"', b"\xff", b"&a=b", b"0"))
    padding = filler * (HUGE_BYTES // len(filler))
    body = message.body
    at = random.randrange(len(body) + 1)
    return Message(message.status, message.headers, body[:at] + padding + body[at:])


def mutated(random: Random, message: Message, others: Sequence[Message]) -> tuple[str, Message]:
    """One to three mutations, and what they were."""
    names = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        chosen = random.choice(MUTATORS)
        message = chosen(random, message, others)
        names.append(chosen.__name__)
    return ", ".join(names), message
