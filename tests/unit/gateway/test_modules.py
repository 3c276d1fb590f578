"""Each part alone: which routes, boxes and words there are with which modules."""

import json
import re
from types import SimpleNamespace

import pytest
import typer

from gateway.cli.openapi import openapi
from gateway.errors import ModuleNotServed
from gateway.handlers.docs import serving
from gateway.main import Gateway
from gateway.modules import (
    ACQUIRING,
    CUSTODY,
    MODULES,
    PATHS,
    SPLITTING,
    in_order,
    is_served,
    is_told,
    modules_of,
)
from gateway.openapi.document import document, document_bytes
from gateway.processes import accounts_of
from gateway.routing_table import ROUTES, make_router
from gateway.settings import SettingsError, load

COMBINATIONS = [(ACQUIRING,), (CUSTODY,), (SPLITTING,), (CUSTODY, SPLITTING)]
"""All three together are what tests/unit/gateway/test_openapi.py looks at."""

ALWAYS = {
    "/v1/payments", "/v1/refunds", "/v1/merchants", "/v1/stores", "/v1/terminals", "/v1/keys",
    "/v1/webhook_endpoints", "/v1/events", "/v1/status", "/v1/ledger", "/v1/test_helpers",
    "/openapi.json", "/docs",
}  # fmt: skip
"""Beginnings of paths that every deployment has, whatever its modules."""

SERVED = """
    # method  path                                 acquiring  custody  splitting
    POST      /v1/payments                         yes        no       no
    GET       /v1/payments                         yes        yes      yes
    GET       /v1/payments/{id}                    yes        yes      yes
    GET       /v1/payments/{id}/splits             no         yes      yes
    POST      /v1/payments/{id}/cancel             yes        no       no
    POST      /v1/payments/{id}/refunds            yes        no       no
    GET       /v1/refunds/{id}                     yes        yes      yes
    POST      /v1/qr_plates                        yes        no       no
    GET       /p/{token}                           yes        no       no
    POST      /p/{token}/pay                       yes        no       no
    POST      /callbacks/{channel}/{account}/{token}  yes     no       no
    POST      /v1/test_helpers/payments/{id}/pay   yes        no       no
    POST      /v1/test_helpers/clocks              yes        yes      yes
    POST      /v1/reported_payments                no         yes      yes
    POST      /v1/reported_payments/{id}/refunds   no         yes      yes
    POST      /v1/receivers                        no         yes      yes
    GET       /v1/balances                         no         yes      yes
    POST      /v1/split_rules                      no         no       yes
    POST      /v1/settlement_accounts              no         yes      no
    GET       /v1/status                           yes        yes      yes
    GET       /v1/ledger/trial_balance             yes        yes      yes
"""
ROWS = [line.split() for line in SERVED.strip().splitlines()[1:]]


def settings_with(tmp_path, *modules, **flags):
    return load(None, {"modules": modules, "data_dir": str(tmp_path), **flags}, {})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_module_alone_has_its_routes(row):
    """The table of docs/MODULES.md."""
    method, template, *expected = row

    found = ["yes" if is_served(method, template, (one,)) else "no" for one in MODULES]

    assert expected == found
    assert any((route.method, route.template) == (method, template) for route in ROUTES)


@pytest.mark.parametrize("modules", COMBINATIONS, ids="+".join)
def test_the_document_tells_what_is_served_and_no_more(modules):
    """Each route that answers is in it, and every reference leads somewhere."""
    text = document_bytes(modules).decode()
    described = json.loads(text)

    paths = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
    wanted = set(re.findall(r'"\$ref": ?"#/components/([^"]+)"', text))
    there = {f"{part}/{name}" for part, each in described["components"].items() for name in each}
    assert "schemas/Payment" in wanted
    assert set() == wanted - there
    assert paths == {
        (route.method, route.template)
        for route in ROUTES
        if is_served(route.method, route.template, modules)
    }
    assert set(described["webhooks"]) == {
        kind for kind in document()["webhooks"] if is_told(kind, modules)
    }


@pytest.mark.parametrize("modules", [*COMBINATIONS, MODULES], ids="+".join)
def test_the_command_prints_what_such_a_gateway_serves(modules, tmp_path):
    """`tillway openapi --modules`: the same document, without a server."""
    kept = tmp_path / "openapi.json"

    openapi(kept, " ,".join(reversed(modules)))

    assert json.loads(document_bytes(modules)) == json.loads(kept.read_text())


def test_the_command_knows_no_other_modules(tmp_path):
    """It says which was meant, and writes nothing."""
    kept = tmp_path / "openapi.json"

    with pytest.raises(typer.BadParameter, match="did you mean custody"):
        openapi(kept, "acquiring,custdy")
    with pytest.raises(typer.BadParameter, match="is no module"):
        openapi(kept, "")

    assert not kept.exists()


