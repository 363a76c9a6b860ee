from pathlib import Path

import pytest

from alphaplus.config import Settings, load_settings, settings_environment
from alphaplus.errors import ConfigError


def test_order_is_defaults_file_environment_flags(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[serve]\nport = 1001\n[venue]\nspeed = 2.0\nseed = 1\n")
    settings = load_settings(
        file,
        {"venue": {"seed": 3}},
        {"ALPHAPLUS_VENUE__SPEED": "4", "ALPHAPLUS_VENUE__SEED": "2"},
    )
    assert settings.serve.port == 1001
    assert settings.venue.speed == 4.0
    assert settings.venue.seed == 3
    assert settings.venue.symbols == 10


def test_every_field_can_be_set_by_the_environment_and_back() -> None:
    chosen = load_settings(
        None,
        {
            "feeds": {"symbols": ["BTC-USDT-PERP", "ETH-USDT-PERP"], "record_dir": "/tmp/x"},
            "storage": {"dsn": "postgresql://u:secret@h/d", "deltas": False},
            "analysis": {"depth_bps": [1.0, 2.5]},
        },
        {},
    )
    assert load_settings(None, None, settings_environment(chosen)) == chosen
    assert settings_environment(Settings()) == {}


def test_a_list_is_given_with_commas() -> None:
    settings = load_settings(None, None, {"ALPHAPLUS_FEEDS__SYMBOLS": "A-USDT-PERP, B-USDT-PERP"})
    assert settings.feeds.symbols == ("A-USDT-PERP", "B-USDT-PERP")


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ALPHAPLUS_FEED__SYMBOLS": "x"}, "no section [feed]; did you mean feeds?"),
        ({"ALPHAPLUS_FEEDS__SYMBOL": "x"}, "no setting feeds.symbol; did you mean symbols?"),
        ({"ALPHAPLUS_STORAGE_DSN": "x"}, "did you mean ALPHAPLUS_STORAGE__DSN?"),
        ({"ALPHAPLUS_SERVE__PORT": "70000"}, "serve.port cannot be '70000'"),
        ({"ALPHAPLUS_VENUE__SPEED": "nan"}, "venue.speed cannot be 'nan'"),
        ({"ALPHAPLUS_VENUE__SPEED": "0"}, "venue.speed cannot be '0'"),
        (
            {"ALPHAPLUS_FLEET__SYMBOLS_PER_ACTOR": "0"},
            "The setting fleet.symbols_per_actor cannot be '0': "
            "input should be 'auto' or greater than or equal to 1.",
        ),
    ],
)
def test_wrong_settings_are_named(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, None, environ)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 3", "Expected only sections"),
        ("[serve", "is not valid TOML"),
        ("[serve]\nprot = 3", "did you mean port?"),
        ('[storage]\ndsn = "postgresql://u:secret@h/d"', "ALPHAPLUS_STORAGE__DSN"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "alphaplus.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, None, {})
    assert says in str(caught.value)
    assert "secret" not in str(caught.value).replace("is a secret", "")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(tmp_path / "none.toml", None, {})


def test_secrets_are_masked() -> None:
    settings = load_settings(None, {"storage": {"dsn": "postgresql://u:hunter2@h/d"}}, {})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump(mode="json"))


def test_the_shipped_example_holds_the_defaults() -> None:
    example = Path(__file__).parents[1] / "alphaplus.example.toml"
    shipped, defaults = load_settings(example, None, {}), Settings()
    for section in Settings.model_fields:
        assert getattr(shipped, section) == getattr(defaults, section), section


@pytest.mark.parametrize("seconds", [0, 0.5, 70, 301, "long"])
def test_bar_of_a_liquidation_map_must_divide_five_minutes(seconds: object) -> None:
    with pytest.raises(ConfigError, match="liquidation_bar_s"):
        load_settings(flags={"fleet": {"liquidation_bar_s": seconds}}, environ={})
    environ = {"ALPHAPLUS_FLEET__LIQUIDATION_BAR_S": "150"}
    assert load_settings(flags={}, environ=environ).fleet.liquidation_bar_s == 150.0


@pytest.mark.parametrize(
    ("field", "too_little"),
    [
        ("streams.max_unacked_rows", 49_999),
        ("streams.max_unacked_mb", 7.9),
        ("storage.max_spool_mb", 15),
    ],
)
def test_bounds_of_memory_and_disk_leave_room_for_one_piece_of_rows(
    field: str, too_little: float
) -> None:
    section, name = field.split(".")
    with pytest.raises(ConfigError, match=field):
        load_settings(None, {section: {name: too_little}}, {})
