from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.merchants.model import MESSAGE_CODES
from carryout.storefront.texts import LANGUAGES, Language, choose
from tests.cast import NOW

ENGLISH = LANGUAGES["en"]


@pytest.mark.parametrize(
    ("wanted", "accepted", "locale", "chosen"),
    [
        ("de", "fr", "es", "de"),
        ("DE-at", "fr", "es", "de"),
        (None, "fr-CH, de;q=0.9", "es", "fr"),
        (None, "en;q=0.1, ja;q=0.8", None, "ja"),
        (None, "de;q=0, es;q=0.001", None, "es"),
        (None, "pt-BR, *;q=0.5", "ja_JP", "ja"),
        (None, "", "fr-CA", "fr"),
        ("xx", "", None, "en"),
        (None, "de;q=2, fr;level=1, ;;;,=", None, "en"),
        (None, "pt," * 5000 + "de", None, "en"),
    ],
)
def test_the_language_is_what_was_asked_for_then_the_browsers_then_the_orders(
    wanted: str | None, accepted: str, locale: str | None, chosen: str
) -> None:
    assert choose(wanted, accepted, locale).code == chosen


@given(st.text(), st.text(), st.text())
def test_any_wish_comes_to_a_language(wanted: str, accepted: str, locale: str) -> None:
    assert choose(wanted, accepted, locale).code in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_language_says_everything_with_the_same_facts(language: Language) -> None:
    assert {key: _facts(text) for key, text in language.words.items()} == {
        key: _facts(text) for key, text in ENGLISH.words.items()
    }
    assert len(language.months) == 12
    assert language is ENGLISH or tuple(language.refusals) == MESSAGE_CODES


@pytest.mark.parametrize(
    ("code", "size", "number", "uses", "time"),
    [
        ("en", "1.5\u00a0MB", "12,345", "2 of 5 downloads left", "24 November 2026, 17:12 CET"),
        ("de", "1,5\u00a0MB", "12.345", "2 von 5 Downloads übrig", "24. November 2026, 17:12 Uhr CET"),
        ("fr", "1,5\u00a0Mo", "12\u202f345", "Téléchargements restants\u00a0: 2 sur 5", "24 novembre 2026 à 17:12 CET"),
        ("es", "1,5\u00a0MB", "12.345", "Descargas restantes: 2 de 5", "24 de noviembre de 2026, 17:12 CET"),
        ("ja", "1.5\u00a0MB", "12,345", "残りダウンロード回数\uff1a5回中2回", "2026年11月24日 17:12 CET"),
    ],
)
def test_sizes_numbers_and_times_are_written_as_the_language_does(
    code: str, size: str, number: str, uses: str, time: str
) -> None:
    language = LANGUAGES[code]

    said = (language.size(1_500_000), language.number(12345), language.uses(3, 5), language.time(NOW, "Europe/Berlin"))

    assert said == (size, number, uses, time)


def test_one_download_is_not_called_downloads() -> None:
    assert ENGLISH.uses(0, 1) == "1 of 1 download left"
    assert ENGLISH.uses(7, 5) == "0 of 5 downloads left"
    assert ENGLISH.uses(7, None) == "Unlimited downloads"


def test_a_zone_without_a_name_says_how_far_it_is_and_an_unknown_one_is_utc() -> None:
    assert ENGLISH.time(NOW, "America/Sao_Paulo") == "24 November 2026, 13:12 UTC-03"
    assert ENGLISH.time(NOW, "Mars/Base") == "24 November 2026, 16:12 UTC"


@given(st.integers(0, 2**63), st.sampled_from(list(LANGUAGES.values())))
def test_any_time_and_any_size_can_be_told(number: int, language: Language) -> None:
    assert language.size(number)
    assert language.time(number, "Asia/Tokyo") != ""


def _facts(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
