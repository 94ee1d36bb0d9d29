from collections.abc import Collection, Mapping

import pytest

from carryout.clock import HOUR
from carryout.db import Database, Tx
from carryout.merchants import service
from carryout.merchants.model import Dialect, FraudBlock, Store, StoreSettings
from tests.cast import MIRA, NOW, OTHER
from tests.merchants.makers import KEYRING, PLANS, make_store


async def create(database: Database, domain: str, *, name: str = "Mira", plan: str = "premium") -> tuple[Store, str]:
    return await database.write(service.create, KEYRING, name, domain, None, plan, PLANS, NOW)


async def set_values(database: Database, store: Store, *pairs: tuple[str, str]) -> Store:
    return await database.write(service.set_values, store.id, pairs, KEYRING, PLANS, NOW)


async def test_a_store_is_found_by_its_id_and_its_domain(database: Database) -> None:
    store = await database.write(make_store)
    assert await database.read(service.find_store, store.uid) == store
    assert await database.read(service.find_store, " Mira.MyShopify.com ") == store
    assert await database.read(service.find_by_id, store.id) == store


async def test_a_domain_is_kept_in_lower_case(database: Database) -> None:
    store, _ = await create(database, "MIRA.myshopify.com")
    assert store.domain == "mira.myshopify.com"


async def test_a_store_without_a_secret_gets_one(database: Database) -> None:
    _, secret = await create(database, MIRA.domain)
    signed = await database.read(service.find_by_domain, KEYRING, MIRA.domain, NOW)
    assert signed is not None
    assert signed.secrets == (secret.encode(),)
    assert len(secret) == 64


async def test_a_domain_belongs_to_one_store(database: Database) -> None:
    await database.write(make_store)
    with pytest.raises(service.DomainTaken, match=r"mira\.myshopify\.com"):
        await create(database, "Mira.myshopify.com")


async def test_a_store_must_have_a_domain_a_plan_and_a_name(database: Database) -> None:
    with pytest.raises(service.DomainInvalid, match="not a domain"):
        await create(database, "not a domain")
    with pytest.raises(service.PlanUnknown, match="free, premium"):
        await create(database, MIRA.domain, plan="gold")
    with pytest.raises(service.SettingInvalid, match=r"^name must"):
        await create(database, MIRA.domain, name=" ")
    assert await database.read(service.list_all) == []


@pytest.mark.parametrize("text", ["", "nobody.example.com", "01a20e90-cc89-72b9-9043-da4e00777707", "a\x00b", "\udc80"])
async def test_an_unknown_store_is_not_found(database: Database, text: str) -> None:
    with pytest.raises(service.StoreUnknown):
        await database.read(service.find_store, text)
    assert await database.read(service.find_by_domain, KEYRING, text, NOW) is None


async def test_values_are_set_all_or_none(database: Database) -> None:
    store = await database.write(make_store)
    changed = await set_values(database, store, ("download_limit", "3"), ("name", "Mira's"), ("plan", "free"))
    assert changed == await database.read(service.find_by_id, store.id)
    assert (changed.name, changed.plan, changed.settings.download_limit) == ("Mira's", "free", 3)
    with pytest.raises(service.SettingInvalid, match=r"^accent must be a colour"):
        await set_values(database, store, ("download_limit", "5"), ("accent", "loud"))
    assert await database.read(service.find_by_id, store.id) == changed


async def test_a_plan_refuses_the_settings_that_it_leaves_out(database: Database) -> None:
    store = await database.write(make_store)
    await set_values(database, store, ("plan", "free"))
    with pytest.raises(service.PlanExcludesSetting, match=r"^The plan free does not include fraud_block=high\.$"):
        await set_values(database, store, ("title", "New"), ("fraud_block", "high"))
    with pytest.raises(service.PlanExcludesSetting, match="delivery=redirect"):
        await set_values(database, store, ("delivery", "redirect"))
    assert (await set_values(database, store, ("fraud_block", "none"), ("delivery", "proxy"))).settings.title is None
    both = await set_values(database, store, ("fraud_block", "medium"), ("plan", "premium"))
    assert (both.plan, both.settings.fraud_block) == ("premium", FraudBlock.MEDIUM)


async def test_a_smaller_plan_withholds_what_a_larger_one_gives_back(database: Database) -> None:
    store = await database.write(make_store)
    await set_values(database, store, ("fraud_block", "high"), ("delivery", "redirect"), ("download_limit", "4"))
    small = (await set_values(database, store, ("plan", "free"))).settings
    assert (small.fraud_block, small.delivery, small.download_limit) == (FraudBlock.NONE, "proxy", 4)
    large = (await set_values(database, store, ("delivery", "proxy"), ("plan", "premium"))).settings
    assert (large.fraud_block, large.delivery, large.withheld) == (FraudBlock.HIGH, "proxy", {})


async def test_a_plan_that_changed_in_the_file_is_applied(database: Database) -> None:
    store = await database.write(make_store)
    other = await database.write(make_store, OTHER)
    await set_values(database, store, ("fraud_block", "high"))

    async def levels(plans: Mapping[str, Collection[str]]) -> list[FraudBlock]:
        await database.write(service.apply_plans, plans)
        return [each.settings.fraud_block for each in await database.read(service.list_all)]

    assert await levels({"premium": ("fraud_block",)}) == [FraudBlock.NONE, FraudBlock.NONE]
    assert await levels({"premium": ()}) == [FraudBlock.HIGH, FraudBlock.NONE]
    assert await levels({"another": ()}) == [FraudBlock.NONE, FraudBlock.NONE]
    assert await database.read(service.find_by_id, other.id) == other


