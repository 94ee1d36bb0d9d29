"""Makers of stores: they take what the test is about, the rest is Mira's."""

from typing import Final

from carryout.db import Tx
from carryout.keyring import Keyring
from carryout.merchants import service
from carryout.merchants.model import Store
from tests.cast import MIRA, NOW, Merchant

KEYRING: Final = Keyring(["the secret key of the tests"])
# Each with the settings that it leaves out.
PLANS: Final = {"free": ("fraud_block", "delivery"), "premium": ()}


async def make_store(tx: Tx, merchant: Merchant = MIRA) -> Store:
    """The merchant's store."""
    secret = merchant.webhook_secret
    store, _ = await service.create(tx, KEYRING, merchant.name, merchant.domain, secret, "premium", PLANS, NOW)
    return store
