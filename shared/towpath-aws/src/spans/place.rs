//! A place in a trace: as W3C spells it in `traceparent`, and as X-Ray does in the header that Lambda hands on. Also which
//! traces that begin here are sampled. Must not know: spans, collectors.

use std::str::FromStr;

use towpath::Traceparent;

/// Flag of a trace that whoever began it wants to see.
const SAMPLED: u8 = 1;
/// Traces are sampled in parts of this.
const MILLION: u32 = 1_000_000;
/// The bits of a trace id that are random, whoever made it: W3C's level 2, and X-Ray, whose first 32 are a time.
const RANDOM_BITS: u32 = 56;

/// A span in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    flags: u8,
}

impl Place {
    /// The place that a `traceparent` names; `None` if it names none: ids of zero, or the version that stands for an error.
    pub(crate) fn read(text: &Traceparent) -> Option<Self> {
        let mut parts = text.as_str().split('-');
        let version = parts.next()?;
        let trace = u128::from_str_radix(parts.next()?, 16).ok()?;
        let span = u64::from_str_radix(parts.next()?, 16).ok()?;
        let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
        (version != "ff" && trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }

    /// The segment of a header like `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. What it says of
    /// sampling is X-Ray's own.
    pub(crate) fn of_xray(header: &str) -> Option<Self> {
        let field = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let parent = field("Parent")?;
        if [time.len(), random.len(), parent.len()] != [8, 24, 16] {
            return None;
        }
        let text = format!("00-{time}{random}-{parent}-00").to_ascii_lowercase();
        Self::read(&text.parse().ok()?)
    }

    /// A place in a trace that begins, sampled.
    pub(crate) fn sampled(trace: u128, span: u64) -> Self {
        Self { trace, span, flags: SAMPLED }
    }

    /// Another span of the same trace.
    pub(crate) fn beside(self, span: u64) -> Self {
        Self { span, ..self }
    }

    /// Does somebody want to see this trace?
    pub(crate) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// As W3C spells it.
    pub(crate) fn traceparent(self) -> Traceparent {
        let text = format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags);
        Traceparent::parse(text).expect("two, 32, 16 and two hex digits are a traceparent")
    }
}

/// Which share of the traces that begin here is sampled, from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sampling(u32);

/// A share that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be a number from 0 to 1 with at most six digits behind the point")]
pub struct InvalidSampling;

impl FromStr for Sampling {
    type Err = InvalidSampling;

    fn from_str(text: &str) -> Result<Self, InvalidSampling> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(InvalidSampling);
        }
        let whole: u32 = whole.parse().map_err(|_| InvalidSampling)?;
        let part: u32 = format!("{part:0<6}").parse().map_err(|_| InvalidSampling)?;
        let millionths = whole.checked_mul(MILLION).and_then(|whole| whole.checked_add(part)).ok_or(InvalidSampling)?;
        (millionths <= MILLION).then_some(Self(millionths)).ok_or(InvalidSampling)
    }
}

impl Sampling {
    /// Is the trace with this id among them? The same everywhere, so that whoever sees one part of a trace sees all of it.
    pub(crate) fn takes(self, trace: u128) -> bool {
        let random = trace & ((1 << RANDOM_BITS) - 1);
        (random * u128::from(MILLION)) >> RANDOM_BITS < u128::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(trace in 1_u128.., span in 1_u64.., other in 1_u64..) {
            let place = Place::sampled(trace, span);
            prop_assert_eq!(Place::read(&place.traceparent()), Some(place));
            let beside = Place::read(&place.beside(other).traceparent()).unwrap();
            prop_assert!(beside.trace == trace && beside.span == other && beside.is_sampled());
        }

        /// Whatever is sampled at a share is sampled at every larger one.
        #[test]
        fn more_of_the_traces_are_all_of_the_fewer_ones_and_some(trace in any::<u128>(), a in 0..=MILLION, b in 0..=MILLION) {
            let (less, more) = (Sampling(a.min(b)), Sampling(a.max(b)));
            prop_assert!(!less.takes(trace) || more.takes(trace));
            prop_assert!(Sampling(MILLION).takes(trace) && !Sampling(0).takes(trace));
        }
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for (text, millionths) in [("0", 0), ("1", 1_000_000), ("0.01", 10_000), ("0.000001", 1), ("1.0", 1_000_000)] {
            assert_eq!(text.parse(), Ok(Sampling(millionths)), "{text}");
        }
        for wrong in ["", "1.1", "2", "-1", ".5", "0.", "0.0000001", "5%", "99999999999", "+1", "0.+1"] {
            assert_eq!(wrong.parse::<Sampling>(), Err(InvalidSampling), "{wrong}");
        }
    }

    #[test]
    fn a_tenth_of_the_traces_is_about_a_tenth() {
        let share: Sampling = "0.1".parse().unwrap();
        let golden = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
        let taken = (0..10_000_u128).filter(|n| share.takes(n.wrapping_mul(golden) >> 40)).count();
        assert!((800..1_200).contains(&taken), "{taken}");
    }

    #[test]
    fn x_rays_header_names_the_segment_that_called() {
        let place =
            Place::of_xray("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1").unwrap();
        assert_eq!(place.beside(7).traceparent().as_str(), "00-5759e988bd862e3fe1be46a994272793-0000000000000007-00");
        assert_eq!(place.span, 0x5399_5c3f_42cd_8ad8);
        for wrong in ["", "Root=1-5759e988-bd862e3fe1be46a994272793", "Root=1-x-y;Parent=z", "Self=1;Root=1--;Parent="]
        {
            assert_eq!(Place::of_xray(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_place_that_is_none_is_not_taken_for_one() {
        for wrong in [
            "00-00000000000000000000000000000000-0000000000000001-01",
            "00-00000000000000000000000000000001-0000000000000000-01",
            "ff-00000000000000000000000000000001-0000000000000001-01",
        ] {
            assert_eq!(Place::read(&wrong.parse().unwrap()), None, "{wrong}");
        }
    }
}
