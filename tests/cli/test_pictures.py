import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.world.program import Cli, Outcome

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PICTURES = {
    "png": b"\x89PNG\r\n\x1a\n...",
    "jpg": b"\xff\xd8\xff...",
    "gif": b"GIF89a...",
    "webp": b"RIFF\0\0\0\0WEBP...",
}


@pytest.fixture
def store(cli: Cli) -> Mapping[str, str]:
    made: Mapping[str, str] = cli.ok("store", "create", "Mira", "--domain", "mira.myshopify.com", "--json").json
    return made


@pytest.mark.parametrize("extension", PICTURES)
def test_a_logo_is_copied_and_named_for_what_it_is(
    cli: Cli, store: Mapping[str, str], tmp_path: Path, data_dir: Path, extension: str
) -> None:
    path = tmp_path / "logo.bmp"
    path.write_bytes(PICTURES[extension])

    logo = cli.ok("store", "set", store["id"], f"logo={path}", "--json").json["settings"]["logo"]

    digest, _, found = logo.partition(".")
    assert found == extension
    assert (data_dir / "files" / store["id"] / digest[:2] / digest).read_bytes() == PICTURES[extension]


@pytest.mark.parametrize("content", [b"", b"<svg onload='alert(1)'/>", b"GIF89a" + bytes(1024 * 1024)])
def test_what_is_no_small_picture_is_refused(
    cli: Cli, store: Mapping[str, str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(content)

    assert _refusal(cli, store, path).endswith("must be a PNG, JPEG, WebP or GIF picture of at most 1 MiB.\n")


def test_a_logo_that_cannot_be_read_is_refused(cli: Cli, store: Mapping[str, str], tmp_path: Path) -> None:
    for path in (tmp_path / "missing.png", tmp_path):
        assert "cannot be read" in _refusal(cli, store, path)


def test_a_backup_holds_the_logo(cli: Cli, store: Mapping[str, str], tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(PICTURES["png"])
    logo = cli.ok("store", "set", store["id"], f"logo={path}", "--json").json["settings"]["logo"]

    cli.ok("backup", tmp_path / "copy")

    with tarfile.open(tmp_path / "copy") as copy:
        assert f"files/{store['id']}/{logo.partition('.')[0]}" in copy.getnames()


def test_no_logo_is_none(cli: Cli, store: Mapping[str, str]) -> None:
    assert cli.ok("store", "set", store["id"], "logo=none", "--json").json["settings"]["logo"] is None


def _refusal(cli: Cli, store: Mapping[str, str], path: Path) -> str:
    outcome: Outcome = cli("store", "set", store["id"], f"logo={path}")
    assert outcome.code == 1
    return outcome.stderr