async def test_a_time_zone_is_known_to_the_machine(database: Database) -> None:
    store = await database.write(make_store)
    assert (await set_values(database, store, ("timezone", "Europe/Berlin"))).settings.timezone == "Europe/Berlin"
    with pytest.raises(service.SettingInvalid, match=r"^timezone must"):
        await set_values(database, store, ("timezone", "../../etc/passwd"))


async def test_a_rotated_secret_leaves_the_old_one_good_for_an_hour(database: Database) -> None:
    store = await database.write(make_store)
    await set_values(database, store, ("webhook_secret", "a new secret"))
    old = MIRA.webhook_secret.encode()
    during = await database.read(service.find_by_domain, KEYRING, MIRA.domain, NOW + HOUR - 1)
    after = await database.read(service.find_by_domain, KEYRING, MIRA.domain, NOW + HOUR)
    assert during is not None
    assert during.secrets == (b"a new secret", old)
    assert after is not None
    assert after.secrets == (b"a new secret",)


async def test_an_empty_secret_is_refused(database: Database) -> None:
    store = await database.write(make_store)
    with pytest.raises(service.SettingInvalid, match=r"^webhook_secret must"):
        await set_values(database, store, ("webhook_secret", " "))


async def test_the_shop_names_itself(database: Database) -> None:
    store = await database.write(make_store)
    await database.write(service.update_profile, store.id, "Mira\x00 & Co")
    await database.write(service.update_profile, store.id, "\x00")
    assert (await database.read(service.find_store, store.uid)).name == "Mira & Co"


async def test_an_app_is_uninstalled_and_installed_again(database: Database) -> None:
    store = await database.write(make_store)
    await database.write(service.mark_uninstalled, store.id, NOW)
    await database.write(service.mark_uninstalled, store.id, NOW + 1)
    assert (await database.read(service.find_store, store.uid)).uninstalled_at == NOW
    await database.write(service.mark_installed, store.id)
    assert (await database.read(service.find_store, store.uid)).uninstalled_at is None


async def test_a_deleted_store_takes_its_keys_along_and_nobody_elses(database: Database) -> None:
    mira = await database.write(make_store)
    other = await database.write(make_store, OTHER)
    _, key = await make_key(database, mira)
    _, other_key = await make_key(database, other)
    assert await database.write(service.delete_store, mira.id)
    assert not await database.write(service.delete_store, mira.id)
    assert await database.read(service.list_all) == [other]
    assert await database.read(service.find_by_key, key, NOW) is None
    assert await database.read(service.find_by_key, other_key, NOW) is not None


async def make_key(
    database: Database, store: Store, *, scopes: str = "read,write", expires_at: int | None = None
) -> tuple[str, str]:
    async def make(tx: Tx) -> tuple[str, str]:
        made, key = await service.create_key(tx, store.id, "Script", Dialect.NEW, scopes, expires_at, NOW)
        return made.uid, key

    return await database.write(make)


async def test_a_key_opens_its_store_until_it_is_revoked(database: Database) -> None:
    store = await database.write(make_store)
    uid, key = await make_key(database, store, scopes="write, read")
    found = await database.read(service.find_by_key, key, NOW)
    assert found is not None
    assert (found[0], found[1].uid, found[1].scopes) == (store, uid, "read,write")
    assert (await database.write(service.revoke_key, uid, NOW)).revoked_at == NOW
    assert (await database.write(service.revoke_key, uid, NOW + 1)).revoked_at == NOW
    assert await database.read(service.find_by_key, key, NOW) is None


async def test_a_key_ends_when_it_expires(database: Database) -> None:
    store = await database.write(make_store)
    _, key = await make_key(database, store, expires_at=NOW + 1)
    assert await database.read(service.find_by_key, key, NOW) is not None
    assert await database.read(service.find_by_key, key, NOW + 1) is None
    with pytest.raises(service.KeyExpired):
        await make_key(database, store, expires_at=NOW)


@pytest.mark.parametrize("scopes", ["", "admin", "read,admin", "read write"])
async def test_unknown_scopes_are_refused(database: Database, scopes: str) -> None:
    store = await database.write(make_store)
    with pytest.raises(service.ScopesInvalid):
        await make_key(database, store, scopes=scopes)


async def test_a_key_is_kept_as_a_digest_and_listed_without_it(database: Database) -> None:
    store = await database.write(make_store)
    uid, key = await make_key(database, store)
    listed = await database.read(service.list_keys)
    assert [(view.uid, view.store_uid, view.domain) for view in listed] == [(uid, store.uid, store.domain)]
    assert key not in repr(listed)
    assert key.startswith("co_")


@pytest.mark.parametrize("key", ["", "co_", "co_" + "x" * 43, "co_" + "ä" * 43, "x" * 46, "\x00"])
async def test_a_wrong_key_opens_nothing(database: Database, key: str) -> None:
    assert await database.read(service.find_by_key, key, NOW) is None


async def test_an_unknown_key_cannot_be_revoked(database: Database) -> None:
    for key_id in ("", "1", "01a20e90-cc89-72b9-9043-da4e00777707"):
        with pytest.raises(service.KeyUnknown):
            await database.write(service.revoke_key, key_id, NOW)


def test_a_new_store_has_no_limits() -> None:
    settings = StoreSettings()
    assert (settings.download_limit, settings.address_limit, settings.expires_days) == (None, None, None)
