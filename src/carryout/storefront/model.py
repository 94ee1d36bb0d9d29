"""The reply of the customer endpoint, key by key (Fileflare API, `customer-account-orders`), and the buyer's page."""

import msgspec

from carryout.entitlements.model import Refusal
from carryout.merchants.model import StoreSettings


class ProductEntry(msgspec.Struct, frozen=True):
    """What was bought; all but the name is None for a line without a variant."""

    id: str | None
    name: str
    variant_name: str | None
    sku: str | None
    product_id: int | None
    variant_id: int | None
    vendor: str | None
    tags: list[str] | None


class Limits(msgspec.Struct, frozen=True):
    """Uses spent and allowed; None is no limit."""

    downloaded: int
    limit: int | None


class AssetData(msgspec.Struct, frozen=True):
    """The asset and its counted link, which is None where the grant is refused."""

    id: str
    filename: str
    size: str
    is_file: bool
    is_link: bool
    url: str | None


class RefusalEntry(msgspec.Struct, frozen=True):
    """Why the link is missing (ours)."""

    code: str
    message: str


class AssetEntry(msgspec.Struct, frozen=True):
    """One grant."""

    limits: Limits
    data: AssetData
    refusal: RefusalEntry | msgspec.UnsetType = msgspec.UNSET


class LineEntry(msgspec.Struct, frozen=True):
    """One order line, also when it grants nothing."""

    product: ProductEntry
    assets: list[AssetEntry]


class PageText(msgspec.Struct, frozen=True):
    """The page's title and optional text."""

    title: str
    text: str | None


class OrderEntry(msgspec.Struct, frozen=True):
    """The order; its own assets stand beside those of its lines."""

    order_number: int | None
    lines: list[LineEntry]
    assets: list[AssetEntry]
    text: PageText


class Reply(msgspec.Struct, frozen=True):
    """The whole reply; `text` stands here too for clients of the older documentation."""

    order: OrderEntry
    text: PageText


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One grant on the page. Times are microseconds UTC; `limit` None is no limit; `message` is the default one.

    `is_resumable`: only because this client has a download of it open, which costs no further use.
    """

    uid: str
    grant_id: int
    filename: str
    is_link: bool
    link_url: str | None
    size_bytes: int | None
    size_text: str | None
    sha256: str | None
    used: int
    limit: int | None
    expires_at: int | None
    release_at: int | None
    refusal: Refusal | None
    message: str | None
    is_resumable: bool = False


class Group(msgspec.Struct, frozen=True):
    """What one line granted, under its product's name; without a title it is the order's own."""

    title: str | None
    rows: list[Row]


class OrderPage(msgspec.Struct, frozen=True):
    """Everything on the buyer's page, judged for the client that asked; nothing of it is personal.

    `is_zip_open`: this client has a ZIP of the order open, and may go on with it.
    """

    store_id: int
    store_uid: str
    order_id: int
    order_number: int | None
    link_generation: int
    locale: str | None
    settings: StoreSettings
    groups: list[Group]
    is_zip_open: bool = False

    @property
    def zip_files(self) -> list[Row]:
        """What a new ZIP would hold, at one use each."""
        return [row for row in self.rows if not row.is_link and row.refusal is None and not row.is_resumable]

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of the page."""
        return [row for group in self.groups for row in group.rows]
