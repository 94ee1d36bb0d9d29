"""Uploads in parts that were begun and never completed: nobody sees them, but the bucket's owner pays for them."""

from typing import Any, Final

import botocore.session  # type: ignore[import-untyped]  # botocore ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # botocore ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # botocore ships no types

from carryout.storage.blob import StorageUnavailable
from carryout.storage.s3_place import Place

_TIMEOUT_SECONDS: Final = 10


def abort_unfinished(place: Place, before: int) -> int:
    """End every upload below the prefix that began before (microseconds UTC); how many. Waits for the network.

    Errors: `StorageUnavailable`.
    """
    try:
        return _abort(_client(place), place, before)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise StorageUnavailable(reason=f"it answers {code}") from error
    except BotoCoreError as error:
        raise StorageUnavailable(reason="no connection") from error


def _abort(client: Any, place: Place, before: int) -> int:
    count = 0
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=place.bucket, Prefix=place.key(""))
    for page in pages:
        for upload in page.get("Uploads", ()):
            if upload["Initiated"].timestamp() * 1_000_000 < before:
                client.abort_multipart_upload(Bucket=place.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                count += 1
    return count


def _client(place: Place) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint,
        aws_access_key_id=place.access_key_id,
        aws_secret_access_key=place.secret_access_key,
        aws_session_token=place.session_token,
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=_TIMEOUT_SECONDS,
            read_timeout=_TIMEOUT_SECONDS,
            retries={"total_max_attempts": 2},
        ),
    )
