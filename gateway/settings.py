"""The only reader of configuration files and of the environment.

Precedence: flags > environment > the file given > the defaults in `config/*.toml`. A variable is
`TILLWAY_` and the key, tables joined by two underscores (`TILLWAY_HTTP__PORT=8090`). With `_FILE`
at its end it names a file that holds the value (`TILLWAY_CLUSTER_SECRET_FILE`). An unknown key is
an error that suggests the right one.
"""

import copy
import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from gateway.settings_shape import SECRET_FIELDS, Risk
from gateway.settings_shape import Settings as Settings
from payments.ids import Entropy

ENV_PREFIX: Final = "TILLWAY_"
FILE_SUFFIX: Final = "_FILE"
ENV_OTHERS: Final = frozenset(
    {"TILLWAY_API_KEY", "TILLWAY_API_KEY_FILE", "TILLWAY_URL", "TILLWAY_CONFIG"}
)
"""Variables that are not settings: the client's key and address, and where the file is."""

DEFAULT_FILES: Final = (
    *("tillway.toml", "fees.toml", "risk.toml", "channels.toml"),
    *("settlement.toml", "workdays.toml"),
)
SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
READY_FILE: Final = "demo.json"
SECRET_BYTES: Final = 32
FILE_BYTES_MAX: Final = 256 * 1024 * 1024
KEY_BYTES_MAX: Final = 16 * 1024 * 1024
"""A file with a key, a certificate, or the tokens of all merchants."""

TEST_SECRETS: Final = ("sk_test_", "hs_test_", "op_test_", "test")
LIVE_SECRET_MIN: Final = 32

Tree = dict[str, Any]


class SettingsError(ValueError):
    """A setting is wrong; the text names it, where it came from and what to write instead."""


class Secrets(Struct, frozen=True):
    """Made at first start, kept in 0600 files, never in arguments (of processes or of Ray).

    `cluster`: proves each side of a link. `digest`: keys the digests of idempotency keys, order
    numbers and auth codes; it must stay the same for the life of the data.
    """

    cluster: bytes
    digest: bytes

    def __repr__(self) -> str:
        return "Secrets()"


# --- loading ---------------------------------------------------------------------------------


