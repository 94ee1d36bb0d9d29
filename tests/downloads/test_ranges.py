import time
from email import message_from_bytes
from email.utils import formatdate
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.downloads.ranges import (
    MAX_RANGES,
    Decision,
    NotModified,
    OneRange,
    PreconditionFailed,
    SeveralRanges,
    Unsatisfiable,
    Whole,
    content_range,
    decide,
    intervals_of,
    multipart,
    requested_bytes,
)

N = 1000
ETAG = '"5f2a,c0"'
CHANGED = 784_111_777  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"


def asked(*headers: tuple[str, str], method: str = "GET", size_bytes: int = N) -> Decision:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return decide(method, raw, ETAG, CHANGED, size_bytes)


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-", 500, N),
        ("bytes=0-", 0, N),
        ("bytes=-5", N - 5, N),
        ("bytes=-1000", 0, N),
        ("bytes=-99999999999999999999", 0, N),
        ("bytes=999-", 999, N),
        ("bytes=999-1000", 999, N),
        ("bytes=7-99999999999999999999", 7, N),
        ("bytes=0007-0008", 7, 9),
        ("BYTES=1-2", 1, 3),
        ("  bytes=1-2\t", 1, 3),
        ("bytes=,1-2", 1, 3),
        ("bytes=1-2 ,\t,", 1, 3),
        ("bytes=2000-,1-2", 1, 3),
        ("bytes=1-2,-0,1000-", 1, 3),
    ],
)
def test_one_satisfiable_range_is_sent_alone(value: str, start: int, end: int) -> None:
    assert asked(("Range", value)) == OneRange(start, end, N)


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-1000", "bytes=-0", "bytes=-0,1000-,2000-3000"])
def test_ranges_beyond_the_end_are_unsatisfiable(value: str) -> None:
    assert asked(("Range", value)) == Unsatisfiable(N)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=abc",
        "bytes=5-4",
        "bytes=0-1,5-4",
        "bytes=0-1,x",
        "bytes=0-1;2-3",
        "bytes=1 - 2",
        "bytes=--1",
        "bytes=-1-2",
        "bytes=+1-2",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "bytes=1.0-2",
        "bytes=\u00b2-3",
        "bytes 0-1",
        "bytes:0-1",
        "bytes =0-1",
        "bytes==0-1",
        "items=0-5",
        "seconds=1-2,bytes=0-1",
        "bytes=" + "1" * 5000 + "-",
    ],
)
def test_a_malformed_or_unknown_range_is_ignored(value: str) -> None:
    assert asked(("Range", value)) == Whole(N)


def test_two_range_fields_are_ignored_rather_than_half_obeyed() -> None:
    assert asked(("Range", "bytes=0-1"), ("Range", "bytes=2-3")) == Whole(N)
    assert asked(("Range", "bytes=0-1"), ("Range", "bytes=0-1")) == Whole(N)


def test_several_ranges_keep_the_order_of_the_request() -> None:
    decision = asked(("Range", "bytes=900-, 0-9, -1, 5-14"))
    assert decision == SeveralRanges(((900, N), (0, 10), (999, N), (5, 15)), N)
    assert requested_bytes(decision) == 121


def test_a_set_that_would_send_more_than_the_file_gets_the_file() -> None:
    assert asked(("Range", "bytes=0-499,500-")) == SeveralRanges(((0, 500), (500, N)), N)
    assert asked(("Range", "bytes=0-500,500-")) == Whole(N)
    assert asked(("Range", "bytes=0-,0-")) == Whole(N)


def test_more_ranges_than_a_reader_needs_get_the_file() -> None:
    most = ",".join(f"{start}-{start}" for start in range(0, 2 * MAX_RANGES, 2))
    assert len(intervals_of(asked(("Range", f"bytes={most}")))) == MAX_RANGES
    assert asked(("Range", f"bytes={most},100-100")) == Whole(N)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("range", "bytes=" + "0-0," * 16_000),
        ("range", "bytes=" + "1" * 64_000 + "-"),
        ("range", "bytes=" + ", " * 32_000 + "x"),
        ("if-match", ", " * 32_000 + "x"),
        ("if-none-match", '"a", ' * 12_000 + "x"),
        ("if-none-match", 'W/"' * 20_000),
        ("if-modified-since", "Sun, " * 12_000),
    ],
)
def test_absurd_fields_cost_little(name: str, value: str) -> None:
    began = time.perf_counter()
    assert asked((name, value)) in (Whole(N), PreconditionFailed())
    assert time.perf_counter() - began < 0.5


def test_a_file_of_zero_bytes_is_whole_whatever_the_range() -> None:
    for value in ("bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"):
        assert asked(("Range", value), size_bytes=0) == Whole(0)
    assert requested_bytes(Whole(0)) == 0


