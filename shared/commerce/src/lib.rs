//! The sample domain: a shop takes orders, reserves stock for them, and remembers its customers. Replace it with yours.
//! Must not know: I/O, clocks, tenants, AWS. Rules take values and return values.
//!
//! | module | aggregate | events |
//! |---|---|---|
//! | [`order`] | `order` | `order.placed`, `order.cancelled` |
//! | [`stock`] | `stock`, one per sku | `stock.received`, `stock.reserved`, `stock.rejected`, `stock.released` |
//! | [`checkout`] | `checkout` | `checkout.submitted`, `checkout.decided` |
//! | [`fulfilment`] | `fulfilment`, a saga | `fulfilment.completed`, `fulfilment.compensated` |
//! | [`step`] | | the saga's commands, and the answers to them |
//! | [`payment`] | `payment` | in [`step`] |
//! | [`shipment`] | `shipment` | in [`step`] |
//! | [`notification`] | `notification`, one per message | `notification.sent`, `notification.refused` |
//! | [`returns`] | `return` | `return.received`, `payment.refunded`, `return.closed` |
//! | [`invoice`] | `invoice`, event-sourced | `invoice.issued`, `invoice.line_added`, `invoice.paid`, `invoice.credited` |
//! | [`customer`] | none: a read model | |

pub mod checkout;
pub mod customer;
pub mod fulfilment;
pub mod invoice;
mod money;
pub mod notification;
pub mod order;
pub mod payment;
mod quantity;
pub mod returns;
pub mod shipment;
pub mod step;
pub mod stock;

pub use money::Cents;
pub use quantity::{InvalidAmount, Quantity};

/// A tenant's name for a kind of goods.
pub type Sku = towpath::AggregateId;
/// An order's identity.
pub type OrderId = towpath::AggregateId;
/// A checkout's identity, and that of its fulfilment, payment and shipment.
pub type CheckoutId = towpath::AggregateId;
/// An invoice's identity. That for an order has the order's, so that an order has one.
pub type InvoiceId = towpath::AggregateId;
/// A customer's identity, given by the tenant.
pub type CustomerId = towpath::AggregateId;