def load(
    config: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read all sources and check them. `flags`: dotted key -> value. Raise SettingsError."""
    environ = os.environ if environ is None else environ
    if config is None and environ.get("TILLWAY_CONFIG"):
        config = Path(environ["TILLWAY_CONFIG"])
    sources = list(_sources(config, flags or {}, environ))
    tree: Tree = {}
    for source, part in sources:
        _merge(tree, _checked(copy.deepcopy(part), source))
    if not tree.get("data_dir"):
        tree["data_dir"] = str(default_data_dir("data", environ))
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_wrong(str(error), sources)) from None
    if settings.livemode:
        _refuse_test_things(settings, environ)
        if config is not None and SECRET_FIELDS & read_table(config).keys():
            refuse_readable_by_others(config)
    return settings


def _sources(
    config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[tuple[str, Tree]]:
    """Each source by name, the weakest first."""
    for name in DEFAULT_FILES:
        yield name, _parse(data_text(name), name)
    if config is not None:
        yield str(config), read_table(config)
    yield "the environment", _nested(dict(_variables(environ)), "__", ENV_PREFIX)
    for key, value in flags.items():
        if value is not None:
            yield "the command line", _nested({key: value}, ".", "")


YES_OR_NO: Final = {"true": True, "false": False}

_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def _wrong(complaint: str, sources: list[tuple[str, Tree]]) -> str:
    """What a wrong value is, by its key, the source it came from and what is allowed."""
    found = _AT.match(complaint)
    path = found["path"] if found is not None else None
    if found is None or path is None:
        return f"settings: {complaint}"
    steps = [name or number for name, number in _STEP.findall(path)]
    key = ".".join(steps)
    for source, tree in reversed(sources):
        value = _value_at(tree, steps)
        if value is not None:
            # A channel's or bank's text may be a key that somebody put in the place of its address.
            may_be_secret = steps[-1] in SECRET_FIELDS or (
                steps[0] in ("channels", "bank") and isinstance(value, str)
            )
            shown = "" if may_be_secret or isinstance(value, dict) else f" {value!r}"
            return f"{key} in {source}:{shown} is not allowed: {found['what']}"
    return f"{key}: {found['what']}"


def _value_at(tree: Any, steps: list[str]) -> Any:
    """What stands at a path; None for nothing."""
    for step in steps:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return None
    return tree


def default_data_dir(name: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where data lies when nothing is said: `$XDG_DATA_HOME/tillway/<name>`."""
    environ = os.environ if environ is None else environ
    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "tillway" / name


def client_variables(environ: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """The client's (TILLWAY_URL, TILLWAY_API_KEY), the key also from TILLWAY_API_KEY_FILE."""
    environ = os.environ if environ is None else environ
    key, file = environ.get("TILLWAY_API_KEY"), environ.get("TILLWAY_API_KEY_FILE")
    if not key and file:
        try:
            key = Path(file).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"TILLWAY_API_KEY_FILE={file}: {error.strerror}") from None
    return environ.get("TILLWAY_URL") or None, key or None


def forbid_color() -> None:
    """As if NO_COLOR were set: for this process, and for those that it starts."""
    os.environ["NO_COLOR"] = "1"


def schema() -> dict[str, Any]:
    """The JSON Schema of a settings file, which says only what differs from the defaults."""
    made = msgspec.json.schema(Settings)
    for name in (Settings.__name__, Risk.__name__):
        made["$defs"][name].pop("required", None)
    return {"$schema": SCHEMA_DIALECT, "title": "Tillway settings", **made}


def data_text(name: str) -> str:
    """A file of `config/`: inside the installed package, or beside it in a checkout."""
    installed = resources.files("gateway") / "_config" / name
    if installed.is_file():
        return installed.read_text("utf-8")
    return (Path(__file__).resolve().parent.parent / "config" / name).read_text("utf-8")


def demo_seed() -> Tree:
    """What the demo starts with: the table of `config/demo-seed.toml`."""
    return _parse(data_text("demo-seed.toml"), "demo-seed.toml")


def read_table(path: Path) -> Tree:
    """A TOML or (`.json`) JSON file. Raise SettingsError when it cannot be read."""
    return _parse(file_content(path).decode("utf-8", "replace"), str(path))


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file. Raise SettingsError when it cannot be read."""
    return hashlib.sha256(file_content(path)).hexdigest()


def file_content(path: Path) -> bytes:
    """A file of settings or seeds. Raise SettingsError when it cannot be read."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SettingsError(f"{path} is over {FILE_BYTES_MAX} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; check the path") from None


def _parse(text: str, name: str) -> Tree:
    try:
        table = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
    if not isinstance(table, dict):
        raise SettingsError(f"{name}: a table was expected")
    return table


def _merge(tree: Tree, over: Tree) -> None:
    """Tables are merged, everything else is replaced."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _nested(flat: Mapping[str, Any], separator: str, prefix: str) -> Tree:
    tree: Tree = {}
    for name, value in flat.items():
        *tables, key = name.removeprefix(prefix).split(separator)
        inner = tree
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[key] = _from_text((*tables, key), value) if isinstance(value, str) else value
    return tree


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(setting with its tables, text) of each TILLWAY_ variable; *_FILE is read here."""
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name in ENV_OTHERS:
            continue
        setting = name.removeprefix(ENV_PREFIX).lower()
        text = environ[name]
        # `seed_file` is itself a setting: only an unknown name can mean a file of another.
        if name.endswith(FILE_SUFFIX) and _type_at(setting.split("__")) is None:
            setting = setting.removesuffix(FILE_SUFFIX.lower())
            try:
                text = Path(text).read_text("utf-8").strip()
            except OSError as error:
                raise SettingsError(f"{name}={text}: {error.strerror}") from None
        yield setting, text


# --- unknown keys, and text to values --------------------------------------------------------


def _checked(tree: Tree, source: str) -> Tree:
    """The same tree. Raise SettingsError for a key that no setting has."""
    _check(tree, _shape(), (), source)
    return tree


@cache
def _shape() -> inspect.Type:
    """What may stand where. Found out once: it took most of the time of reading settings."""
    return inspect.type_info(Settings)


def _check(value: object, shape: inspect.Type, path: tuple[str, ...], source: str) -> None:
    shape = _bare(shape)
    if isinstance(shape, inspect.StructType) and isinstance(value, dict):
        fields = {each.encode_name: each.type for each in shape.fields}
        for key, inner in value.items():
            if key not in fields:
                raise SettingsError(_unknown((*path, str(key)), list(fields), source))
            _check(inner, fields[key], (*path, key), source)
    elif isinstance(shape, inspect.DictType) and isinstance(value, dict):
        for key, inner in value.items():
            _check(inner, shape.value_type, (*path, str(key)), source)
    elif isinstance(shape, inspect.VarTupleType) and isinstance(value, list):
        for inner in value:
            _check(inner, shape.item_type, path, source)


def _unknown(path: tuple[str, ...], known: list[str], source: str) -> str:
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
    advice = (
        f"did you mean {'.'.join((*path[:-1], near[0]))}?"
        if near
        else f"known here: {', '.join(known)}"
    )
    return f"{'.'.join(path)} in {source} is not a setting; {advice}"


def _type_at(path: list[str] | tuple[str, ...]) -> inspect.Type | None:
    shape: inspect.Type | None = _shape()
    for key in path:
        if isinstance(shape, inspect.StructType):
            shape = next((each.type for each in shape.fields if each.encode_name == key), None)
        elif isinstance(shape, inspect.DictType):
            shape = shape.value_type
        else:
            return None
        shape = _bare(shape) if shape is not None else None
    return shape


def _bare(shape: inspect.Type) -> inspect.Type:
    """A type without its description; of a table or nothing, the table."""
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    if isinstance(shape, inspect.UnionType):
        tables = [one for one in shape.types if isinstance(one, inspect.StructType)]
        return tables[0] if tables else shape
    return shape


def _from_text(path: tuple[str, ...], text: str) -> object:
    """A variable's text as its setting needs it: numbers, true and false, JSON for tables."""
    shape = _type_at(path)
    try:
        if isinstance(shape, inspect.IntType):
            return int(text)
        if isinstance(shape, inspect.BoolType) and text in YES_OR_NO:
            return YES_OR_NO[text]
        if isinstance(shape, inspect.VarTupleType | inspect.DictType | inspect.StructType):
            return json.loads(text)
    except ValueError:
        raise SettingsError(f"{'.'.join(path)}: {text[:40]!r} is not a value for it") from None
    return text


# --- live mode -------------------------------------------------------------------------------


def _refuse_test_things(settings: Settings, environ: Mapping[str, str]) -> None:
    for name, secret in (
        ("cluster_secret", settings.cluster_secret),
        ("digest_secret", settings.digest_secret),
    ):
        if secret.startswith(TEST_SECRETS) or 0 < len(secret) < LIVE_SECRET_MIN:
            raise SettingsError(
                f"{name}: live mode needs a secret of {LIVE_SECRET_MIN} characters or more "
                "that was not made for tests"
            )
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name.endswith(FILE_SUFFIX):
            refuse_readable_by_others(Path(environ[name]))


def read_reference(reference: str, *, livemode: bool, secret: bool = True) -> bytes:
    """What a setting `file:/…` or `env:…` points at. Raise SettingsError, never with its content.

    Called in the process that needs it. A secret's file is its owner's alone in live mode.
    """
    kind, _, place = reference.partition(":")
    if kind == "env":
        text = os.environ.get(place, "")
        if not text:
            raise SettingsError(f"{reference}: the variable is not set")
        return text.encode()
    path = Path(place)
    try:
        if livemode and secret:
            refuse_readable_by_others(path)
        if path.stat().st_size > KEY_BYTES_MAX:
            raise SettingsError(f"{reference}: over {KEY_BYTES_MAX} bytes is no key")
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{reference}: {error.strerror}; check the path") from None
    if not content.strip():
        raise SettingsError(f"{reference}: the file is empty")
    return content


def refuse_readable_by_others(path: Path) -> None:
    """Raise SettingsError when somebody else on the machine may read a file of secrets."""
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"{path} can be read by others; run: chmod 600 {path}")


