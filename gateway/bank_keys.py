"""The keys between us and the bank, read in the process that needs them."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.settings import SettingsError, read_reference
from gateway.settings_home import Bank


def bank_keys(bank: Bank, *, livemode: bool) -> tuple[RSAPrivateKey, RSAPublicKey]:
    """Ours, which signs, and the bank's. Raise SettingsError, never with a key in it."""
    ours = read_reference(bank.customer_key, livemode=livemode)
    theirs = read_reference(bank.bank_key, livemode=livemode, secret=False)
    return _private(bank.customer_key, ours), _public(bank.bank_key, theirs)


def _private(reference: str, pem: bytes) -> RSAPrivateKey:
    wrong = SettingsError(f"bank.customer_key {reference}: not a private RSA key in PEM")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise wrong from None
    if not isinstance(key, RSAPrivateKey):
        raise wrong
    return key


def _public(reference: str, pem: bytes) -> RSAPublicKey:
    wrong = SettingsError(f"bank.bank_key {reference}: not a public RSA key in PEM")
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise wrong from None
    if not isinstance(key, RSAPublicKey):
        raise wrong
    return key
