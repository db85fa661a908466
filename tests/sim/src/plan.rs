//! What one seed makes of the shop: tenants, consumers, commands.
//! Must not know: what goes wrong around them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use towpath::Consumer;
use towpath_sim::{Clock, Command, Dice, Instance, Older, Plan, Subject, WasDone};

use crate::diary::{self, Behaviour, Poison, Temper};
use crate::mailer::{self, Deal, Mails, Provider};
use crate::parcels::{self, Step};
use crate::shop::Told;
use crate::{checkouts, points, rest, returns, shop, tills};

const SKUS: [&str; 3] = ["tea", "cup", "pot"];
const MAILING: &str = "mailing";
const MINUTE: u64 = 60;
/// More than clocks differ.
const CLOCKS: Duration = Duration::from_secs(6 * MINUTE);

/// The shop of one seed.
pub fn plan(dice: &mut Dice, clock: &Clock) -> Plan {
    let repaired = Rc::new(Cell::new(false));
    if dice.chance(1_500) {
        return sagas(dice, &repaired);
    }
    let crowded = dice.chance(2_000);
    let deal = *dice.pick(&Deal::ALL);
    let provider = Rc::new(Provider::draw(deal, dice, clock));
    let mails = Rc::new(Provider::draw(Deal::Keyed, dice, clock));
    let (mut subjects, diaries) = subjects(dice, clock, &repaired, crowded, (&provider, &mails));
    let names: Vec<String> = subjects.iter().map(|subject| subject.consumer.name().to_string()).collect();
    let leaves = dice.chance(2_500);
    if leaves {
        subjects.push(Subject {
            consumer: parcels::bus(),
            is_poison: Box::new(|_| false),
            older: None,
            was_done: None,
        });
    }
    let told = Rc::new(Told::default());
    let mut commands = if crowded { crowd(dice, &told) } else { commands(dice, &told) };
    if dice.chance(2_000) {
        commands.extend(closing_time(dice, &told));
    }
    if names.iter().any(|name| name == "points") {
        commands.extend(spending(dice, &told));
    }
    if leaves {
        commands.extend(parcels(dice, &told));
    }
    let at_rest = Box::new(move |tables: &_, applied: &_| {
        told.check()?;
        provider.check(tables, applied, &MAILING.parse().unwrap())?;
        mails.check(tables, applied, &"notify-customer".parse().unwrap())?;
        rest::check(tables, applied, &names, &diaries)
    });
    Plan { subjects, commands, at_rest, repaired }
}

/// The shop's checkouts and returns, and the consumers that see to them.
pub fn sagas(dice: &mut Dice, repaired: &Rc<Cell<bool>>) -> Plan {
    let (subjects, bank) = checkouts::subjects(repaired);
    let names: Vec<String> = subjects.iter().map(|subject| subject.consumer.name().to_string()).collect();
    let told = Rc::new(Told::default());
    let commands = checkouts::commands(dice, &told);
    let at_rest = Box::new(move |tables: &_, applied: &_| {
        told.check()?;
        checkouts::check(tables, &bank)?;
        returns::check(tables, applied, &bank)?;
        rest::check(tables, applied, &names, &[])
    });
    Plan { subjects, commands, at_rest, repaired: Rc::clone(repaired) }
}

