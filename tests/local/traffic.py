"""Drives real traffic through the HTTP API, waits until the pipeline is at rest, and shows what came of it.

Must not write to a table. Run: python tests/local/traffic.py --name run --orders 300 --tenants 6 [--kills 10]
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import check_checkouts
import rest
import story
import verify
from cloud import Stack, Trouble, fail_on_trouble, load
from disorder import Disorder, standing_still
from driver import Driver
from hints import newest_cli
from kills import Killer, table_of
from paper import console, table
from plan import CheckoutPlan, OrderPlan, Plan, in_bursts, make
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rows import Aggregate, Answer, World

WORKERS = 8
REORDERED_SECONDS = 30
REST_SECONDS, REST_SECONDS_WITH_KILLS = 120, 600
STORY_SECONDS = 30
BURST, BURST_SECONDS = 6, 2.0
KILL_SECONDS = 600
LATE_COPIES = 12
READS = 40
RETURN_EVERY = 4


class Traffic:
    """One run: all requests of the plan, and the disorder."""

    def __init__(self, stack: Stack, plan: Plan, killer: Killer | None, bar: Progress) -> None:
        self.stack, self.plan, self.killer, self.bar = stack, plan, killer, bar
        self.driver = Driver(stack)
        self.disorder = Disorder(stack)
        self.placed: dict[int, Answer] = {}
        self.submitted: dict[int, Answer] = {}
        self.notes: list[str] = []
        self.seen_ms: dict[str, float] = {}

    def receive_stock(self, pool: ThreadPoolExecutor) -> None:
        task = self.bar.add_task("stock receipts", total=len(self.plan.receipts))
        work = [pool.submit(self.driver.receive, *receipt) for receipt in self.plan.receipts]
        self._finish(work, task)
        refused = next((each.result() for each in work if each.result().status != 201), None)
        if refused:
            raise Trouble(f"The API at {self.stack.api} does not take stock receipts: {refused.status} {refused.answer}. "
                          "Look at the log of orders-api, then make down and make run.")

    def tell_a_story(self) -> None:
        """One order alone, placed and cancelled, with the time until the read sides show it."""
        told = self.plan.story
        answer = self._place(told)
        if answer.status == 201:
            self.seen_ms = story.first_seen(self.driver, told.tenant, answer, told.body["customer_id"])
            self.driver.cancel(told.tenant, told.number, answer, told.reason)
            rest.wait(self.stack, STORY_SECONDS, lambda _: None, only={aggregate(told, answer)})

    def send_reordered(self) -> None:
        """While the relay stands still: the later event of each order first, then the earlier one."""
        task = self.bar.add_task("reordered messages", total=len(self.plan.reordered))
        with standing_still(self.stack, "relay"):
            orders = set()
            for order in self.plan.reordered:
                self._one(order)
                if order.number in self.placed:
                    orders.add(aggregate(order, self.placed[order.number]))
                self.bar.advance(task)
            for each in orders:
                self.disorder.copy(reversed(self.disorder.rows_of(each)))
            left = rest.wait(self.stack, REORDERED_SECONDS, lambda _: None, only=orders)
        behind = sum(left.behind.values())
        self.notes.append(f"{len(orders)} orders reached the consumers later event first, before the relay had sent anything; "
                          + ("all were applied in order." if not behind else f"{behind} were not applied within {REORDERED_SECONDS} s."))

    def send_orders(self, pool: ThreadPoolExecutor) -> None:
        """All other orders, concurrently; copies of old messages in between."""
        orders = in_bursts(self.plan.orders, BURST) if self.killer else self.plan.orders
        task = self.bar.add_task("orders", total=len(orders))
        work: list[Future[Any]] = []
        served = 0
        for at, order in enumerate(orders):
            if at == len(orders) // 2:
                self.notes.append(f"After {at} orders the issuer rotated its keys: from then on it signed with {self.driver.tokens.rotate()}.")
            if self.killer and at % BURST == 0:
                served = wait_for_meal(self.killer, served)
            work.append(pool.submit(self._one, order))
            work[-1].add_done_callback(lambda _: self.bar.advance(task))
            if at and at % max(1, len(orders) // 4) == 0:
                work.append(pool.submit(self.send_copies))
        for each in work:
            each.result()

    def _one(self, order: OrderPlan) -> None:
        """One order with everything that is to happen to it."""
        answer = self._place(order)
        if answer.status != 201:
            return
        if order.repeat == "later":
            self.driver.place(order.tenant, order.number, order.body)
        if order.cancel == "soon":
            self.driver.cancel(order.tenant, order.number, answer, order.reason)
        self._probe(order, answer)

    def _place(self, order: OrderPlan) -> Answer:
        """Places one order; "at once" sends it from two threads at the same moment."""
        answers: list[Answer] = []
        together = threading.Barrier(2 if order.repeat == "at once" else 1)

        def go() -> None:
            together.wait()
            answers.append(self.driver.place(order.tenant, order.number, order.body))
        twins = [threading.Thread(target=go) for _ in range(together.parties)]
        for twin in twins:
            twin.start()
        for twin in twins:
            twin.join()
        if answers[0].status == 201:
            self.placed[order.number] = answers[0]
        return answers[0]

    def _probe(self, order: OrderPlan, placed: Answer) -> None:
        """Requests that have to be refused, and that must leave nothing behind."""
        path, foreign = f"/orders/{placed.answer['order_id']}", other_tenant(self.plan, order.tenant)
        post = self.driver.post
        if order.probe == "other body":
            post("refused", order.tenant, "/orders", {**order.body, "customer_id": "c-99"}, f"order-{order.number}", expect=(422,))
        elif order.probe == "no key":
            post("refused", order.tenant, "/orders", order.body, None, expect=(400,))
        elif order.probe == "other tenant" and foreign:
            self._probe_tenants(order, f"{path}/cancel", foreign)
        elif order.probe == "cancel again" and order.cancel == "soon":
            post("refused", order.tenant, f"{path}/cancel", {"reason": "again"}, f"again-{order.number}", expect=(409,))

    def _probe_tenants(self, order: OrderPlan, path: str, foreign: str) -> None:
        """What another tenant's token, a word about another tenant, or no good token can do to an order: nothing."""
        post, body, number = self.driver.post, {"reason": "not mine"}, order.number
        post("refused", foreign, path, body, f"foreign-{number}", expect=(404,))
        post("refused", foreign, path, body, f"named-{number}", expect=(403,), headers={"x-tenant-id": order.tenant})
        post("refused", foreign, "/orders", {**order.body, "tenant_id": order.tenant}, f"claimed-{number}", expect=(403,))
        post("refused", order.tenant, path, body, f"nobody-{number}", expect=(401,), headers={"authorization": ""})
        head, said, signature = self.driver.tokens.of(order.tenant).split(".")
        changed = f"Bearer {head}.{said}.{signature[::-1]}"
        post("refused", order.tenant, path, body, f"changed-{number}", expect=(401,), headers={"authorization": changed})

    def send_checkouts(self, pool: ThreadPoolExecutor) -> None:
        """All checkouts; a person decides on those that ask for one, but for some."""
        if not self.stack.provider:
            self.notes.append("There is no payment provider here, so nothing was checked out.")
            return
        task = self.bar.add_task("checkouts", total=len(self.plan.checkouts))
        self._finish([pool.submit(self._check_out, checkout) for checkout in self.plan.checkouts], task)
        shares = Counter(checkout.fate for checkout in self.plan.checkouts)
        told = ", ".join(f"{count} {fate}" for fate, count in shares.items())
        self.notes.append(f"{len(self.plan.checkouts)} checkouts were to come to this: {told}.")

    def _check_out(self, checkout: CheckoutPlan) -> None:
        answer = self.driver.check_out(checkout.tenant, checkout.number, checkout.body)
        if answer.status == 202:
            self.submitted[checkout.number] = answer
            if checkout.decision:
                self.driver.decide(checkout.tenant, checkout.number, answer, checkout.decision)

    def take_back(self, pool: ThreadPoolExecutor) -> None:
        """At rest: some of what went well comes back."""
        sent = [each for each in self.plan.checkouts if each.fate == "goes well" and each.number in self.submitted][::RETURN_EVERY]
        task = self.bar.add_task("returns", total=len(sent))
        back = self.driver.take_back
        self._finish([pool.submit(back, each.tenant, each.number, self.submitted[each.number]) for each in sent], task)

    def cancel_late(self, pool: ThreadPoolExecutor) -> None:
        late = [o for o in self.plan.orders if o.cancel == "late" and o.number in self.placed]
        task = self.bar.add_task("late cancellations", total=len(late))
        cancel = self.driver.cancel
        self._finish([pool.submit(cancel, o.tenant, o.number, self.placed[o.number], o.reason) for o in late], task)

    def send_copies(self) -> None:
        """Copies of messages of some orders, cancelled ones first; of a cancelled order the oldest row goes last."""
        known = {o.number: o for o in (*self.plan.reordered, *self.plan.orders)}
        orders = [known[number] for number in list(self.placed) if number in known]
        orders.sort(key=lambda o: (o.cancel != "soon", o.number))
        for order in orders[:LATE_COPIES]:
            self.disorder.copy(reversed(self.disorder.rows_of(aggregate(order, self.placed[order.number]))))

    def read_back(self, pool: ThreadPoolExecutor) -> None:
        """At rest: asks for a sample of orders and every timeline, and for orders of another tenant."""
        orders = [o for o in self.plan.orders if o.number in self.placed][:READS]
        customers = sorted({(o.tenant, o.body["customer_id"]) for o in orders})
        task = self.bar.add_task("reads", total=2 * len(orders) + len(customers))
        get, work = self.driver.get, []
        for order in orders:
            path = f"/orders/{self.placed[order.number].answer['order_id']}"
            work.append(pool.submit(get, "read-order", order.tenant, path))
            foreign = other_tenant(self.plan, order.tenant)
            work.append(pool.submit(get, "refused", foreign or order.tenant, path if foreign else "/orders/none", (404,)))
        work += [pool.submit(get, "read-timeline", tenant, f"/customers/{customer}/timeline") for tenant, customer in customers]
        self._finish(work, task)

    def _finish(self, work: list[Future[Any]], task: Any) -> None:
        for each in work:
            each.add_done_callback(lambda _: self.bar.advance(task))
        for each in work:
            each.result()


