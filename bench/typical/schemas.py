"""What goes out and what comes in."""

from datetime import datetime

from pydantic import BaseModel


class ProductOut(BaseModel):
    """A product of a line."""

    id: str
    name: str
    variant_name: str | None
    sku: str | None
    product_id: int | None
    variant_id: int | None
    vendor: str | None
    tags: list[str]


class Limits(BaseModel):
    """Used and allowed downloads."""

    downloaded: int
    limit: int | None


class AssetData(BaseModel):
    """The asset and its link."""

    id: str
    filename: str
    size: str
    is_file: bool
    is_link: bool
    url: str | None


class AssetOut(BaseModel):
    """An asset of a line."""

    limits: Limits
    data: AssetData


class LineOut(BaseModel):
    """A line with what it delivers."""

    product: ProductOut
    assets: list[AssetOut]


class PageText(BaseModel):
    """The texts of the download page."""

    title: str
    text: str | None


class OrderOut(BaseModel):
    """An order."""

    order_number: int
    lines: list[LineOut]
    assets: list[AssetOut]
    text: PageText


class CustomerOrder(BaseModel):
    """The reply of the customer endpoint."""

    order: OrderOut
    text: PageText


class LineItem(BaseModel):
    """A line item of Shopify's."""

    id: int
    variant_id: int
    quantity: int


class OrderPayload(BaseModel):
    """What is used of Shopify's order."""

    id: int
    order_number: int
    token: str
    email: str | None = None
    financial_status: str
    cancelled_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    line_items: list[LineItem]