def test_ranges_are_for_get_alone() -> None:
    assert asked(("Range", "bytes=0-1"), method="HEAD") == Whole(N)
    assert asked(("Range", "bytes=5000-"), method="HEAD") == Whole(N)
    assert asked(("Range", "bytes=0-1"), method="POST") == Whole(N)


def test_files_over_4_gib_have_ranges_too() -> None:
    assert asked(("Range", "bytes=5000000000-5000000009"), size_bytes=2**40) == OneRange(
        5 * 10**9, 5 * 10**9 + 10, 2**40
    )


@pytest.mark.parametrize(
    "value", [ETAG, DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", f"  {ETAG} "]
)
def test_a_resume_of_the_same_file_gets_its_range(value: str) -> None:
    assert asked(("If-Range", value), ("Range", "bytes=5-")) == OneRange(5, N, N)


@pytest.mark.parametrize(
    "value", [f"W/{ETAG}", '"other"', BEFORE, AFTER, "", "*", "5f2a,c0", f'{ETAG}, "other"', "soon"]
)
def test_a_resume_of_anything_else_gets_the_whole_file(value: str) -> None:
    assert asked(("If-Range", value), ("Range", "bytes=5-")) == Whole(N)
    assert asked(("If-Range", value), ("Range", "bytes=5000-")) == Whole(N)


def test_two_if_range_fields_match_nothing() -> None:
    assert asked(("If-Range", ETAG), ("If-Range", ETAG), ("Range", "bytes=5-")) == Whole(N)


def test_if_range_without_a_range_means_nothing() -> None:
    assert asked(("If-Range", '"other"')) == Whole(N)


@pytest.mark.parametrize("value", [ETAG, f"W/{ETAG}", "*", f'"x", ,{ETAG}', f'W/"x" , W/{ETAG}', f"{ETAG},"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_file_is_told_so(value: str, method: str) -> None:
    assert asked(("If-None-Match", value), ("Range", "bytes=5-"), method=method) == NotModified()
    assert asked(("If-None-Match", value), method="POST") == PreconditionFailed()


@pytest.mark.parametrize("value", ['"x"', 'W/"x"', "", "5f2a,c0", f"{ETAG} x", f"{ETAG}x", f'x, "x", {ETAG}', '"*"'])
def test_who_has_another_file_gets_this_one(value: str) -> None:
    assert asked(("If-None-Match", value)) == Whole(N)


def test_tags_are_read_over_several_fields() -> None:
    assert asked(("If-None-Match", '"x"'), ("If-None-Match", ETAG)) == NotModified()
    assert asked(("If-Match", '"x"'), ("If-Match", ETAG)) == Whole(N)


@pytest.mark.parametrize(
    "value",
    [DATE, AFTER, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sat, 31 Dec 2016 23:59:60 GMT"],
)
def test_an_unchanged_file_is_not_sent_again(value: str) -> None:
    assert asked(("If-Modified-Since", value)) == NotModified()
    assert asked(("If-Modified-Since", value), method="HEAD") == NotModified()
    assert asked(("If-Modified-Since", value), method="POST") == Whole(N)


@pytest.mark.parametrize(
    "value",
    [
        BEFORE,
        "",
        "tomorrow",
        "sun, 06 nov 2094 08:49:37 gmt",
        "Sun, 06 Nov 2094 08:49:37",
        "Sun, 06 Nov 2094 08:49:37 +0000",
        "Sun, 6 Nov 2094 08:49:37 GMT",
        "Sun, 06 Nov 2094 24:49:37 GMT",
        "Sun, 30 Feb 2094 08:49:37 GMT",
        "Sun, 00 Nov 2094 08:49:37 GMT",
        "Sun Nov    08:49:37 2094",
        "2094-11-06T08:49:37Z",
        "4000000000",
        f"{DATE}, {DATE}",
        "Sunday, 06-Nov-69 08:49:37 GMT",
    ],
)
def test_an_earlier_date_or_none_at_all_gets_the_file(value: str) -> None:
    assert asked(("If-Modified-Since", value)) == Whole(N)


def test_two_dates_are_no_date() -> None:
    assert asked(("If-Modified-Since", DATE), ("If-Modified-Since", DATE)) == Whole(N)
    assert asked(("If-Unmodified-Since", BEFORE), ("If-Unmodified-Since", BEFORE)) == Whole(N)


@pytest.mark.parametrize("value", ['"x"', f"W/{ETAG}", "", "5f2a,c0", f"*, {ETAG}"])
def test_if_match_of_another_file_fails(value: str) -> None:
    assert asked(("If-Match", value), ("Range", "bytes=0-1")) == PreconditionFailed()
    assert asked(("If-Match", value), method="HEAD") == PreconditionFailed()


def test_if_match_of_this_file_goes_on_to_its_range() -> None:
    assert asked(("If-Match", f'W/"x", {ETAG}'), ("Range", "bytes=0-1")) == OneRange(0, 2, N)
    assert asked(("If-Match", "*")) == Whole(N)


def test_a_file_changed_since_then_fails() -> None:
    assert asked(("If-Unmodified-Since", BEFORE), ("Range", "bytes=0-1")) == PreconditionFailed()
    assert asked(("If-Unmodified-Since", DATE), ("Range", "bytes=0-1")) == OneRange(0, 2, N)
    assert asked(("If-Unmodified-Since", "then")) == Whole(N)


@pytest.mark.parametrize(
    ("headers", "decision"),
    [
        ([("If-Match", ETAG), ("If-Unmodified-Since", BEFORE)], Whole(N)),
        ([("If-Match", '"x"'), ("If-None-Match", ETAG)], PreconditionFailed()),
        ([("If-Match", ETAG), ("If-None-Match", ETAG)], NotModified()),
        ([("If-Unmodified-Since", BEFORE), ("If-None-Match", ETAG)], PreconditionFailed()),
        ([("If-None-Match", '"x"'), ("If-Modified-Since", AFTER)], Whole(N)),
        ([("If-None-Match", ETAG), ("If-Modified-Since", BEFORE)], NotModified()),
        ([("If-Modified-Since", AFTER), ("Range", "bytes=0-1"), ("If-Range", ETAG)], NotModified()),
        ([("If-None-Match", ETAG), ("Range", "bytes=5000-")], NotModified()),
    ],
)
def test_preconditions_have_the_precedence_of_rfc_9110(headers: list[tuple[str, str]], decision: Decision) -> None:
    assert asked(*headers) == decision


@given(seconds=st.integers(0, 4_000_000_000))
def test_our_own_date_comes_back_as_the_same_second(seconds: int) -> None:
    headers = [(b"If-Range", formatdate(seconds, usegmt=True).encode()), (b"Range", b"bytes=1-1")]
    assert decide("GET", headers, ETAG, seconds, N) == OneRange(1, 2, N)
    assert decide("GET", headers, ETAG, seconds + 1, N) == Whole(N)


def test_content_range_says_which_part_of_how_much() -> None:
    assert content_range(OneRange(0, 1, N)) == "bytes 0-0/1000"
    assert content_range(Unsatisfiable(N)) == "bytes */1000"


def test_a_multipart_body_is_read_by_a_mime_parser() -> None:
    file = bytes(range(256)) * 4
    decision = SeveralRanges(((1000, 1024), (0, 10), (5, 300)), 1024)
    body = multipart(decision, "b0undary", "application/epub+zip")
    sent = b"".join(part.prefix + file[part.start : part.end] for part in body.parts) + body.closing
    assert len(sent) == body.length_bytes
    message = message_from_bytes(f"Content-Type: {body.content_type}\r\n\r\n".encode() + sent)
    parsed = cast("list[Any]", message.get_payload())
    assert [part["Content-Range"] for part in parsed] == ["bytes 1000-1023/1024", "bytes 0-9/1024", "bytes 5-299/1024"]
    assert {part.get_content_type() for part in parsed} == {"application/epub+zip"}
    assert [part.get_payload(decode=True) for part in parsed] == [file[1000:1024], file[:10], file[5:300]]


specs = st.one_of(
    st.builds("{}-{}".format, st.integers(0, 40), st.integers(0, 40)),
    st.builds("{}-".format, st.integers(0, 40)),
    st.builds("-{}".format, st.integers(0, 40)),
)


@given(value=st.lists(specs, min_size=1, max_size=20).map(",".join), size_bytes=st.integers(0, 30))
def test_what_is_sent_lies_in_the_file_and_is_never_more_than_it(value: str, size_bytes: int) -> None:
    decision = asked(("Range", f"bytes={value}"), size_bytes=size_bytes)
    assert requested_bytes(decision) <= size_bytes
    assert all(0 <= start < end <= size_bytes for start, end in intervals_of(decision))
    wanted = [set(_positions(spec, size_bytes)) for spec in value.split(",")]
    if isinstance(decision, OneRange | SeveralRanges):
        assert [set(range(*interval)) for interval in intervals_of(decision)] == [span for span in wanted if span]
    if isinstance(decision, Unsatisfiable):
        assert not any(wanted)


def _positions(spec: str, size_bytes: int) -> range:
    first, _, last = spec.partition("-")
    if not first:
        return range(size_bytes)[max(size_bytes - int(last), 0) :]
    return range(size_bytes)[int(first) : int(last) + 1 if last else None]


@given(name=st.sampled_from(["range", "if-range", "if-match", "if-none-match", "if-modified-since"]), value=st.binary())
def test_any_bytes_in_a_field_get_an_answer(name: str, value: bytes) -> None:
    answer = decide("GET", [(name.encode(), value), (b"range", b"bytes=0-1")], ETAG, CHANGED, N)
    assert isinstance(answer, Whole | OneRange | NotModified | PreconditionFailed)
