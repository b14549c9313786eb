//! What every driver must do, written against the driver traits alone.
//!
//! `conformance!` makes one test of each case for one driver. A case gets a fresh driver. It never
//! sleeps to wait for something: it pumps until that is so, and a deadline only ends a failure.

pub(crate) mod harness;

pub(crate) mod attachments;
pub(crate) mod closing;
pub(crate) mod frames;
pub(crate) mod threads;

/// Makes a module of tests, one for each case, for the driver that an expression makes.
macro_rules! conformance {
    ($name:ident, $driver:expr) => {
        conformance! { $name, $driver, beside others [
            frames: many_frames_arrive_in_order
                empty_frames_arrive
                large_bodies_cross_each_other
                frames_sent_before_activation_arrive
                a_handler_may_transmit
                what_is_queued_is_counted_and_drained
                a_transport_is_activated_once
                frames_beyond_the_limits_are_refused
                an_interrupt_ends_the_next_wait;
            attachments: handles_arrive_with_their_frame
                a_thousand_handles_travel_in_one_frame
                a_transport_travels_with_what_was_sent_into_it
                a_transport_lost_on_the_way_closes
                a_region_is_shared
                active_transports_are_refused;
            closing: a_drop_shows_after_all_that_was_sent
                a_deactivation_shows_after_all_that_was_sent
                closing_is_told_once
                transmitting_on_a_closed_transport_fails
                a_handler_may_deactivate
                nothing_is_told_without_activation;
            threads: handler_calls_never_overlap
                a_deactivation_elsewhere_waits_for_the_handler
                a_deactivation_may_come_at_any_time;
        ], alone [
            attachments: no_descriptor_is_leaked;
        ]
        }
    };
    ($name:ident, $driver:expr,
     beside others [$($module:ident: $($case:ident)+;)+],
     alone [$($alone_module:ident: $($alone_case:ident)+;)+]) => {
        mod $name {
            use super::*;
            $($(
                #[test]
                fn $case() {
                    let _others = drivers::harness::beside_others();
                    drivers::$module::$case(&*$driver);
                }
            )+)+
            $($(
                #[test]
                fn $alone_case() {
                    let _alone = drivers::harness::alone();
                    drivers::$alone_module::$alone_case(&*$driver);
                }
            )+)+
        }
    };
}
pub(crate) use conformance;