def wait_for_meal(killer: Killer, served: int) -> int:
    """Holds orders back until a kill waits for a batch anew, so that there is traffic for every kill."""
    until = time.monotonic() + BURST_SECONDS
    while len(killer.done) < killer.wanted and killer.meals <= served and time.monotonic() < until:
        time.sleep(0.01)
    return killer.meals


def aggregate(order: OrderPlan, placed: Answer) -> Aggregate:
    return Aggregate(order.tenant, "order", placed.answer["order_id"])


def other_tenant(plan: Plan, tenant: str) -> str | None:
    """Another tenant of the run, if there is one."""
    return next((name for name in plan.tenants if name != tenant), None)


def drive(traffic: Traffic, killer: Killer | None, bar: Progress, limit: float) -> rest.Rest:
    """Sends everything, then waits for rest and reads back."""
    with ThreadPoolExecutor(WORKERS) as pool:
        traffic.receive_stock(pool)
        traffic.tell_a_story()
        traffic.send_reordered()
        hunter = threading.Thread(target=killer.run, daemon=True) if killer else None
        if hunter:
            hunter.start()
        traffic.send_orders(pool)
        traffic.send_checkouts(pool)
        traffic.cancel_late(pool)
        if hunter and killer:
            hunter.join(KILL_SECONDS)
            killer.stop.set()
            hunter.join()
        traffic.send_copies()
        task = bar.add_task("until at rest", total=None)
        found = rest.wait(traffic.stack, limit, lambda now: bar.update(task, description=f"until at rest: {now}"))
        if found.reached and traffic.submitted:
            traffic.take_back(pool)
            found = rest.wait(traffic.stack, limit, lambda now: bar.update(task, description=f"until at rest: {now}"))
        bar.update(task, description="at rest" if found.reached else "not at rest", total=1, completed=1)
        traffic.read_back(pool)
    return found


