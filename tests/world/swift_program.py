"""Runs OpenStack Swift with its S3 interface in one process: `/usr/bin/python3 swift_program.py FOLDER`.

It is run by the system's own Python, for which Debian packages Swift. Objects are kept in memory, signatures are
checked. It says where it listens, and ends when its stdin does.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, Final

ACCESS_KEY: Final = "test:tester"
SECRET: Final = "testing"
_MIDDLE: Final = ("catch_errors", "gatekeeper", "bulk", "copy", "slo", "dlo", "versioned_writes", "symlink")
_BACK: Final = {"account": "account", "container": "container", "object": "mem_object"}


def main(folder: Path) -> None:
    """Write the configuration, start the four servers, wait."""
    swift: Any = importlib.import_module("swift.common.utils")
    swift.eventlet_monkey_patch()
    swift.HASH_PATH_SUFFIX, swift.HASH_PATH_PREFIX = b"tests", b""
    wsgi: Any = importlib.import_module("swift.common.wsgi")
    eventlet: Any = importlib.import_module("eventlet")
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in (*_BACK, "proxy")}
    (folder / "devices" / "memory").mkdir(parents=True)
    for name in _BACK:
        _write_ring(folder / f"{name}.ring.gz", sockets[name].getsockname()[1])
    for name, listening in sockets.items():
        path = folder / f"{name}.conf"
        path.write_text(_configuration(folder, name))
        app = wsgi.loadapp(str(path), global_conf={"log_name": name})
        eventlet.spawn(eventlet.wsgi.server, listening, app, protocol=wsgi.SwiftHttpProtocol, log_output=False)
    print(f"http://127.0.0.1:{sockets['proxy'].getsockname()[1]}", flush=True)  # noqa: T201  # who started it waits for it
    importlib.import_module("eventlet.hubs").trampoline(sys.stdin.fileno(), read=True)


def _write_ring(path: Path, port: int) -> None:
    builder: Any = importlib.import_module("swift.common.ring").RingBuilder(1, 1, 0)
    place = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "device": "memory", "meta": "", **place})
    builder.rebalance()
    builder.get_ring().save(str(path))


def _configuration(folder: Path, name: str) -> str:
    start = f"[DEFAULT]\nswift_dir={folder}\ndevices={folder}/devices\nmount_check=false\nlog_level=ERROR\n"
    if name in _BACK:
        return f"{start}[pipeline:main]\npipeline=app\n[app:app]\nuse=egg:swift#{_BACK[name]}\n"
    filters = "".join(f"[filter:{each}]\nuse=egg:swift#{each}\n" for each in _MIDDLE)
    return f"""{start}[pipeline:main]
pipeline=catch_errors gatekeeper cache bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use=egg:swift#proxy
account_autocreate=true
[filter:tempauth]
use=egg:swift#tempauth
user_{ACCESS_KEY.replace(":", "_")}={SECRET} .admin
[filter:s3api]
use=egg:swift#s3api
location=us-east-1
auth_pipeline_check=false
[filter:cache]
use=egg:swift#memcache
memcache_servers=127.0.0.1:1
{filters}"""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
