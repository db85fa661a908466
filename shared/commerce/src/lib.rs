//! The sample domain: a shop takes orders, reserves stock for them, and remembers its customers. Replace it with yours.
//! Must not know: I/O, clocks, tenants, AWS. Rules take values and return values.
//!
//! | module | aggregate | events |
//! |---|---|---|
//! | [`order`] | `order` | `order.placed`, `order.cancelled` |
//! | [`stock`] | `stock`, one per sku | `stock.received`, `stock.reserved`, `stock.rejected`, `stock.released` |
//! | [`invoice`] | `invoice`, event-sourced | `invoice.issued`, `invoice.line_added`, `invoice.paid`, `invoice.credited` |
//! | [`customer`] | none: a read model | |

pub mod customer;
pub mod invoice;
mod money;
pub mod order;
mod quantity;
pub mod stock;

pub use money::Cents;
pub use quantity::{InvalidAmount, Quantity};

/// A tenant's name for a kind of goods.
pub type Sku = towpath::AggregateId;
/// An order's identity.
pub type OrderId = towpath::AggregateId;
/// An invoice's identity. That for an order has the order's, so that an order has one.
pub type InvoiceId = towpath::AggregateId;
/// A customer's identity, given by the tenant.
pub type CustomerId = towpath::AggregateId;
