import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.entitlements.model import Refusal
from carryout.merchants.model import MESSAGE_CODES, FraudBlock, SettingFault, StoreSettings
from carryout.merchants.rules import contrast, dark_pair, is_domain, setting_keys, settings_with, whole_number

TIMEZONES = ("Europe/Berlin",)
colours = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def with_setting(key: str, value: str, settings: StoreSettings = StoreSettings()) -> StoreSettings | SettingFault:  # noqa: B008 - frozen
    return settings_with(settings, key, value, TIMEZONES)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("download_limit", "0", 0),
        ("download_limit", "none", None),
        ("address_limit", " 5 ", 5),
        ("expires_days", "36500", 36500),
        ("limit_per_unit", "on", True),
        ("limit_per_unit", "FALSE", False),
        ("expose_link_targets", "yes", True),
        ("links_after_uninstall", "off", False),
        ("fraud_block", "medium", FraudBlock.MEDIUM),
        ("fraud_block", "none", FraudBlock.NONE),
        ("delivery", "redirect", "redirect"),
        ("title", "Mira's shop", "Mira's shop"),
        ("title", "", None),
        ("text", "Thank you!\nMira", "Thank you!\nMira"),
        ("logo", "pictures/logo.png", "pictures/logo.png"),
        ("accent", "#0A5C8A", "#0a5c8a"),
        ("accent", "#048", "#004488"),
        ("contact_url", "https://mira.example.com/help", "https://mira.example.com/help"),
        ("contact_url", "mailto:mira@example.com", "mailto:mira@example.com"),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("timezone", "UTC", "UTC"),
    ],
)
def test_a_setting_is_taken(key: str, value: str, expected: object) -> None:
    settings = with_setting(key, value)
    assert isinstance(settings, StoreSettings)
    assert getattr(settings, key) == expected


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("download_limit", "-1", "whole number"),
        ("download_limit", "1.5", "whole number"),
        ("download_limit", "", "whole number"),
        ("download_limit", "9" * 30, "whole number"),
        ("download_limit", "٣", "whole number"),
        ("expires_days", "36501", "36500"),
        ("limit_per_unit", "maybe", "on or off"),
        ("fraud_block", "low", "none, medium, high"),
        ("delivery", "pigeon", "proxy or redirect"),
        ("title", "a\x00b", "control characters"),
        ("title", "\udc80", "control characters"),
        ("title", "x" * 201, "200"),
        ("logo", "logo.svg", "picture"),
        ("accent", "blue", "colour"),
        ("accent", "#ffff00", "darker"),
        ("contact_url", "javascript:alert(1)", "http"),
        ("contact_url", "https://", "http"),
        ("contact_url", "https://[", "http"),
        ("timezone", "Mars/Olympus", "time zone"),
        ("message.of_the_day", "Hello", "message."),
        ("message.expired", "x" * 1001, "1000"),
        ("colour", "red", "not a setting"),
        ("messages", "{}", "not a setting"),
    ],
)
def test_a_wrong_setting_says_what_it_must_be(key: str, value: str, words: str) -> None:
    fault = with_setting(key, value)
    assert isinstance(fault, SettingFault)
    assert fault.key == key
    assert words in fault.must


def test_a_message_is_set_and_reset() -> None:
    worded = with_setting("message.expired", "Ask Mira for a new link.")
    assert isinstance(worded, StoreSettings)
    assert worded.messages == {"expired": "Ask Mira for a new link."}
    assert with_setting("message.expired", "none", worded) == StoreSettings()


def test_every_refusal_has_a_message_to_set() -> None:
    assert tuple(refusal.value for refusal in Refusal) == MESSAGE_CODES


def test_every_field_of_the_settings_has_a_key() -> None:
    fields = {field.name for field in msgspec.structs.fields(StoreSettings)} - {"messages", "withheld"}
    assert fields | {"message.CODE"} == set(setting_keys())


@given(st.sampled_from([*setting_keys(), "message.expired"]), st.text())
def test_any_text_is_taken_or_refused(key: str, value: str) -> None:
    outcome = with_setting(key, value)
    if isinstance(outcome, StoreSettings):
        assert msgspec.json.decode(msgspec.json.encode(outcome), type=StoreSettings) == outcome


@given(colours, colours)
def test_contrast_lies_between_1_and_21(one: str, other: str) -> None:
    assert 1 <= contrast(one, other) == contrast(other, one) <= 21


def test_black_on_white_is_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@given(colours)
def test_the_dark_pair_of_any_accent_can_be_read(accent: str) -> None:
    assert contrast(dark_pair(accent), "#16181d") >= 4.5


@pytest.mark.parametrize("domain", ["mira.myshopify.com", "shop.example.co.uk", "a-b.c1"])
def test_a_host_name_is_a_domain(domain: str) -> None:
    assert is_domain(domain)


@pytest.mark.parametrize(
    "domain", ["", "mira", "-a.com", "a-.com", "a..com", "a.com/", "a.com:80", "ä.com", "x" * 64 + ".com"]
)
def test_anything_else_is_no_domain(domain: str) -> None:
    assert not is_domain(domain)


@given(st.integers(0, 10**9))
def test_a_whole_number_is_read(number: int) -> None:
    assert whole_number(str(number), 10**9) == number
