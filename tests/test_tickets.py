import string
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.keyring import Keyring
from carryout.tickets import Links, Ticket, TicketKind, Tickets, path_name

TICKETS = Tickets(Keyring(["the secret key of the tests"]))
ALPHABET = string.ascii_letters + string.digits + "-_"


@given(
    st.sampled_from(list(TicketKind)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**32 - 1),
)
def test_a_ticket_says_what_it_was_made_for(kind: TicketKind, store_id: int, row_id: int, generation: int) -> None:
    text = TICKETS.issue(kind, store_id, row_id, generation)

    assert len(text) == 44
    assert TICKETS.read(kind, text) == Ticket(store_id, row_id, generation)
    assert [other for other in TicketKind if TICKETS.read(other, text)] == [kind]


def test_every_other_spelling_is_refused() -> None:
    text = TICKETS.issue(TicketKind.GRANT, 1, 2, 3)
    changed = [text[:at] + letter + text[at + 1 :] for at in range(44) for letter in ALPHABET if letter != text[at]]

    assert [other for other in changed if TICKETS.read(TicketKind.GRANT, other)] == []


@pytest.mark.parametrize("change", ["{}=", "{}\n", " {}", "{}A", "\0{}", "{}\u0661"])
def test_nothing_may_stand_around_it(change: str) -> None:
    assert TICKETS.read(TicketKind.GRANT, change.format(TICKETS.issue(TicketKind.GRANT, 1, 2, 3))) is None


@given(st.text(max_size=60))
def test_no_text_is_an_error(text: str) -> None:
    assert TICKETS.read(TicketKind.ORDER, text) is None


def test_another_key_makes_none_that_we_take() -> None:
    text = Tickets(Keyring(["another secret key of others"])).issue(TicketKind.GRANT, 1, 2, 3)

    assert TICKETS.read(TicketKind.GRANT, text) is None


def test_links_are_addresses_with_a_ticket_and_a_name() -> None:
    links = Links(TICKETS, "https://x.example")

    grant = links.grant(1, 2, 3, "Snow & ice.wav")
    assert grant == f"https://x.example/d/{TICKETS.issue(TicketKind.GRANT, 1, 2, 3)}/Snow%20%26%20ice.wav"
    everything, session = links.everything(1, 2, 3, "all.zip"), links.session(1, 2, 3, "Snow & ice.wav")
    assert everything == f"https://x.example/d/{TICKETS.issue(TicketKind.ORDER, 1, 2, 3)}/all.zip"
    assert session == f"https://x.example/f/{TICKETS.issue(TicketKind.SESSION, 1, 2, 3)}/Snow%20%26%20ice.wav"
    assert links.order(1, 2, 3) == f"https://x.example/o/{TICKETS.issue(TicketKind.ORDER, 1, 2, 3)}"


@pytest.mark.parametrize(
    ("filename", "wanted"),
    [
        ("a/b\\c", "a_b_c"),
        ("..", "download"),
        ("", "download"),
        ("x\n\0\x7f", "x"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\ud800", "download"),
        ("100%?#.pdf", "100__#.pdf"),
        ("CON .txt ", "_CON .txt"),
        ("Grüße.pdf", "Grüße.pdf"),
    ],
)
def test_a_file_name_is_one_harmless_segment(filename: str, wanted: str) -> None:
    assert unquote(path_name(filename)) == wanted


@given(st.text(st.characters(), max_size=50))
def test_every_file_name_is_one_segment_of_plain_letters(filename: str) -> None:
    name = path_name(filename)

    assert name
    assert name.isascii()
    assert not set(name) & set("/\\?# ")
    assert name not in (".", "..")
