"""Whose certificate in an ACP answer counts: issuer, name, validity, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as elliptic
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from payments.channels.unionpay.certificates import PEM_MAX, Trust, cert_id, holder
from payments.clock import SystemClock

NAME = "041@Z12@SIGNER@1"
NOW = SystemClock().real_ms()
ROOT = generate_private_key(65537, 2048)
KEY = generate_private_key(65537, 2048)
SHORT = generate_private_key(65537, 1024)  # noqa: S505 - to be refused


def certificate(
    name: str, key, issuer_name: str, issuer_key, *, issues: bool, days: int = 10, start: int = -1
) -> x509.Certificate:
    """A certificate that begins `start` days from now and lasts `days`."""
    now = datetime.now(UTC)
    attribute = x509.oid.NameOID.COMMON_NAME
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(attribute, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(attribute, issuer_name)]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=start + days))
        .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
        .sign(issuer_key, SHA256())
    )


def _pem(one) -> str:
    return one.public_bytes(Encoding.PEM).decode()


def _root(key=ROOT, name="ROOT"):
    return certificate(name, key, name, key, issues=True)


def _leaf(name=NAME, key=KEY, issuer="ROOT", issuer_key=ROOT, **more):
    return certificate(name, key, issuer, issuer_key, issues=more.pop("issues", False), **more)


@pytest.fixture
def trust() -> Trust:
    return Trust(_pem(_root()).encode(), ("SIGNER",))


def test_a_certificate_of_our_issuer_for_the_pinned_name_counts(trust):
    key = trust.key_of(_pem(_leaf()), NOW)
    assert key is not None
    assert KEY.public_key().public_numbers() == key.public_numbers()


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(_leaf("041@Z12@MALLORY@1"), id="another name"),
        pytest.param(_leaf("SIGNER@Z12@MALLORY@1"), id="the name in another place"),
        pytest.param(_leaf("MALLORY"), id="a bare other name"),
        pytest.param(_leaf(issuer="ROOT", issuer_key=KEY), id="a namesake of the issuer"),
        pytest.param(_leaf(issuer=NAME, issuer_key=KEY), id="signed by itself"),
        pytest.param(_leaf(days=5, start=-10), id="expired"),
        pytest.param(_leaf(days=5, start=1), id="not yet valid"),
        pytest.param(_leaf(issues=True), id="an issuer"),
        pytest.param(_leaf(key=SHORT), id="a short key"),
        pytest.param(_leaf(key=elliptic(SECP256R1())), id="another kind of key"),
        pytest.param(_root(), id="the issuer's own"),
    ],
)
def test_no_other_certificate_counts(trust, leaf):
    assert trust.key_of(_pem(leaf), NOW) is None


@pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----", "x" * (PEM_MAX + 1), "é"])
def test_what_is_no_certificate_does_not_count(trust, pem):
    assert trust.key_of(pem, NOW) is None


def test_a_certificate_that_was_checked_once_expires_all_the_same(trust):
    pem = _pem(_leaf(days=3))
    assert trust.key_of(pem, NOW) is not None
    assert trust.key_of(pem, NOW + 3 * 86_400_000) is None
    assert trust.key_of(pem, NOW) is not None


def test_a_chain_ends_at_a_root_of_ours():
    middle_key = generate_private_key(65537, 2048)
    middle = certificate("MIDDLE", middle_key, "ROOT", ROOT, issues=True)
    leaf = _pem(_leaf(issuer="MIDDLE", issuer_key=middle_key))
    both = (_pem(middle) + _pem(_root())).encode()
    assert Trust(both, ("SIGNER",)).key_of(leaf, NOW) is not None
    assert Trust(_pem(_root()).encode(), ("SIGNER",)).key_of(leaf, NOW) is None


def test_the_signers_own_certificate_in_the_bundle_is_no_authority():
    bundle = (_pem(_leaf()) + _pem(_root())).encode()
    trust = Trust(bundle, ("SIGNER",))
    assert trust.key_of(_pem(_leaf()), NOW) is not None
    below = _leaf("041@Z12@SIGNER@2", issuer=NAME, issuer_key=KEY)
    assert trust.key_of(_pem(below), NOW) is None


@pytest.mark.parametrize(
    ("bundle", "names"),
    [(_pem(_leaf()), ("SIGNER",)), (_pem(_root()), ()), (_pem(_root()), ("",))],
)
def test_trust_needs_an_issuer_and_a_name(bundle, names):
    with pytest.raises(ValueError, match=r"needed|issuer"):
        Trust(bundle.encode(), names)


def test_the_serial_is_decimal_and_the_holder_the_third_part():
    assert ("7", "SIGNER") == (cert_id(_leaf()), holder(_leaf()))
    assert "中国银联股份有限公司" == holder(_leaf("041@Z12@中国银联股份有限公司@1"))
    assert "PLAIN" == holder(_leaf("PLAIN"))