def request_table(driver: Driver) -> Table:
    """What was asked and what was answered, by kind and status."""
    kinds = {"receipt": "stock received", "order": "order placed", "cancel": "order cancelled", "checkout": "checked out",
             "decision": "decided by a person", "return": "sent back", "refused": "had to be refused",
             "watch": "watched", "read-order": "order read", "read-timeline": "timeline read"}
    lines = table("Requests", "request", ">sent", ">replays", "answers")
    for kind, label in kinds.items():
        mine = [a for a in driver.answers if a.kind == kind]
        if mine:
            counts = Counter("lost" if a.status == 0 else str(a.status) for a in mine)
            told = ", ".join(f"{status} × {count:,}" for status, count in sorted(counts.items()))
            lines.add_row(label, f"{len(mine):,}", str(sum(a.replay for a in mine) or ""), told)
    return lines


def saga_table(world: World) -> Table:
    """What the sagas came to, from the journal; a command that is parked holds its saga up."""
    ends = check_checkouts.counts(world)
    parked = len({c.aggregate for c in world.cursors if c.status == "parked" and c.aggregate.kind == "fulfilment"})
    lines = table("Sagas", "saga", ">started", ">completed", ">compensated", ">waiting", ">parked")
    lines.add_row("fulfilment", *(str(number) for number in (ends.total(), ends["completed"], ends["compensated"],
                                                            ends["waiting"] - parked, parked)))
    return lines


