"""What is one store's is not there for another's key: at every route of the document that names something."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from carryout.settings import Settings
from carryout.web.contract import DOCUMENT
from tests.contract.conformance import MERCHANT, named_ids
from tests.contract.scene import Scene, set_scene
from tests.world.program import Server

DOCUMENT_JSON: dict[str, Any] = json.loads(DOCUMENT.read_bytes())


def naming_operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of the merchant API whose path names something."""
    for path, item in DOCUMENT_JSON["paths"].items():
        if path.startswith(MERCHANT) and "{" in path:
            for method, operation in item.items():
                yield method, path, operation


def bodies(operation: dict[str, Any]) -> list[Any]:
    """The documented bodies of an operation; none where it takes none."""
    contents = operation.get("requestBody", {}).get("content", {}).values()
    examples = [example["value"] for content in contents for example in content.get("examples", {}).values()]
    return examples or [None]


def target(path: str, scene: Scene) -> str:
    """The path with something of Mira's in it."""
    ids = named_ids(path, scene)
    missing = set(re.findall(r"\{(\w+)\}", path)) - ids.keys()
    assert not missing, f"the scene has nothing to stand for {missing} in {path}"
    return re.sub(r"\{(\w+)\}", lambda name: ids[name[1]][0], path)


def test_what_is_one_stores_is_not_there_for_anothers_key(
    settings: Settings, start_server: Callable[..., Server]
) -> None:
    scene = set_scene(settings)
    server = start_server(CARRYOUT_API_RATE_LIMIT="0")
    asked = 0
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        for method, path, operation in naming_operations():
            for body in bodies(operation):
                replies = [
                    client.request(method, target(path, scene), json=body, headers={"Authorization": f"Bearer {key}"})
                    for key in (scene.other_key, scene.key)
                ]
                statuses = [reply.status_code for reply in replies]
                assert statuses[0] == 404, (method, path, statuses)
                assert method == "delete" or statuses[1] != 404, (method, path, statuses)
                asked += 1
    assert asked > 5
