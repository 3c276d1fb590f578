"""Settings: which source wins, what is refused, and what a data directory keeps to itself."""

import stat

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import (
    SettingsError,
    client_variables,
    default_data_dir,
    load,
    load_secrets,
    make_data_dir,
    read_ready,
    schema,
    write_private,
    write_ready,
)
from payments.ids import SeededEntropy


def loaded(tmp_path, toml="", flags=None, **environ):
    path = tmp_path / "tillway.toml"
    path.write_text(toml)
    return load(path, flags, {"XDG_DATA_HOME": str(tmp_path), **environ})


def test_the_defaults_are_a_working_test_deployment(tmp_path):
    """One simulated channel, the fee and the limits of the demo."""
    settings = load(None, None, {"XDG_DATA_HOME": str(tmp_path)})

    assert ("test", "ray", 8080) == (settings.mode, settings.runtime, settings.http.port)
    assert 3_800 == settings.fees["default"].rate_ppm
    assert 5_000_000 == settings.risk.single_max_minor
    assert ["simulated"] == [channel.account for channel in settings.asked]
    assert settings.data_path == default_data_dir("data", {"XDG_DATA_HOME": str(tmp_path)})


PRECEDENCE = """
    # file  variable  flag  -> port
      -     -         -        8080
      1     -         -        1
      1     2         -        2
      1     2         3        3
      -     2         -        2
      1     -         3        3
"""


@pytest.mark.parametrize(
    ("file", "variable", "flag", "port"),
    [line.split() for line in PRECEDENCE.splitlines() if line and "#" not in line],
)
def test_flags_win_over_the_environment_over_the_file(tmp_path, file, variable, flag, port):
    """And the file over the defaults."""
    settings = loaded(
        tmp_path,
        f"[http]\nport = {file}\n" if file != "-" else "",
        {"http.port": int(flag) if flag != "-" else None},
        **({"TILLWAY_HTTP__PORT": variable} if variable != "-" else {}),
    )
    assert int(port) == settings.http.port


@given(st.integers(0, 65_535), st.integers(1, 1_000), st.sampled_from(["ray", "local"]))
def test_a_variable_says_the_same_as_a_flag(port, shards, runtime):
    """Text becomes the type that the setting has."""
    by_variable = load(
        None,
        None,
        {
            "TILLWAY_HTTP__PORT": str(port),
            "TILLWAY_SHARDS__COUNT": str(shards),
            "TILLWAY_RUNTIME": runtime,
            "TILLWAY_DATA_DIR": "d",
        },
    )
    flags = {"http.port": port, "shards.count": shards, "runtime": runtime, "data_dir": "d"}
    assert load(None, flags, {}) == by_variable


UNKNOWN = {
    "[http]\nprot = 1": "http.prot in .* did you mean http.port",
    "[htp]\nport = 1": "htp in .* did you mean http",
    "[risk]\nsingle_max = 5": "risk.single_max .* did you mean risk.single_max_minor",
    '[[channels]]\nname = "a"\nacount = "a"': "channels.acount .* did you mean channels.account",
    "[fees.gold]\nrate = 1": "fees.gold.rate .* did you mean fees.gold.rate_ppm",
    "zzz = 1": "zzz .* known here: mode",
}


@pytest.mark.parametrize("toml", UNKNOWN)
def test_an_unknown_key_is_an_error_that_suggests_the_right_one(tmp_path, toml):
    """A misspelt limit must not be silently the default."""
    with pytest.raises(SettingsError, match=UNKNOWN[toml]):
        loaded(tmp_path, toml)


WRONG = {
    "[http]\nport = 70000": "http.port",
    "[http]\nport = '8080'": "http.port",
    "mode = 'demo'": "mode",
    "[shards.partitions_dedicated]\n255 = 0": "255 is shared",
    "[shards.partitions_dedicated]\n256 = 1": "given to shard 1",
    "[http": "tillway.toml",
}


