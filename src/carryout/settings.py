"""The operator's settings: environment variables, or the same names in `carryout.toml`; read once, at the top.

The environment wins over the file. A wrong value is `SettingWrong`, which names the setting and what it must be.
"""

import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import parse_qsl, urlsplit

import msgspec

from carryout.errors import CarryoutError, Kind

_PREFIX: Final = "CARRYOUT_"
_LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_SECRET_FILE: Final = "secret_key"  # noqa: S105 - a file's name
_MIN_SECRET: Final = 16
_AWS_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AWS: Final = (*_AWS_KEYS, "AWS_SESSION_TOKEN", "AWS_REGION")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_FOLDER: Final = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/?")
_REGION: Final = re.compile(r"[A-Za-z0-9-]+")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingWrong(CarryoutError):
    """{name}: {must}."""

    kind = Kind.MISCONFIGURED


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a store's plan includes; `[plans.NAME]` of the file. None means unlimited."""

    customer_account_links: bool = True
    storage_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    fraud_block: bool = True
    own_storage: bool = True

    @property
    def left_out(self) -> frozenset[str]:
        """The store settings that the plan does not include."""
        included = {"fraud_block": self.fraud_block, "delivery": self.own_storage}
        return frozenset(key for key, is_included in included.items() if not is_included)


BUILT_IN_PLANS: Final[Mapping[str, Plan]] = {
    "free": Plan(customer_account_links=False, storage_bytes=10**9, fraud_block=False, own_storage=False),
    "basic": Plan(storage_bytes=10 * 10**9, fraud_block=False, own_storage=False),
    "growth": Plan(storage_bytes=100 * 10**9, own_storage=False),
    "premium": Plan(),
}
_NOTHING: Final = Plan(customer_account_links=False, storage_bytes=0, fraud_block=False, own_storage=False)


class Settings(msgspec.Struct, frozen=True):
    """Every setting, checked. `base_url` is None when it should follow the host and port of `serve`."""

    data_dir: Path
    database_url: str
    storage_url: str
    aws: Mapping[str, str]
    base_url: str | None
    secret_keys: tuple[str, ...] | None
    trusted_proxies: tuple[Network, ...]
    smtp_url: str | None
    mail_from: str | None
    api_rate_limit: int
    guess_limit: int
    shopify_client_id: str | None
    shopify_client_secret: str | None
    private_networks: tuple[Network, ...]
    sendfile: str
    log_format: str | None
    log_level: str
    plans: Mapping[str, Plan]

    @property
    def left_out(self) -> Mapping[str, frozenset[str]]:
        """The plans there are, each with the store settings that it does not include."""
        return {name: plan.left_out for name, plan in self.plans.items()}

    def plan(self, name: str) -> Plan:
        """A store's plan; one that is not among them any more includes nothing."""
        return self.plans.get(name, _NOTHING)


_NAMES: Final = (
    "data_dir", "database_url", "storage_url", "base_url", "secret_key", "trusted_proxies", "smtp_url", "mail_from",
    "api_rate_limit", "guess_limit", "shopify_client_id", "shopify_client_secret", "private_networks", "sendfile",
    "log_format", "log_level",
)  # fmt: skip


def load(environment: Mapping[str, str], folder: Path) -> Settings:
    """Read and check the settings; `folder` is the working folder. Errors: `SettingWrong`."""
    document = _read_file(environment, folder)
    plans = _plans(document.pop("plans", {}))
    found = _texts(document, environment)
    data_dir = folder / (found.get("data_dir") or "data")
    aws = {name: environment[name].strip() for name in _AWS if environment.get(name, "").strip()}
    return Settings(
        data_dir=data_dir,
        database_url=_database_url(found.get("database_url"), data_dir, folder),
        storage_url=_storage_url(found.get("storage_url"), data_dir, folder, aws),
        aws=aws,
        base_url=_base_url(found.get("base_url")),
        secret_keys=_secret_keys(found.get("secret_key")),
        trusted_proxies=_networks("trusted_proxies", found.get("trusted_proxies")),
        smtp_url=found.get("smtp_url"),
        mail_from=found.get("mail_from"),
        api_rate_limit=_count("api_rate_limit", found.get("api_rate_limit"), 60),
        guess_limit=_count("guess_limit", found.get("guess_limit"), 30),
        shopify_client_id=found.get("shopify_client_id"),
        shopify_client_secret=found.get("shopify_client_secret"),
        private_networks=_networks("private_networks", found.get("private_networks")),
        sendfile=_choice("sendfile", found.get("sendfile"), ("none", "x-accel")) or "none",
        log_format=_choice("log_format", found.get("log_format"), ("console", "json")),
        log_level=_choice("log_level", found.get("log_level"), _LOG_LEVELS) or "info",
        plans=plans,
    )


def secret_keys(settings: Settings) -> tuple[str, ...]:
    """The configured secrets, else the one in the data folder, made there (mode 0600) on the first start."""
    if settings.secret_keys is not None:
        return settings.secret_keys
    path = settings.data_dir / _SECRET_FILE
    if not path.exists():
        _make_secret(path)
    try:
        keys = _split_secrets(path.read_text())
    except (OSError, ValueError):
        keys = None
    if keys is None:
        _wrong("secret_key", f"the file {path} must hold a secret that can be read; restore it from a backup")
    return keys


