"""Where an S3 storage is, with whose keys; its clients, and the URLs that it is asked to answer."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from botocore.auth import S3SigV4QueryAuth  # type: ignore[import-untyped]  # botocore ships no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # botocore ships no types
from botocore.credentials import Credentials  # type: ignore[import-untyped]  # botocore ships no types
from obstore.store import S3Store

if TYPE_CHECKING:  # its names for types are not there at run time
    from obstore.store import ClientConfig, RetryConfig, S3Config

_DEFAULT_REGION: Final = "us-east-1"
_CONNECT: Final = timedelta(seconds=5)
_PART: Final = timedelta(minutes=5)  # for one part of an upload, so that a slow line will do
_FOREVER: Final = timedelta(days=1)  # a stream is as slow as its reader; what stalls it is noticed by `stall_seconds`
_RETRIES: "Final[RetryConfig]" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}


class Place(msgspec.Struct, frozen=True):
    """A bucket, the folder in it that is ours (may be empty), and the keys. Requests name the bucket in the path."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None

    def key(self, name: str) -> str:
        """The whole key of an object."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def sign(self, name: str, headers: Mapping[str, str], ttl_seconds: int) -> str:
        """A URL that reads an object for so long; `headers` are those that its answer will carry.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
        """
        params = {f"response-{header}": value for header, value in headers.items()}
        request = AWSRequest("GET", f"{self.endpoint}/{self.bucket}/{self.key(name)}", params=params)
        keys = Credentials(self.access_key_id, self.secret_access_key, self.session_token)
        S3SigV4QueryAuth(keys, "s3", self.region, expires=ttl_seconds).add_auth(request)
        return str(request.prepare().url)


def read_place(url: str, aws: Mapping[str, str]) -> Place:
    """What the setting and the usual `AWS_…` variables say; the settings have checked both."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    region = query.get("region", [aws.get("AWS_REGION") or _DEFAULT_REGION])[0]
    return Place(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint=query.get("endpoint", [f"https://s3.{region}.amazonaws.com"])[0].rstrip("/"),
        region=region,
        access_key_id=aws["AWS_ACCESS_KEY_ID"],
        secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        session_token=aws.get("AWS_SESSION_TOKEN"),
    )


def reading_client(place: Place, stall_seconds: float) -> S3Store:
    """The client for everything but uploads: it gives up on a silence, not on a long answer."""
    return _client(place, {"timeout": _FOREVER, "read_timeout": timedelta(seconds=stall_seconds)})


def writing_client(place: Place) -> S3Store:
    """The client for uploads: while a part goes out, nothing comes in, and that is no silence."""
    return _client(place, {"timeout": _PART})


def _client(place: Place, limits: "ClientConfig") -> S3Store:
    """Everything is said, so that no other variable of the environment changes where the files are."""
    options: ClientConfig = {"allow_http": place.endpoint.startswith("http://"), "connect_timeout": _CONNECT}
    options.update(limits)
    config: S3Config = {
        "aws_endpoint_url_s3": place.endpoint,
        "region": place.region,
        "access_key_id": place.access_key_id,
        "secret_access_key": place.secret_access_key,
        "virtual_hosted_style_request": False,
        "skip_signature": False,
        "disable_bulk_delete": True,  # not every S3 knows it
    }
    if place.session_token is not None:
        config["session_token"] = place.session_token
    return S3Store(
        place.bucket, prefix=place.prefix or None, config=config, client_options=options, retry_config=_RETRIES
    )