def show_status(stack: Stack, cli: Path, out: Console) -> bool:
    """The product's own table; True if the command said that all is well. Nothing is on its way any more: no grace."""
    out.print()
    out.file.flush()
    return subprocess.run([str(cli), "status", "--grace", "0", "--stack-file", str(stack.file)], check=False).returncode == 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drive traffic through a stack and check what came of it.")
    parser.add_argument("--name", default="run", help="folder under .local (default: run)")
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--tenants", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="kill so many function processes with a batch in flight")
    parser.add_argument("--rest", type=float, default=0, help="seconds to wait for rest (default: 120, with kills 600)")
    parser.add_argument("--cli", type=Path, help="the towpath binary (default: the newest one under target)")
    given = parser.parse_args()
    if given.orders < 1 or given.tenants < 1 or given.kills < 0:
        raise Trouble("--orders and --tenants must be at least 1, and --kills not below 0.")
    given.cli = given.cli or newest_cli()
    if not given.cli or not given.cli.exists():
        raise Trouble(f"There is no {given.cli or 'towpath binary under target'}. Build it (make build), or name another one with --cli.")
    return given


def main() -> int:
    given, out = arguments(), console()
    stack = load(given.name)
    plan = make(given.orders, given.tenants, given.seed)
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out) as bar:
        killer = Killer(stack, given.kills, given.seed, kill_teller(bar, given.kills)) if given.kills else None
        traffic = Traffic(stack, plan, killer, bar)
        reached = drive(traffic, killer, bar, given.rest or (REST_SECONDS_WITH_KILLS if killer else REST_SECONDS))
    traffic.driver.close()
    return report(traffic, killer, reached, given.cli, out)


def kill_teller(bar: Progress, wanted: int) -> Any:
    task = bar.add_task("kills", total=wanted)
    return lambda kill: bar.advance(task)


def report(traffic: Traffic, killer: Killer | None, reached: rest.Rest, cli: Path, out: Console) -> int:
    """Prints everything that a person wants to see; 0 only if all of it is well."""
    stack = traffic.stack
    out.print(request_table(traffic.driver))
    out.print(f"\n{traffic.disorder.sent} copies of old messages went straight into the consumers' queues.", soft_wrap=True)
    for note in traffic.notes:
        out.print(note, soft_wrap=True)
    if killer:
        out.print(table_of(killer))
    if not reached.reached:
        out.print(f"The pipeline did not come to rest: {reached}.", style="bold red", soft_wrap=True)
        for name in rest.failing(stack):
            out.print(f"The last batch of {name} failed. Its words are in the log group {stack.output('LogGroup')}, and those of a "
                      f"function that could not start in .local/{stack.name}/emulator.log.", style="red", soft_wrap=True)
    well = show_status(stack, cli, out)
    world = verify.load_world(stack)
    if stack.provider:
        out.print(saga_table(world))
    out.print("\nThe independent check", style="bold")
    agrees = verify.show(verify.run_checks(world), world, out)
    out.print()
    told = traffic.placed.get(traffic.plan.story.number)
    if told:
        story.tell(stack, told, traffic.seen_ms, out)
        story.what_next(stack, traffic.plan, told)
    killed = killer is None or len(killer.done) >= killer.wanted
    if not killed:
        out.print("Too few kills were proven. Send more orders (--orders), so that more batches are in flight.", style="bold red")
    return 0 if agrees and well and killed and reached.reached else 1


if __name__ == "__main__":
    sys.exit(fail_on_trouble(main))
