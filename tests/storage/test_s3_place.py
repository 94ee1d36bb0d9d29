from urllib.parse import parse_qs, urlsplit

import pytest

from carryout.storage.s3_place import read_place, reading_client, writing_client
from tests.world.buckets import KEYS


def test_a_place_is_read_from_its_address() -> None:
    place = read_place("s3://bucket/some/folder/?endpoint=https://s3.example.com/&region=eu-central-1", KEYS)
    assert (place.bucket, place.prefix, place.endpoint) == ("bucket", "some/folder", "https://s3.example.com")
    assert (place.region, place.session_token, place.key("a/b")) == ("eu-central-1", None, "some/folder/a/b")


def test_aws_is_where_no_other_place_is_named() -> None:
    place = read_place("s3://bucket", {**KEYS, "AWS_REGION": "eu-west-3", "AWS_SESSION_TOKEN": "a token"})
    assert (place.endpoint, place.prefix) == ("https://s3.eu-west-3.amazonaws.com", "")
    assert (place.key("a/b"), place.session_token) == ("a/b", "a token")
    assert read_place("s3://bucket", KEYS).region == "us-east-1"


def test_a_signed_url_says_what_its_answer_carries_and_whose_it_is() -> None:
    place = read_place("s3://bucket/folder", {**KEYS, "AWS_SESSION_TOKEN": "a token"})
    url = urlsplit(place.sign("a/b", {"content-type": "text/plain"}, 60))
    assert (url.netloc, url.path) == ("s3.us-east-1.amazonaws.com", "/bucket/folder/a/b")
    query = parse_qs(url.query)
    assert query["response-content-type"] == ["text/plain"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-Security-Token"] == ["a token"]
    assert "secret" not in url.query.lower()


def test_other_variables_do_not_move_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example.com")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    place = read_place("s3://bucket?endpoint=http://127.0.0.1:9", KEYS)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    for client in (reading_client(place, 1), writing_client(place)):
        config = {str(name): value for name, value in client.config.items()}
        assert config["endpoint_url_s3"] == "http://127.0.0.1:9"
        assert (config["virtual_hosted_style_request"], config["skip_signature"]) == ("false", "false")