@pytest.mark.parametrize("modules", COMBINATIONS, ids="+".join)
async def test_the_reader_shows_the_document_of_what_is_served(modules):
    """/openapi.json answers by the settings; the page of /docs asks for that address."""
    door = SimpleNamespace(settings=SimpleNamespace(modules=modules), reply=lambda *said, **_: said)
    call = SimpleNamespace(door=door, headers={})

    _, status, body, *_ = await serving("openapi.json")(call)
    _, _, page, *_ = await serving("docs")(call)

    assert (200, document_bytes(modules)) == (status, body)
    assert b"/openapi.json" in page


async def test_an_absent_path_names_its_module_and_how_to_add_it():
    """404, before anybody asks for a key; a path that nobody has is another matter."""
    router = make_router((ACQUIRING,))

    route, _ = router.find("POST", "/v1/reported_payments")

    assert not route.authenticated
    with pytest.raises(ModuleNotServed, match=r"custody or splitting.*--modules") as refused:
        await route.handler(None)
    assert 404 == refused.value.status
    assert "create" == router.find("POST", "/v1/payments")[0].handler.__name__


def test_every_route_has_chosen_its_module():
    """A new resource is entered in gateway/modules.py, or here among those that all have."""
    undecided = [
        route.template
        for route in ROUTES
        if not modules_of(route.method, route.template)
        and not any(route.template.startswith(begin) for begin in ALWAYS)
        and route.template.split("/")[1] != "openapi.json"
    ]

    assert [] == undecided
    assert {name for names in PATHS.values() for name in names} == set(MODULES)


def test_names_are_checked_and_suggested(tmp_path):
    """By the flag, the file and the environment alike."""
    assert MODULES == load(None, {"data_dir": str(tmp_path)}, {}).modules
    assert (CUSTODY,) == settings_with(tmp_path, CUSTODY).modules
    listed = {"TILLWAY_MODULES": '["splitting"]'}
    assert (SPLITTING,) == load(None, {"data_dir": str(tmp_path)}, listed).modules
    assert (ACQUIRING, SPLITTING) == in_order([SPLITTING, ACQUIRING, SPLITTING])
    with pytest.raises(SettingsError, match="'custdy' is no module; did you mean custody"):
        settings_with(tmp_path, "custdy")
    with pytest.raises(SettingsError, match="there is: acquiring, custody, splitting"):
        settings_with(tmp_path, "everything")
    with pytest.raises(SettingsError, match="name at least one"):
        settings_with(tmp_path)


def boxes(settings):
    gateway = Gateway(settings, json_ready=True)
    return {spec.name for spec in gateway._specs(settings.data_path / "settings.json", "")}


def test_boxes_are_those_of_the_modules(tmp_path):
    """No lane where nothing is asked; shard, directory, courier and front doors in all of them."""
    alone = boxes(settings_with(tmp_path, CUSTODY))
    whole = boxes(settings_with(tmp_path, *MODULES))

    assert {"shard-0", "directory", "courier", "front-door-0"} <= alone
    assert not [name for name in alone if name.startswith("lane")]
    assert {"lane-simulated-0"} == {name for name in whole if name.startswith("lane")}


def test_where_nothing_is_asked_no_account_serves_a_way(tmp_path):
    """The shard waits for no lane, and knows the external account all the same."""
    for modules in ((CUSTODY,), MODULES):
        external = {
            account.name: (account.ways, account.is_external)
            for account in accounts_of(settings_with(tmp_path, *modules))
        }
        assert ((), True) == external["external"]
        assert bool(external["simulated"][0]) is (ACQUIRING in modules)


@pytest.mark.parametrize(
    ("kind", "extra", "words"),
    [
        ("external", 'wallets = ["alipay"]\nways = ["qr"]', "has no wallets and ways"),
        ("simulated", "", "wallets and ways are missing"),
        ("external", 'base_url = "https://a.example"', "has no address"),
    ],
)
def test_an_external_account_is_asked_nothing(tmp_path, kind, extra, words):
    """So it has nothing to be asked with; any other has."""
    table = f'[[channels]]\nname = "a"\naccount = "a"\nkind = "{kind}"\n{extra}\n'
    path = tmp_path / "tillway.toml"
    path.write_text(table)

    with pytest.raises(SettingsError, match=words):
        load(path, {"data_dir": str(tmp_path)}, {})


def test_a_live_gateway_may_have_external_accounts_alone(tmp_path):
    """Nobody is charged by it, and nobody is meant to be."""
    path = tmp_path / "tillway.toml"
    path.write_text('[[channels]]\nname = "a"\naccount = "a"\nkind = "external"\n')

    live = load(path, {"data_dir": str(tmp_path), "mode": "live", "modules": [CUSTODY]}, {})

    assert () == live.asked
