"""A running house a module, and a book in it."""

from collections.abc import Iterator

import pytest

from carryout.catalog.model import Asset
from tests.downloads.doors import CONTENT
from tests.storefront.house import House, running_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def book(house: House) -> Asset:
    return house.file(CONTENT)
