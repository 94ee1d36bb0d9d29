from pathlib import Path

import pytest

from carryout.cli.session import DEFAULT_URL, Session, run
from carryout.db.migrate import SchemaNewer


async def _look(session: Session) -> tuple[str, bool]:
    return session.base_url, await session.database.is_answering()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARRYOUT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def test_an_embedded_database_is_made_at_its_first_use() -> None:
    assert run(_look) == (DEFAULT_URL, True)
    assert run(_look) == (DEFAULT_URL, True)


def test_a_newer_database_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run(_look)
    monkeypatch.setattr("carryout.db.migrate.newest", lambda: 0)
    with pytest.raises(SchemaNewer):
        run(_look)


def test_links_start_with_the_configured_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARRYOUT_BASE_URL", "https://downloads.example.com/")
    assert run(_look)[0] == "https://downloads.example.com"