# --- the data directory and its secrets ------------------------------------------------------


def make_data_dir(settings: Settings) -> Path:
    """Make the data directory, for its owner only. Return it; raise SettingsError."""
    path = settings.data_path
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be the data directory: {error.strerror}; choose another with --data"
        ) from None
    return path


def load_secrets(settings: Settings, entropy: Entropy) -> Secrets:
    """The secrets that are set, else those in the data directory, made at the first start."""
    directory = make_data_dir(settings)

    def one(name: str, given: str) -> bytes:
        if given:
            return given.encode()
        path = directory / f"{name}.secret"
        if not path.exists():
            write_private(path, entropy.bytes(SECRET_BYTES).hex().encode())
        if settings.livemode:
            refuse_readable_by_others(path)
        return path.read_bytes().strip()

    return Secrets(one("cluster", settings.cluster_secret), one("digest", settings.digest_secret))


def write_ready(settings: Settings, ready: Mapping[str, Any]) -> None:
    """Leave the line that says the server is up where the command line's client looks for it."""
    write_private(settings.data_path / READY_FILE, json.dumps(ready).encode())


def read_ready(data: Path) -> Tree:
    """That line, of the server that was started last on a data directory; {} for none."""
    path = data / READY_FILE
    return _parse(path.read_text("utf-8"), path.name) if path.exists() else {}


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all, and durable."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
