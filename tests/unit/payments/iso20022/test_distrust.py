"""Messages that are not what they should be are refused, whatever is wrong with them."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from iso_messages import notices, orders, reports, statements
from payments.iso20022 import camt053, camt054, pain001, pain002, trees
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.iso20022.trees import DEPTH_MAX, MESSAGE_MAX_BYTES, MessageRefused

MODULES = {"pain.001": pain001, "pain.002": pain002, "camt.054": camt054, "camt.053": camt053}
MADE = st.one_of(
    st.tuples(st.just(pain001), orders()),
    st.tuples(st.just(pain002), reports()),
    st.tuples(st.just(camt054), notices()),
    st.tuples(st.just(camt053), statements()),
)
SOME = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
ORDER = PaymentOrder(
    *("M1", 1_795_000_000_000, "Tillway", "P1", 20261122, "Noodles", "6222000011", "ICBKCNBJ"),
    (CreditTransfer("E1", 123_400, "Li", "62220200"),),
)
MESSAGE = pain001.encode(ORDER).decode()


def refused(text, module=pain001):
    with pytest.raises(MessageRefused) as caught:
        module.decode(text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


@SOME
@given(made=MADE, at=st.integers(0), junk=st.binary(max_size=3), cut=st.integers(0, 40))
@example((pain001, ORDER), 0, b"", 0)
def test_damage_is_refused_or_read_as_a_sound_message(made, at, junk, cut):
    """Bytes that are changed, lost or added: never a crash, and never half a message."""
    module, value = made
    message = module.encode(value)
    at %= len(message)
    damaged = message[:at] + junk + message[at + cut :]

    try:
        read = module.decode(damaged)
    except MessageRefused:
        return

    assert read == module.decode(module.encode(read)), "what was read can be said again"


@SOME
@given(made=MADE, at=st.integers(0), data=st.data())
def test_noise_between_the_elements_changes_nothing(made, at, data):
    """Comments, blanks and processing instructions between elements; another prefix."""
    module, value = made
    text = module.encode(value).decode()
    gaps = [
        found.start() for found in re.finditer(r"<[A-Z]", text) if text[found.start() - 1] == ">"
    ]
    noise = data.draw(st.sampled_from([" ", "\n\t", "<!-- <MsgId>2</MsgId> -->", "<?go on?>"]))
    gap = gaps[at % len(gaps)]

    assert value == module.decode((text[:gap] + noise + text[gap:]).encode())

    prefixed = re.sub(r"<(/?)([A-Z])", r"<\1p:\2", text).replace("xmlns=", "xmlns:p=")
    assert value == module.decode(prefixed.encode())


@SOME
@given(made=MADE, at=st.integers(0))
def test_a_lost_or_doubled_element_is_refused_or_was_optional(made, at):
    """What is read after all is a message of its own: its sums and counts hold."""
    module, value = made
    text = module.encode(value).decode()
    leaves = list(re.finditer(r"<(\w+)[^<>]*>[^<>]*</\1>", text))
    leaf = leaves[at % len(leaves)]
    for change in ("", leaf.group() * 2):
        try:
            read = module.decode((text[: leaf.start()] + change + text[leaf.end() :]).encode())
        except MessageRefused:
            continue
        assert type(read) is type(value)
        assert read == module.decode(module.encode(read))


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize("door", [BOMB, OUTSIDE, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'])
def test_a_document_type_is_refused_before_anything_reads_it(door):
    """Entity bombs and entities of other files begin with one."""
    head, body = MESSAGE.split("\n", 1)
    text = head + door + body.replace("Noodles", "&a;")

    assert "document type" in refused(text)
    assert "not UTF-8" in refused(b"\xff\xfe" + text.encode("utf-16-le"))
    assert "encoding" in refused(text.replace(door, "").replace("UTF-8", "UTF-7"))


def test_undeclared_entities_are_not_well_formed():
    assert "not well-formed" in refused(MESSAGE.replace("Noodles", "&a;"))


WRONG = [
    ("<MsgId>M1</MsgId>", "", "has no MsgId"),
    ("<MsgId>M1</MsgId>", "<MsgId>M1</MsgId>" * 2, "more than once"),
    ("<MsgId>M1</MsgId>", "<MsgId> M1</MsgId>", "not an id"),
    ("<MsgId>M1</MsgId>", "<MsgId><a/></MsgId>", "holds elements"),
    (">1234.00<", ">1234,00<", "not an amount"),
    (">1234.00<", ">1234.001<", "more digits"),
    (">1234.00<", ">1.234e3<", "not an amount"),
    (">1234.00<", ">-1234.00<", "not an amount"),
    (">1234.00<", ">0.00<", "amount"),
    (">1234.00<", ">١٢٣٤.00<", "not an amount"),
    ("<CtrlSum>1234.00<", "<CtrlSum>1234.01<", "CtrlSum"),
    ("<NbOfTxs>1<", "<NbOfTxs>2<", "NbOfTxs"),
    ('Ccy="CNY"', 'Ccy="EUR"', "currency"),
    ('Ccy="CNY"', 'Ccy="cny"', "currency"),
    ('Ccy="CNY"', "", "currency"),
    ("<Dt>2026-11-22<", "<Dt>2026-11-31<", "not a day"),
    ("<CreDtTm>2026", "<CreDtTm>20x6", "not an instant"),
    ("<PmtMtd>TRF<", "<PmtMtd>CHK<", "by transfer"),
    ("<Dbtr>", "<InstrForDbtrAgt>hold</InstrForDbtrAgt><Dbtr>", "not served"),
    ("pain.001.001.09", "pain.001.001.03", "version"),
    ("</Document>", "", "well-formed"),
    ("<GrpHdr>", "<GrpHdr>money", "text between"),
    ("<Nm>Li<", "<Nm>Li\x7f<", "printable"),
]


@pytest.mark.parametrize(("old", "new", "why"), WRONG)
def test_an_order_that_is_wrong_somewhere_is_refused_whole(old, new, why):
    assert old in MESSAGE
    assert why in refused(MESSAGE.replace(old, new))


def test_amounts_are_exact():
    """Zeros behind the last digit say nothing; no digit is ever rounded."""
    for said, minor in ((">1234<", 123_400), (">1234.0<", 123_400), (">1234.00000<", 123_400)):
        assert minor == pain001.decode(MESSAGE.replace(">1234.00<", said).encode()).total_minor


def test_messages_have_limits(monkeypatch):
    deep = "<a>" * (DEPTH_MAX + 1) + "</a>" * (DEPTH_MAX + 1)

    assert "elements deep" in refused(MESSAGE.replace("<GrpHdr>", deep + "<GrpHdr>"))
    assert "longer than" in refused(b" " * (MESSAGE_MAX_BYTES + 1))
    monkeypatch.setattr(trees, "ELEMENTS_MAX", MESSAGE.count("</") - 1)
    assert "more than" in refused(MESSAGE)
    monkeypatch.undo()
    assert ORDER == pain001.decode(MESSAGE.encode())


@pytest.mark.parametrize("text", ["", "<", "x", "<Document/>", "\x00" * 9, "<a xmlns='b'/>"])
@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_what_is_no_message_is_refused(module, text):
    assert refused(text, module)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_another_message_is_refused(module):
    """Right namespace, wrong message."""
    text = f'<Document xmlns="{module.NAMESPACE}"><Other/></Document>'
    assert "Other" in refused(text, module)


def test_the_id_of_a_wrong_order_is_still_found():
    """So that a refusal can name the order that it is about."""
    assert "M1" == pain001.message_id_of(MESSAGE.replace("TRF", "CHK").encode())
    assert "" == pain001.message_id_of(b"nothing")