/// Two to five consumers: some that are deployed, some that fail on purpose.
fn subjects(
    dice: &mut Dice,
    clock: &Clock,
    repaired: &Rc<Cell<bool>>,
    crowded: bool,
    (provider, mails): (&Rc<Provider>, &Rc<Provider>),
) -> (Vec<Subject>, Vec<&'static str>) {
    let notifying = || notify_customer::consumer(Mails(Rc::clone(mails)));
    let sound: [&dyn Fn() -> Consumer; 4] =
        [&inventory::consumer, &order_summary::consumer, &crm_timeline::consumer, &notifying];
    let mut deployed: Vec<Subject> = Vec::new();
    let first = usize::try_from(dice.between(0, 3)).unwrap();
    for at in 0..=usize::try_from(dice.between(0, 1)).unwrap() {
        deployed.push(Subject {
            consumer: sound[(first + at) % 4](),
            is_poison: Box::new(|_| false),
            older: None,
            was_done: None,
        });
    }
    if dice.chance(3_000) {
        deployed.push(Subject {
            consumer: points::consumer(),
            is_poison: Box::new(|_| false),
            older: None,
            was_done: None,
        });
    }
    let mut names = if crowded {
        vec!["late", "stock-notes", MAILING]
    } else {
        vec!["failing", "late", "folding", "stock-notes", MAILING, MAILING]
    };
    let mut diaries = Vec::new();
    for _ in 0..dice.between(1, 2) {
        let name = *dice.pick(&names);
        names.retain(|other| *other != name);
        let behaviour = Rc::new(Behaviour {
            name,
            temper: if crowded { Temper::Flaky } else { temper(dice) },
            salt: dice.roll(),
            clock: clock.clone(),
            repaired: Rc::clone(repaired),
            failures: RefCell::new(BTreeMap::new()),
        });
        let mut older = None;
        let mut was_done: Option<Box<WasDone>> = None;
        let consumer = match name {
            "failing" if dice.chance(6_000) => {
                let until = Duration::from_secs(dice.between(MINUTE / 2, 6 * MINUTE));
                let since = clock.now().plus(until + CLOCKS).to_string();
                let (consumer, newer) = diary::of_orders_in_two_generations(&behaviour, &since);
                older = Some(Older { consumer, until });
                newer
            }
            MAILING => {
                let asked = Rc::clone(provider);
                was_done = Some(Box::new(move |event| asked.was_done(event)));
                mailer::of_orders(&behaviour, provider)
            }
            "folding" => diary::folding(&behaviour, dice.chance(5_000)),
            "stock-notes" => diary::of_stock(&behaviour),
            "late" => {
                let since = clock.now().plus(Duration::from_secs(dice.between(0, 5 * MINUTE)));
                diary::of_receipts(&behaviour, &since.to_string())
            }
            _ => diary::of_orders(&behaviour),
        };
        diaries.push(name);
        deployed.push(Subject { consumer, is_poison: Box::new(move |of| behaviour.is_poison(of)), older, was_done });
    }
    (deployed, diaries)
}

fn temper(dice: &mut Dice) -> Temper {
    match dice.between(0, 8) {
        0 => Temper::Even,
        1 | 2 => Temper::Flaky,
        3 => {
            let from = Duration::from_secs(dice.between(0, 5 * MINUTE));
            Temper::Away { from, until: from + Duration::from_secs(dice.between(MINUTE, 40 * MINUTE)) }
        }
        _ => Temper::Poison(*dice.pick(&Poison::ALL)),
    }
}

/// 20 to 60 commands of 3 to 5 tenants, in bursts: goods come in, orders are placed, some are cancelled.
fn commands(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let tenants = dice.between(3, 5);
    let bursts: Vec<u64> = (0..dice.between(2, 12)).map(|_| dice.between(0, 14 * MINUTE * 1_000)).collect();
    let mut placed: Vec<(String, String, Duration)> = Vec::new();
    let mut commands = Vec::new();
    for number in 0..dice.between(20, 60) {
        let tenant = format!("tenant-{}", dice.between(1, tenants));
        let at = Duration::from_millis(*dice.pick(&bursts) + dice.between(0, 2_000));
        let (sku, told) = (*dice.pick(&SKUS), Rc::clone(told));
        match dice.between(0, 9) {
            0..=2 => {
                let quantity = dice.between(1, 10);
                let key = format!("receive-{number}");
                commands.push(command(at, format!("receive {quantity} {sku} for {tenant}"), async move |world| {
                    let code = shop::receive(world.command_ports(), &tenant, &key, sku, quantity).await;
                    told.note(&tenant, &key, code)
                }));
            }
            3..=6 => {
                let (order, quantity, two) = (format!("o-{number}"), dice.between(1, 4), dice.chance(3_000));
                placed.push((tenant.clone(), order.clone(), at));
                let other = SKUS.into_iter().find(|other| *other != sku).filter(|_| two);
                commands.push(command(at, format!("place {order} for {tenant}"), async move |world| {
                    let of: Vec<(&str, u64)> = [(sku, quantity)].into_iter().chain(other.map(|sku| (sku, 1))).collect();
                    let code = shop::place(world.command_ports(), &tenant, &order, &of).await;
                    told.note(&tenant, &format!("place-{order}"), code)
                }));
            }
            _ if !placed.is_empty() => {
                let (tenant, order, then) = dice.pick(&placed).clone();
                let at = then + Duration::from_millis(*dice.pick(&[50, 400, 1_200, 2_000, 6_500, 20_000, 200_000]));
                commands.push(command(at, format!("cancel {order} for {tenant}"), async move |world| {
                    let code = shop::cancel(world.command_ports(), &tenant, &order).await;
                    told.note(&tenant, &format!("cancel-{order}"), code)
                }));
            }
            _ => {}
        }
    }
    commands
}