def secret_file(settings: Settings) -> Path:
    """Where a generated secret is kept."""
    return settings.data_dir / _SECRET_FILE


def _make_secret(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 0600
        written = Path(name)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(written, path)  # of two first starts at once, one wins and both use its secret
        except FileExistsError:
            pass
        finally:
            written.unlink()
    except OSError as error:
        _wrong("data_dir", f"must be a folder that can be written, but {path.parent} is not ({error.strerror})")


def _read_file(environment: Mapping[str, str], folder: Path) -> dict[str, Any]:
    named = environment.get("CARRYOUT_CONFIG")
    path = folder / (named or "carryout.toml")
    if not path.exists():
        if named:
            _wrong("config", f"must be a file, but {path} does not exist")
        return {}
    try:
        document: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except (OSError, ValueError) as error:
        _wrong("config", f"{path} must be a TOML file that can be read ({error})")
    for name in document:
        if name not in _NAMES and name != "plans":
            raise SettingWrong(name=f"{path.name}: {name}", must="is not a setting of Carryout")
    return document


def _texts(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name in _NAMES:
        value = environment.get(_PREFIX + name.upper(), document.get(name))
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            _wrong(name, "must be a text or a number")
        if value is not None and str(value).strip():
            found[name] = str(value).strip()
    return found


def _wrong(name: str, must: str) -> NoReturn:
    raise SettingWrong(name=_PREFIX + name.upper(), must=must)


def _database_url(value: str | None, data_dir: Path, folder: Path) -> str:
    if value is None:
        return f"sqlite:///{data_dir / 'carryout.db'}"
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return f"sqlite:///{folder / value.removeprefix('sqlite:///').replace('{data_dir}', str(data_dir))}"
    if re.match(r"postgres(ql)?://", value):
        return _parsed("database_url", value)
    _wrong("database_url", "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")


def _parsed(name: str, url: str) -> str:
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        _wrong(name, f"is not a URL ({error})")
    return url


def _storage_url(value: str | None, data_dir: Path, folder: Path, aws: Mapping[str, str]) -> str:
    if value is None:
        return f"file://{data_dir / 'files'}"
    if value.startswith("file://") and len(value) > len("file://"):
        return f"file://{folder / value.removeprefix('file://').replace('{data_dir}', str(data_dir))}"
    if value.startswith("s3://"):
        return _s3_url(value, aws)
    _wrong("storage_url", "must be file://PATH or s3://BUCKET/PREFIX?endpoint=URL&region=REGION")


def _s3_url(value: str, aws: Mapping[str, str]) -> str:
    parts = urlsplit(_parsed("storage_url", value))
    if not _BUCKET.fullmatch(parts.netloc) or not _FOLDER.fullmatch(parts.path) or parts.fragment:
        _wrong("storage_url", "must name a bucket and a plain folder in it, such as s3://my-bucket/carryout")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := [name for name in query if name not in ("endpoint", "region")]:
        _wrong("storage_url", f"knows endpoint and region alone, not {unknown[0]}")
    if "endpoint" in query and not _ENDPOINT.fullmatch(query["endpoint"]):
        _wrong(
            "storage_url", "endpoint must be the http or https address of the server, such as https://s3.example.com"
        )
    if "region" in query and not _REGION.fullmatch(query["region"]):
        _wrong("storage_url", "region must be a name such as eu-central-1")
    if missing := [name for name in _AWS_KEYS if name not in aws]:
        _wrong("storage_url", f"s3:// needs the keys in the environment, but {missing[0]} is not set")
    return value


def _base_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(_parsed("base_url", value))
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        _wrong("base_url", "must be the http or https address that buyers see, such as https://downloads.example.com")
    return value.rstrip("/")


def _secret_keys(value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    keys = _split_secrets(value)
    if keys is None:
        _wrong("secret_key", f"must be one or more secrets of at least {_MIN_SECRET} characters, comma separated")
    return keys


def _split_secrets(text: str) -> tuple[str, ...] | None:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    return keys if keys and all(len(key) >= _MIN_SECRET for key in keys) else None


def _networks(name: str, value: str | None) -> tuple[Network, ...]:
    try:
        return tuple(
            ipaddress.ip_network(part.strip(), strict=False) for part in (value or "").split(",") if part.strip()
        )
    except ValueError as error:
        _wrong(name, f"must be addresses or networks, comma separated, such as 10.0.0.0/8 ({error})")


def _count(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", value):
        _wrong(name, "must be a whole number, 0 to switch it off")
    return int(value)


def _choice(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    if value.lower() not in allowed:
        _wrong(name, "must be one of " + ", ".join(allowed))
    return value.lower()


def _plans(document: Any) -> Mapping[str, Plan]:
    try:
        written = msgspec.convert(document, dict[str, Plan])
    except msgspec.ValidationError as error:
        raise SettingWrong(name="[plans]", must=f"is wrong: {error}") from None
    return {**BUILT_IN_PLANS, **written}
