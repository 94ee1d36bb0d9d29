import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carryout.settings import BUILT_IN_PLANS, Plan, SettingWrong, load, secret_file, secret_keys


def test_nothing_is_needed(tmp_path: Path) -> None:
    settings = load({}, tmp_path)

    assert settings.data_dir == tmp_path / "data"
    assert settings.database_url == f"sqlite:///{tmp_path}/data/carryout.db"
    assert settings.storage_url == f"file://{tmp_path}/data/files"
    assert (settings.api_rate_limit, settings.guess_limit, settings.log_level) == (60, 30, "info")
    assert settings.base_url is None
    assert settings.plans == BUILT_IN_PLANS


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "carryout.toml").write_text('guess_limit = 5\nlog_level = "debug"\napi_rate_limit = 7\n')

    settings = load({"CARRYOUT_GUESS_LIMIT": "0", "CARRYOUT_API_RATE_LIMIT": " 8 "}, tmp_path)

    assert (settings.guess_limit, settings.api_rate_limit, settings.log_level) == (0, 8, "debug")


def test_the_file_may_stand_elsewhere_and_name_plans(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[plans.small]\ncustomer_account_links = false\nstorage_bytes = 5\n")

    plans = load({"CARRYOUT_CONFIG": "other.toml"}, tmp_path).plans

    assert plans["small"].storage_bytes == 5
    assert set(plans) == {*BUILT_IN_PLANS, "small"}


def test_a_plan_leaves_settings_out_and_an_unknown_one_includes_nothing(tmp_path: Path) -> None:
    (tmp_path / "carryout.toml").write_text("[plans.small]\nfraud_block = false\n")
    settings = load({}, tmp_path)

    assert settings.left_out["small"] == {"fraud_block"}
    assert settings.left_out["free"] == {"fraud_block", "delivery"}
    assert settings.left_out["premium"] == set()
    assert settings.plan("gone") == Plan(
        customer_account_links=False, storage_bytes=0, fraud_block=False, own_storage=False
    )


def test_a_plan_holds_no_less_than_nothing(tmp_path: Path) -> None:
    (tmp_path / "carryout.toml").write_text("[plans.small]\nstorage_bytes = -1\n")

    with pytest.raises(SettingWrong, match=r"\[plans\]: is wrong"):
        load({}, tmp_path)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("sqlite:///x.db", "sqlite:///{folder}/x.db"),
        ("sqlite:////srv/x.db", "sqlite:////srv/x.db"),
        ("sqlite:///{data_dir}/y.db", "sqlite:///{folder}/data/y.db"),
        ("postgresql://u:p@h/n?sslmode=require", "postgresql://u:p@h/n?sslmode=require"),
        ("postgres:///n?host=/run/postgresql", "postgres:///n?host=/run/postgresql"),
    ],
)
def test_a_database_has_an_address(tmp_path: Path, value: str, wanted: str) -> None:
    assert load({"CARRYOUT_DATABASE_URL": value}, tmp_path).database_url == wanted.replace("{folder}", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://h/n"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "postgresql://h:port/n"),
        ("DATABASE_URL", "postgresql://[h/n"),
        ("STORAGE_URL", "/srv/files"),
        ("BASE_URL", "shop.example.com"),
        ("BASE_URL", "https://u:p@x"),
        ("BASE_URL", "https://x/?a=b"),
        ("BASE_URL", "https://[x"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", ","),
        ("SECRET_KEY", "long enough for a secret,short"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("PRIVATE_NETWORKS", "here"),
        ("API_RATE_LIMIT", "many"),
        ("API_RATE_LIMIT", "-1"),
        ("API_RATE_LIMIT", "1e3"),
        ("GUESS_LIMIT", "\u0663"),
        ("SENDFILE", "apache"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("CONFIG", "missing.toml"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingWrong, match=f"^CARRYOUT_{name}: ") as caught:
        load({f"CARRYOUT_{name}": value}, tmp_path)

    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["guess_limit = ", "guess_limits = 3", "guess_limit = [1]", "guess_limit = true", "[plans.x]\nodd = 1", "\x00"],
)
def test_a_wrong_file_is_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "carryout.toml").write_text(text)

    with pytest.raises(SettingWrong):
        load({}, tmp_path)


def test_networks_are_read(tmp_path: Path) -> None:
    settings = load({"CARRYOUT_TRUSTED_PROXIES": "10.1.2.3/8, ::1,"}, tmp_path)

    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: secret_keys(settings), range(32)))

    assert len(made) == 1
    assert stat.S_IMODE(secret_file(settings).stat().st_mode) == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["secret_key"]


def test_configured_secrets_come_first_and_make_no_file(tmp_path: Path) -> None:
    settings = load({"CARRYOUT_SECRET_KEY": "the first of our secrets, the second of our secrets"}, tmp_path)

    assert secret_keys(settings) == ("the first of our secrets", "the second of our secrets")
    assert not settings.data_dir.exists()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_secret_that_was_lost_is_told_with_its_file(tmp_path: Path, content: bytes) -> None:
    settings = load({}, tmp_path)
    settings.data_dir.mkdir()
    secret_file(settings).write_bytes(content)

    with pytest.raises(SettingWrong, match=re.escape(str(secret_file(settings)))):
        secret_keys(settings)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(SettingWrong, match=r"^CARRYOUT_DATA_DIR: "):
        secret_keys(load({}, tmp_path))


KEYS = {"AWS_ACCESS_KEY_ID": "an id", "AWS_SECRET_ACCESS_KEY": "a secret"}


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://my-bucket/some/folder/",
        "s3://bucket/folder?endpoint=http://127.0.0.1:9000&region=eu-central-1",
        "s3://bucket?endpoint=https%3A%2F%2Fs3.example.com",
    ],
)
def test_files_may_be_on_s3(tmp_path: Path, url: str) -> None:
    settings = load({"CARRYOUT_STORAGE_URL": url, "PATH": "/bin", **KEYS}, tmp_path)
    assert (settings.storage_url, settings.aws) == (url, KEYS)


@pytest.mark.parametrize(
    ("url", "must"),
    [
        ("s3://", "name a bucket"),
        ("s3://bucket/../other", "name a bucket"),
        ("s3://key:secret@bucket/folder", "name a bucket"),
        ("s3://bucket?endpont=https://s3.example.com", "not endpont"),
        ("s3://bucket?endpoint=s3.example.com", "endpoint must be"),
        ("s3://bucket?endpoint=https://s3.example.com/path", "endpoint must be"),
        ("s3://bucket?region=", "region must be"),
        ("ftp://bucket", "file://PATH or s3://"),
    ],
)
def test_a_wrong_bucket_is_refused(tmp_path: Path, url: str, must: str) -> None:
    with pytest.raises(SettingWrong, match=must) as wrong:
        load({"CARRYOUT_STORAGE_URL": url, **KEYS}, tmp_path)
    assert wrong.value.message.startswith("CARRYOUT_STORAGE_URL: ")


def test_s3_needs_its_keys(tmp_path: Path) -> None:
    with pytest.raises(SettingWrong, match=r"CARRYOUT_STORAGE_URL: .* AWS_SECRET_ACCESS_KEY is not set"):
        load({"CARRYOUT_STORAGE_URL": "s3://bucket", "AWS_ACCESS_KEY_ID": "an id"}, tmp_path)
