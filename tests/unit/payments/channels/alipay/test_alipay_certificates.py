"""Alipay's certificate mode: serials, chains, and answers that name their certificate.

The independent client computes the same serials: see the contract's SDK test.
"""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.alipay import certificates, wire
from payments.channels.alipay.certificates import Chain
from payments.channels.alipay.wire import Unreadable
from rigs import rsa_key


@pytest.fixture
def chain():
    return Chain(rsa_key("shop"), rsa_key("channel"), "seed")


def test_a_serial_is_the_digest_of_issuer_and_number(chain):
    """The issuer's most specific part first, the serial number in decimal."""
    text = f"CN=Sandbox Root,OU=Sandbox,O=Tillway,C=CN{chain.app.serial_number}"

    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert expected == certificates.serial_of(chain.app) == chain.app_serial


def test_the_roots_serial_leaves_other_algorithms_out(chain):
    """Bundles hold roots that are signed by other means than RSA; those are not named."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = certificates.x509.CertificateBuilder()
    other = (
        builder.subject_name(chain.root.subject)
        .issuer_name(chain.root.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(certificates.VALID_FROM)
        .not_valid_after(certificates.VALID_TO)
        .sign(key, SHA256())
    )
    bundle = [chain.root, other, chain.alipay]

    expected = f"{chain.root_serial}_{chain.alipay_serial}"
    assert expected == certificates.root_serial_of(bundle)
    with pytest.raises(Unreadable):
        certificates.rsa_key_of(other)


def test_a_chain_is_the_same_for_the_same_keys(chain):
    """A restart does not change what clients have stored; three serials, three certificates."""
    again = Chain(rsa_key("shop"), rsa_key("channel"), "seed")

    assert chain.pem() == again.pem()
    assert 3 == len({chain.app_serial, chain.alipay_serial, chain.root_serial})
    loaded = certificates.load(chain.pem()["alipay_cert_pem"])
    public = rsa_key("channel").public_key()
    assert public.public_numbers() == certificates.rsa_key_of(loaded).public_numbers()


@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_refused(text):
    with pytest.raises(Unreadable):
        certificates.load(text)


async def test_an_answer_names_its_certificate_behind_the_signature(alipay):
    chain = alipay.identity.chain
    named = {"app_cert_sn": chain.app_serial, "alipay_root_cert_sn": chain.root_serial}
    biz = {"out_trade_no": "X1"}
    body = await alipay.send(alipay.params("alipay.trade.query", biz, **named))

    assert ["alipay_trade_query_response", "sign", "alipay_cert_sn"] == list(json.loads(body))
    assert chain.alipay_serial == wire.split(body, "alipay.trade.query").certificate