/// Goods come in and are ordered, nearly all at once and of one kind: everything follows everything else closely.
fn crowd(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let (tenants, begins) = (dice.between(1, 2), dice.between(0, 10 * MINUTE * 1_000));
    let make = |number: u64| {
        let tenant = format!("tenant-{}", dice.between(1, tenants));
        let at = Duration::from_millis(begins + dice.between(0, 40_000));
        let (key, sku, told) = (format!("c-{number}"), SKUS[0], Rc::clone(told));
        if dice.chance(5_000) {
            command(at, format!("receive 5 {sku} for {tenant}"), async move |world| {
                told.note(&tenant, &key, shop::receive(world.command_ports(), &tenant, &key, sku, 5).await)
            })
        } else {
            command(at, format!("place {key} for {tenant}"), async move |world| {
                let code = shop::place(world.command_ports(), &tenant, &key, &[(sku, 1)]).await;
                told.note(&tenant, &format!("place-{key}"), code)
            })
        }
    };
    (0..60).map(make).collect()
}

/// Points are spent as soon as there may be some, by several clients at once.
fn spending(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let make = |number: u64| {
        let (tenant, key, told) =
            (format!("tenant-{}", dice.between(1, 3)), format!("spend-{number}"), Rc::clone(told));
        let at = Duration::from_millis(dice.between(0, 14) * MINUTE * 1_000 + dice.between(0, 100));
        command(at, format!("spend points of {tenant}"), async move |world| {
            told.note(&tenant, &key, points::spend(world.command_ports(), &tenant, &key).await)
        })
    };
    (0..20).map(make).collect()
}

/// Both tills of each tenant are to be closed and both pots to be emptied, nearly at once.
fn closing_time(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let mut commands = Vec::new();
    for tenant in 1..=3 {
        let begins = dice.between(0, 10 * MINUTE * 1_000);
        for till in tills::TILLS {
            let (tenant, told) = (format!("tenant-{tenant}"), Rc::clone(told));
            let at = Duration::from_millis(begins + dice.between(0, 100));
            commands.push(command(at, format!("close the {till} till of {tenant}"), async move |world| {
                let code = tills::close(world.command_ports(), &tenant, till).await;
                told.note(&tenant, &format!("close-{till}"), code)
            }));
        }
        for pot in points::POTS {
            let (tenant, told) = (format!("tenant-{tenant}"), Rc::clone(told));
            let at = Duration::from_millis(begins + dice.between(0, 100));
            commands.push(command(at, format!("empty the {pot} pot of {tenant}"), async move |world| {
                let code = points::empty(world.command_ports(), &tenant, pot).await;
                told.note(&tenant, &format!("empty-{pot}"), code)
            }));
        }
    }
    commands
}

/// Things happen to two parcels, of which only some are to be heard of outside.
fn parcels(dice: &mut Dice, told: &Rc<Told>) -> Vec<Command> {
    let begins = dice.between(0, 10 * MINUTE * 1_000);
    let make = |number: u64| {
        let (parcel, step) = (format!("p-{}", dice.between(1, 2)), *dice.pick(&Step::ALL));
        let (tenant, key, told) = ("tenant-1".to_owned(), format!("parcel-{number}"), Rc::clone(told));
        let at = Duration::from_millis(begins + dice.between(0, 60_000));
        command(at, format!("{step:?} {parcel} for {tenant}"), async move |world| {
            let code = parcels::step(world.command_ports(), &tenant, &key, &parcel, step).await;
            told.note(&tenant, &key, code)
        })
    };
    (0..10).map(make).collect()
}

pub(crate) fn command(at: Duration, name: String, ask: impl AsyncFn(Rc<Instance>) -> bool + 'static) -> Command {
    let ask = Rc::new(ask);
    let ask = move |instance| {
        let ask = Rc::clone(&ask);
        async move { ask(instance).await }.boxed_local()
    };
    Command { at, name, ask: Rc::new(ask) }
}
