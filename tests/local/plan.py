"""Which requests the driver will send: a pure function of the seed.

Must not send anything, and must not know the shape of a table.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

TENANTS = ("acme", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "juniper", "kelp", "lagoon")
PRICES = {"tea": 450, "mug": 1200, "pot": 3900, "tin": 650, "rare": 9900, "unknown": 100}
PLENTY = ("tea", "mug", "pot", "tin")
REASONS = ("changed my mind", "found it cheaper", "ordered twice", "")


@dataclass(frozen=True)
class OrderPlan:
    """One order and what is to happen to it."""

    number: int
    tenant: str
    body: dict[str, Any]
    repeat: str = "no"
    cancel: str = "no"
    reason: str = ""  # empty: none is given
    probe: str = "no"


@dataclass(frozen=True)
class CheckoutPlan:
    """One checkout, what is to become of it, and what a person says, if one is asked."""

    number: int
    tenant: str
    fate: str
    body: dict[str, Any]
    decision: str = ""


@dataclass(frozen=True)
class Plan:
    """All requests of one run."""

    tenants: tuple[str, ...]
    receipts: tuple[tuple[str, str, int], ...]
    story: OrderPlan
    reordered: tuple[OrderPlan, ...]
    orders: tuple[OrderPlan, ...]
    checkouts: tuple[CheckoutPlan, ...]


def make(orders: int, tenants: int, seed: int) -> Plan:
    """Lays out a run of `orders` orders; the same seed gives the same run."""
    dice = random.Random(seed)
    names = tuple(TENANTS[i] if i < len(TENANTS) else f"tenant-{i + 1}" for i in range(tenants))
    per_tenant = orders // tenants + 1
    checkouts = tuple(check_out(number, names[number % tenants]) for number in range(orders // CHECKOUT_EVERY))
    receipts = tuple((name, sku, per_tenant * 5 + PIECES_TOO_MANY * (1 + len(checkouts) // 10)) for name in names for sku in PLENTY)
    receipts += tuple((name, "rare", max(3, per_tenant // 8)) for name in names)
    story = OrderPlan(0, names[0], {"customer_id": "c-1", "lines": [line("tea", 2), line("mug", 1)]},
                      cancel="soon", reason=REASONS[0])
    special = min(6, max(0, orders - 1))
    reordered = tuple(OrderPlan(1 + i, names[i % tenants], {"customer_id": customer(dice), "lines": [line("tea", 1)]},
                                cancel="soon", reason=REASONS[2]) for i in range(special))
    rest = tuple(draw(dice, number, names[number % tenants]) for number in range(1 + special, orders))
    return Plan(names, receipts, story, reordered, rest, checkouts)


# What becomes of each ten checkouts: the share of each is stated here, and the run's table shows what came of them.
FATES = ("goes well", "out of stock", "goes well", "declined", "goes well", "parcel too big", "goes well", "capture declined",
         "goes well", "asks a person")
PERSONS = ("approve", "refuse", "")
CHECKOUT_EVERY = 5
PIECES_TOO_MANY = 60
DECLINED_CENTS, EXPIRED_CENTS = 1213, 1217  # what the local provider says no to


def check_out(number: int, tenant: str) -> CheckoutPlan:
    """One checkout, with what makes its fate happen."""
    fate = FATES[number % len(FATES)]
    lines = {"goes well": [line("tea", 2), line("mug", 1)], "out of stock": [line("tea", 1), {"sku": "rare", "quantity": 10_000, "unit_price_cents": 1}],
             "declined": [{"sku": "mug", "quantity": 1, "unit_price_cents": DECLINED_CENTS}],
             "parcel too big": [line("tea", PIECES_TOO_MANY)],
             "capture declined": [{"sku": "mug", "quantity": 1, "unit_price_cents": EXPIRED_CENTS}],
             "asks a person": [line("pot", 30)]}[fate]
    decision = PERSONS[number // len(FATES) % len(PERSONS)] if fate == "asks a person" else ""
    return CheckoutPlan(number, tenant, fate, {"customer_id": f"c-{number % 5 + 1}", "lines": lines}, decision)


def draw(dice: random.Random, number: int, tenant: str) -> OrderPlan:
    """One order with its lines and its fate."""
    return OrderPlan(number, tenant, {"customer_id": customer(dice), "lines": lines(dice)},
                     repeat=dice.choices(("no", "later", "at once"), (88, 6, 6))[0],
                     cancel=dice.choices(("no", "soon", "late"), (82, 9, 9))[0],
                     reason=dice.choice(REASONS),
                     probe=dice.choices(("no", "other body", "other tenant", "cancel again", "no key"), (88, 3, 3, 3, 3))[0])


def lines(dice: random.Random) -> list[dict[str, Any]]:
    """A few distinct skus; about one order in eight asks for more than there is."""
    found = [line(sku, dice.randint(1, 3)) for sku in dice.sample(PLENTY, dice.choice((1, 1, 2, 3)))]
    fate = dice.random()
    if fate < 0.06:
        found.append(line("rare", 10_000))
    elif fate < 0.22:
        found.append(line("rare", 1))
    elif fate < 0.25:
        found.append(line("unknown", 1))
    return found


def line(sku: str, quantity: int) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "unit_price_cents": PRICES[sku]}


def customer(dice: random.Random) -> str:
    """The same few names for every tenant, so that a key without its tenant would mix them."""
    return f"c-{dice.randint(1, 5)}"


def in_bursts(orders: tuple[OrderPlan, ...], size: int) -> tuple[OrderPlan, ...]:
    """The same orders, `size` of one tenant after each other: a batch that is killed then holds back few tenants."""
    waiting: dict[str, list[OrderPlan]] = {}
    for order in orders:
        waiting.setdefault(order.tenant, []).append(order)
    found: list[OrderPlan] = []
    while any(waiting.values()):
        for mine in waiting.values():
            found += mine[:size]
            del mine[:size]
    return tuple(found)