@pytest.mark.parametrize("toml", WRONG)
def test_a_wrong_value_is_named(tmp_path, toml):
    """By its key, or the line of the file."""
    with pytest.raises(SettingsError, match=WRONG[toml]):
        loaded(tmp_path, toml)


def test_wrong_variables_are_named_too(tmp_path):
    """With the source, so that one knows where to look."""
    with pytest.raises(SettingsError, match=r"http\.prot in the environment"):
        loaded(tmp_path, TILLWAY_HTTP__PROT="1")
    with pytest.raises(SettingsError, match="'many' is not a value"):
        loaded(tmp_path, TILLWAY_HTTP__PORT="many")
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.toml", None, {})


def test_the_clients_variables_are_not_settings(tmp_path):
    """They are about the server that one talks to."""
    environ = {"TILLWAY_API_KEY": "sk_test_1", "TILLWAY_URL": "http://h"}
    assert loaded(tmp_path, **environ).mode == "test"
    assert ("http://h", "sk_test_1") == client_variables(environ)


def test_a_secret_may_come_from_a_file(tmp_path):
    """`_FILE`: so that it stands in no process list."""
    secret = tmp_path / "cluster"
    secret.write_text("s" * 40 + "\n")
    settings = loaded(tmp_path, TILLWAY_CLUSTER_SECRET_FILE=str(secret))
    assert "s" * 40 == settings.cluster_secret


def test_shown_settings_hide_secrets(tmp_path):
    """In the public form and in the representation."""
    settings = loaded(tmp_path, TILLWAY_DIGEST_SECRET="canary-of-secrets")
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings.to_public_dict())
    assert ("********", "") == (
        settings.to_public_dict()["digest_secret"],
        settings.to_public_dict()["cluster_secret"],
    )


@pytest.mark.parametrize("secret", ["test" + "x" * 40, "sk_test_" + "x" * 40, "short"])
def test_live_mode_refuses_secrets_made_for_tests(tmp_path, secret):
    """And short ones."""
    with pytest.raises(SettingsError, match="live mode needs a secret"):
        loaded(
            tmp_path,
            TILLWAY_MODE="live",
            TILLWAY_REHEARSAL="true",
            TILLWAY_CLUSTER_SECRET=secret,
        )


def test_live_mode_refuses_a_key_file_that_others_can_read(tmp_path):
    """Both one that is named and one that lies in the data directory."""
    secret = tmp_path / "cluster"
    secret.write_text("s" * 40)
    secret.chmod(0o644)
    environ = {"TILLWAY_MODE": "live", "TILLWAY_REHEARSAL": "true"}
    environ["TILLWAY_CLUSTER_SECRET_FILE"] = str(secret)
    with pytest.raises(SettingsError, match="chmod 600"):
        loaded(tmp_path, **environ)
    secret.chmod(0o600)
    settings = loaded(tmp_path, **environ)

    load_secrets(settings, SeededEntropy(1))
    (settings.data_path / "digest.secret").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_secrets(settings, SeededEntropy(1))


def test_secrets_are_made_once_and_are_private(tmp_path):
    """The digest secret must outlive every restart: fingerprints depend on it."""
    settings = loaded(tmp_path)
    first = load_secrets(settings, SeededEntropy(1))
    again = load_secrets(settings, SeededEntropy(2))

    assert first == again
    assert len(first.cluster) >= 32
    assert first.cluster != first.digest
    assert 0o700 == stat.S_IMODE(settings.data_path.stat().st_mode)
    for name in ("cluster.secret", "digest.secret"):
        assert 0o600 == stat.S_IMODE((settings.data_path / name).stat().st_mode)
    assert first.cluster.decode() not in repr(first)


def test_a_private_file_is_replaced_as_a_whole(tmp_path):
    """Whatever its mode was before."""
    path = tmp_path / "keys.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (b"new", 0o600) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    assert [path] == list(tmp_path.iterdir())


