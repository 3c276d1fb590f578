"""Merchants, stores, terminals and keys, described."""

from typing import Final

from gateway.lists import (
    KEY_FILTERS,
    MERCHANT_FILTERS,
    PLATE_FILTERS,
    STORE_FILTERS,
    TERMINAL_FILTERS,
)
from gateway.openapi.operation import (
    ASKED,
    KEYS,
    MERCHANTS,
    WRITTEN,
    Operation,
    Operations,
    Said,
    listing,
    making,
    reading,
)
from gateway.openapi.shapes import (
    CreatedKeyView,
    KeyView,
    MerchantView,
    PlateView,
    RotatedKeyView,
    StoreView,
    TerminalView,
)
from payments.directory import (
    MerchantChange,
    NewKey,
    NewMerchant,
    NewPlate,
    NewStore,
    NewTerminal,
    PlateChange,
    Rotation,
)

REFERENCE: Final[Operations] = {
    ("POST", "/v1/merchants"): making(
        "createMerchant", MERCHANTS, MerchantView, NewMerchant, scope="merchants:write",
        text="By a platform or an operator. In live mode it begins as an `application`.",
    ),
    ("GET", "/v1/merchants"): listing(
        "listMerchants", MERCHANTS, MerchantView, MERCHANT_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/merchants/{id}"): reading(
        "getMerchant", MERCHANTS, MerchantView, "mch", scope="merchants:read",
    ),
    ("POST", "/v1/merchants/{id}"): Operation(
        "updateMerchant",
        MERCHANTS,
        "Change a merchant",
        {200: Said("The merchant.", MerchantView)},
        "What is given is changed. `status` goes `application → in_review → active → suspended → "
        "closed`.",
        body=MerchantChange,
        key="optional",
        scope="merchants:write",
        prefix="mch",
        problems=(*WRITTEN, "conflict"),
    ),
    ("POST", "/v1/stores"): making(
        "createStore", MERCHANTS, StoreView, NewStore, scope="merchants:write",
    ),
    ("GET", "/v1/stores"): listing(
        "listStores", MERCHANTS, StoreView, STORE_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/stores/{id}"): reading(
        "getStore", MERCHANTS, StoreView, "sto", scope="merchants:read",
    ),
    ("POST", "/v1/terminals"): making(
        "createTerminal", MERCHANTS, TerminalView, NewTerminal, scope="merchants:write",
    ),
    ("GET", "/v1/terminals"): listing(
        "listTerminals", MERCHANTS, TerminalView, TERMINAL_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/terminals/{id}"): reading(
        "getTerminal", MERCHANTS, TerminalView, "trm", scope="merchants:read",
    ),
    ("POST", "/v1/qr_plates"): making(
        "createQrPlate", MERCHANTS, PlateView, NewPlate, scope="merchants:write",
        text="A code that stands on a counter: whoever scans it keys the amount in, and the page "
        "makes the payment (`entry: static`).",
    ),
    ("GET", "/v1/qr_plates"): listing(
        "listQrPlates", MERCHANTS, PlateView, PLATE_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/qr_plates/{id}"): reading(
        "getQrPlate", MERCHANTS, PlateView, "qrp", scope="merchants:read",
    ),
    ("POST", "/v1/qr_plates/{id}"): Operation(
        "updateQrPlate",
        MERCHANTS,
        "Change a plate, or take it out of use",
        {200: Said("The plate.", PlateView)},
        "What is given is changed. A disabled plate takes no payments; it can be enabled again.",
        body=PlateChange,
        key="optional",
        scope="merchants:write",
        prefix="qrp",
        problems=(*WRITTEN, "conflict"),
    ),
    ("POST", "/v1/keys"): making(
        "createKey", KEYS, CreatedKeyView, NewKey, scope="keys:write",
        text="Nobody can grant a scope that they have not. Live mode makes no bearer keys.",
    ),
    ("GET", "/v1/keys"): listing(
        "listKeys", KEYS, KeyView, KEY_FILTERS, scope="keys:read",
    ),
    ("GET", "/v1/keys/{id}"): reading("getKey", KEYS, KeyView, "key", scope="keys:read"),
    ("POST", "/v1/keys/{id}/rotate"): Operation(
        "rotateKey",
        KEYS,
        "Replace a key",
        {201: Said("The key that takes over, with its secret.", RotatedKeyView)},
        "Both work for `overlap_seconds`; then the old one has ended.",
        body=Rotation,
        key="optional",
        scope="keys:write",
        prefix="key",
        problems=(*WRITTEN, "conflict"),
    ),
    ("DELETE", "/v1/keys/{id}"): Operation(
        "revokeKey",
        KEYS,
        "End a key at once",
        {200: Said("The key, revoked.", KeyView)},
        scope="keys:write",
        prefix="key",
        problems=(*ASKED, "conflict"),
    ),
}  # fmt: skip
