"""Checks an order by its types: what is missing or of another kind is told by its path."""
from dataclasses import dataclass, field
from typing import Literal

from compute import op


@dataclass
class Item:
    sku: str
    price: float
    count: int = 1


@dataclass
class Order:
    items: list[Item]
    currency: Literal["EUR", "USD"]
    notes: list[str] = field(default_factory=list)


@op
def order(input: Order):
    total = sum(item.price * item.count for item in input.items)
    return {"total": round(total, 2), "currency": input.currency}