def test_a_data_directory_that_cannot_be_is_refused_with_words(tmp_path):
    """A file, a disk that nobody may write to: what is wrong and what to do, no traceback."""
    (tmp_path / "file").write_text("")
    settings = loaded(tmp_path, flags={"data_dir": str(tmp_path / "file" / "d")})

    with pytest.raises(SettingsError, match="Not a directory; choose another with --data"):
        make_data_dir(settings)


def test_the_ready_line_is_found_again(tmp_path):
    """By the command line's client; none is an empty table."""
    settings = loaded(tmp_path, flags={"data_dir": str(tmp_path / "d")})
    make_data_dir(settings)
    assert {} == read_ready(settings.data_path)
    write_ready(settings, {"api": "http://h", "api_key": "k"})
    assert {"api": "http://h", "api_key": "k"} == read_ready(settings.data_path)


def test_settings_travel_as_json(tmp_path):
    """Processes of one deployment read them from a file; the schema describes that file."""
    settings = loaded(tmp_path)
    copy = msgspec.json.decode(msgspec.json.encode(settings), type=type(settings))
    assert settings == copy
    assert "Http" in schema()["$defs"]


ALLOWED = [
    ("[http]\nport = 70000", {}, r"http\.port in .*tillway\.toml: 70000 .*<= 65535"),
    ("", {"TILLWAY_SHARDS__COUNT": "0"}, r"shards\.count in the environment: 0 .*>= 1"),
    ("mode = 'demo'", {}, r"mode in .*tillway\.toml: 'demo' .*"),
    (
        '[[channels]]\nname="a"\naccount="a"\nwallets=["x"]\nways=["qr"]',
        {},
        r"channels\.0\.wallets",
    ),
]


@pytest.mark.parametrize(("toml", "environ", "words"), ALLOWED)
def test_a_wrong_value_is_told_with_its_source_and_what_is_allowed(tmp_path, toml, environ, words):
    """The strongest source that has it is the one to mend."""
    with pytest.raises(SettingsError, match=words):
        loaded(tmp_path, toml, **environ)


def test_a_secret_of_the_wrong_kind_is_not_repeated(tmp_path):
    """A number where a text was expected: told by its key alone."""
    with pytest.raises(SettingsError, match="cluster_secret") as found:
        loaded(tmp_path, "cluster_secret = 987654321")
    assert "987654321" not in str(found.value)


def test_live_mode_refuses_a_settings_file_with_secrets_that_others_can_read(tmp_path):
    """One without secrets may be read by everybody."""
    path = tmp_path / "tillway.toml"
    path.write_text(f'mode = "live"\nrehearsal = true\ncluster_secret = "{"s" * 40}"\n')
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load(path, None, {"XDG_DATA_HOME": str(tmp_path)})
    path.chmod(0o600)
    assert load(path, None, {"XDG_DATA_HOME": str(tmp_path)}).livemode
    path.write_text('mode = "live"\nrehearsal = true\n')
    path.chmod(0o644)
    assert load(path, None, {"XDG_DATA_HOME": str(tmp_path)}).livemode


def test_the_schema_takes_a_file_with_the_keys_that_differ_and_no_others(tmp_path):
    """As an editor or a checker uses it."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema())
    assert (
        list(validator.iter_errors({"http": {"port": 8090}, "risk": {"single_max_minor": 5}})) == []
    )
    for wrong in ({"htp": {}}, {"http": {"port": 70_000}}, {"mode": "demo"}, {"channels": [{}]}):
        assert list(validator.iter_errors(wrong)), wrong


@pytest.mark.parametrize("prefix", ["13", "1", "xx"])
def test_the_digital_yuans_codes_are_nobody_elses(tmp_path, prefix):
    """Their first two digits are a setting; another wallet's are refused."""
    assert loaded(tmp_path, 'ecny_prefix = ""').ecny_prefix == ""
    with pytest.raises(SettingsError):
        loaded(tmp_path, f'ecny_prefix = "{prefix}"')
