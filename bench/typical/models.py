"""The tables."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The declarative base."""

    type_annotation_map: ClassVar = {
        int: BigInteger,
        datetime: DateTime(timezone=True),
        list[str]: JSON,
    }


class Product(Base):
    """One row a variant."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    product_id: Mapped[int] = mapped_column(index=True)
    variant_id: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str]
    variant_name: Mapped[str | None]
    sku: Mapped[str | None] = mapped_column(index=True)
    vendor: Mapped[str | None]
    tags: Mapped[list[str]]
    assets: Mapped[list["Asset"]] = relationship(secondary="attachments")


class Asset(Base):
    """A file that can be delivered."""

    __tablename__ = "assets"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    filename: Mapped[str]
    size_bytes: Mapped[int]
    is_link: Mapped[bool] = mapped_column(default=False)
    download_limit: Mapped[int | None]


class Attachment(Base):
    """Which assets a product delivers."""

    __tablename__ = "attachments"

    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"), primary_key=True)


class Order(Base):
    """What was bought."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    shopify_id: Mapped[int] = mapped_column(unique=True)
    order_number: Mapped[int] = mapped_column(index=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None]
    financial_status: Mapped[str]
    cancelled_at: Mapped[datetime | None]
    ordered_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lines: Mapped[list["Line"]] = relationship(back_populates="order", order_by="Line.position")


class Line(Base):
    """One line of an order."""

    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    line_item_id: Mapped[int]
    position: Mapped[int]
    quantity: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()
    grants: Mapped[list["Grant"]] = relationship(back_populates="line")


class Grant(Base):
    """The right of a line to an asset, and how often it was used."""

    __tablename__ = "grants"
    __table_args__ = (UniqueConstraint("line_id", "asset_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    line_id: Mapped[int] = mapped_column(ForeignKey("lines.id"))
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"), index=True)
    used: Mapped[int] = mapped_column(default=0)
    download_limit: Mapped[int | None]
    line: Mapped[Line] = relationship(back_populates="grants")
    asset: Mapped[Asset] = relationship()


class Delivery(Base):
    """A webhook that was received, whole; its id makes a repetition harmless."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[str] = mapped_column(unique=True)
    topic: Mapped[str]
    payload: Mapped[str]
    received_at: Mapped[datetime]
