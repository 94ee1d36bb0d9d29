import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from carryout.web.laravel import (
    MAX_LIMIT,
    Invalid,
    Paging,
    is_on,
    json_response,
    leading_number,
    no_content,
    page_of,
    read_paging,
)

BASE = "https://downloads.example.com"


def paging(query: str = "") -> Paging:
    """The paging of a request for `/list` with this query."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/list",
        "query_string": query.encode(),
        "headers": [(b"host", b"other")],
    }
    return read_paging(Request(scope), BASE)


def page(query: str, total: int) -> dict[str, Any]:
    """The page of a list of the numbers from 1 to `total`."""
    wanted = paging(query)
    first = wanted.after[0] if wanted.after else wanted.offset
    rows = list(range(1, total + 1))[first : first + wanted.rows]
    shown = rows[: wanted.size_rows]
    last_key = (shown[-1],) if shown else None
    known = total if wanted.total is None else wanted.total
    return page_of(wanted, shown, known, last_key, has_more=len(rows) > wanted.size_rows)


def test_the_first_fault_is_told_with_how_many_more_there_are() -> None:
    assert Invalid({"a": ["One."]}).message == "One."
    assert Invalid({"a": ["One.", "Two."]}).message == "One. (and 1 more error)"
    assert Invalid({"a": ["One.", "Two."], "b": ["Three."]}).message == "One. (and 2 more errors)"


def test_a_reply_is_kept_by_nobody() -> None:
    for reply in (json_response({"a": 1}), no_content()):
        assert reply.headers["cache-control"] == "no-store"
    assert json.loads(bytes(json_response({"a": 1}, 201).body)) == {"a": 1}


def test_a_page_is_documented_as_laravel_does() -> None:
    document = page("per_page=25&name=a%26b", 76)
    path = f"{BASE}/list"
    filters = "per_page=25&name=a%26b"
    following = document["links"]["next"]
    assert following.startswith(f"{path}?{filters}&page=2&cursor=")
    assert document == {
        "data": list(range(1, 26)),
        "links": {
            "first": f"{path}?{filters}&page=1",
            "last": f"{path}?{filters}&page=4",
            "prev": None,
            "next": following,
        },
        "meta": {
            "current_page": 1,
            "from": 1,
            "last_page": 4,
            "links": [
                {"url": None, "label": "&laquo; Previous", "active": False},
                *(
                    {"url": f"{path}?{filters}&page={number}", "label": str(number), "active": number == 1}
                    for number in (1, 2, 3, 4)
                ),
                {"url": following, "label": "Next &raquo;", "active": False},
            ],
            "path": path,
            "per_page": 25,
            "to": 25,
            "total": 76,
        },
    }


def test_an_empty_list_has_one_empty_page() -> None:
    document = page("", 0)
    assert document["meta"] | {"links": None} == {
        "current_page": 1, "from": None, "last_page": 1, "links": None, "path": f"{BASE}/list", "per_page": 25,
        "to": None, "total": 0,
    }  # fmt: skip
    assert (document["links"]["next"], document["links"]["prev"]) == (None, None)


def test_a_page_beyond_the_end_is_empty_and_leads_back() -> None:
    document = page("page=9", 30)
    assert (document["data"], document["meta"]["from"], document["meta"]["total"]) == ([], None, 30)
    assert (document["links"]["next"], document["links"]["prev"]) == (None, f"{BASE}/list?page=8")


@pytest.mark.parametrize(
    ("number", "last", "labels"),
    [
        (1, 1, "1"),
        (7, 13, "1 2 3 4 5 6 7 8 9 10 11 12 13"),
        (1, 20, "1 2 3 4 5 6 7 8 9 10 ... 19 20"),
        (7, 20, "1 2 3 4 5 6 7 8 9 10 ... 19 20"),
        (8, 20, "1 2 ... 5 6 7 8 9 10 11 ... 19 20"),
        (13, 20, "1 2 ... 10 11 12 13 14 15 16 ... 19 20"),
        (14, 20, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
        (20, 20, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
    ],
)
def test_the_numbered_links_leave_gaps_where_laravel_does(number: int, last: int, labels: str) -> None:
    links = page(f"page={number}&per_page=1", last)["meta"]["links"]
    assert [link["label"] for link in links[1:-1]] == labels.split()
    assert [link["label"] for link in links if link["active"]] == [str(number)]


@given(st.integers(0, 300), st.integers(1, 50))
def test_whoever_follows_the_links_sees_every_row_once(total: int, rows: int) -> None:
    found: list[int] = []
    target: str | None = f"per_page={rows}"
    while target is not None:
        document = page(target, total)
        assert document["meta"]["total"] == total
        assert document["meta"]["last_page"] == max(-(-total // rows), 1)
        found += document["data"]
        following = document["links"]["next"]
        target = None if following is None else following.partition("?")[2]
    assert found == list(range(1, total + 1))


def test_a_cursor_belongs_to_its_page_and_size() -> None:
    cursor = page("per_page=5", 100)["links"]["next"].rpartition("=")[2]
    assert paging(f"per_page=5&page=2&cursor={cursor}").after == (5,)
    assert paging(f"per_page=5&page=2&cursor={cursor}").total == 100
    for query in (f"per_page=5&page=3&cursor={cursor}", f"per_page=6&page=2&cursor={cursor}"):
        assert (paging(query).after, paging(query).total) == (None, None)


@given(st.text(max_size=40))
def test_any_cursor_is_borne(text: str) -> None:
    assert paging("").parameters == {}
    assert paging(f"cursor={text.encode(errors='replace').hex()}").after is None


@pytest.mark.parametrize(
    ("query", "number", "rows"),
    [
        ("", 1, 25),
        ("page=3", 3, 25),
        ("page=0&per_page=0", 1, 25),
        ("page=-2&per_page=-2", 1, 25),
        ("page=x&limit=x", 1, 25),
        ("per_page=101", 1, 100),
        ("limit=1000?", 1, 1000),
        ("limit=5000", 1, MAX_LIMIT),
        ("limit=10&per_page=20", 1, 20),
        ("page=1&page=2", 2, 25),
        ("page=%201&limit=%2010", 1, 10),
        (f"page={9 * 10**40}", 10**9, 25),
    ],
)
def test_what_asks_for_a_page_is_read_leniently(query: str, number: int, rows: int) -> None:
    found = paging(query)
    assert (found.number, found.size_rows) == (number, rows)


def test_numbers_and_switches_are_read_leniently() -> None:
    assert [leading_number(text) for text in ("12", "12abc", " 7", "", "x", None)] == [12, 12, 7, None, None, None]
    assert [is_on(text) for text in ("true", "1", "TRUE", "on", "false", "0", "", None)] == [True] * 4 + [False] * 4
