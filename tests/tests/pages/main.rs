//! The shop's pages in headless Chromium: `tests/browser` walks through them as a person would, this program starts it, asks the
//! database what became of each walk, and reports every case by name.
//!
//! A case whose function does not exist yet (its route answers 404) is reported as ignored, as is everything on a machine without
//! Chromium where it cannot be installed. Arguments are those of any test program, as far as they make sense: words to choose cases by,
//! and `--list`.

mod browser;
mod rows;
mod tracked;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use browser::{Report, Run, Status};

/// The cases of `tests/browser/cases`, in the order they run in.
const CASES: &[&str] = &[
    "a_visit_with_utm_ends_with_the_codes_on_the_success_page",
    "under_cardlink_v1_the_walk_ends_with_the_codes_too",
    "a_gift_shows_its_code_to_the_recipient_only",
    "a_failed_payment_is_said_and_can_be_tried_again",
    "an_order_page_without_its_token_shows_nothing",
    "what_is_sold_out_cannot_be_chosen_and_what_sells_out_is_said",
    "a_price_that_changed_is_shown_before_anything_is_ordered",
    "wrong_fields_are_shown_at_the_fields",
    "a_repeat_after_a_lost_answer_has_the_same_key",
    "a_repeat_after_a_lost_answer_goes_on_with_the_order_that_was_made",
    "an_order_that_is_being_placed_is_waited_for",
    "too_many_unpaid_cards_are_said_in_words_and_nothing_is_lost",
    "the_checkout_works_with_the_keyboard_alone",
    "with_global_privacy_control_nothing_is_kept_or_sent",
    "a_visitor_can_turn_statistics_off_and_on",
    "the_last_non_direct_click_is_kept_and_tokens_are_not",
    "each_way_into_the_shop_keeps_the_click_it_should",
    "click_ids_stay_in_the_address_and_private_parameters_never_leave",
    "every_typed_call_is_an_event_of_its_type",
    "what_happens_offline_is_sent_once_when_the_network_is_back",
    "a_busy_server_is_left_alone_for_as_long_as_it_asks",
    "an_answer_without_verdicts_is_none",
    "one_bad_event_does_not_hold_up_the_others",
    "what_a_beacon_carried_is_asked_about_once",
    "nothing_is_sent_with_a_preflight",
    "two_tabs_lose_and_multiply_nothing",
    "leaving_tells_how_long_and_how_far_a_page_was_read",
    "a_visit_ends_after_half_an_hour_of_silence",
    "without_storage_events_are_sent_all_the_same",
    "the_queue_has_bounds",
    "a_no_empties_the_queue",
    "a_shop_that_asks_keeps_nothing_before_a_yes",
    "an_experiment_is_asked_about_once_a_page_and_told_once",
    "what_waits_for_a_slow_answer_heeds_it_too",
    "pages_that_close_lose_nothing",
    "the_landing_form_leaves_a_lead",
    "the_landing_form_works_without_script",
    "the_copilot_names_the_revenue_that_was_paid",
    "staff_import_codes_and_look_after_orders",
    "a_bad_code_is_replaced_at_the_desk",
    "an_order_under_review_is_resolved_at_the_desk",
    "a_mail_that_was_given_up_is_tried_again_at_the_desk",
    "a_viewer_is_told_what_only_managers_may_do",
    "an_ended_access_leads_back_to_the_sign_in",
    "staff_give_money_back_with_the_keyboard_alone",
    "where_the_contract_knows_no_refunds_the_desk_says_so",
    "the_analytics_are_sound_in_every_view",
    "the_analytics_say_what_the_api_says",
    "a_figure_opens_the_rows_it_was_made_of",
    "the_real_time_page_asks_again_while_it_is_looked_at",
    "analytics_are_for_staff_and_say_so_when_they_cannot_be_had",
    "the_catalogue_and_a_product_are_sound",
    "the_checkout_is_sound",
    "the_order_pages_are_sound",
    "the_landing_page_and_the_page_for_404_are_sound",
    "the_staff_pages_are_sound",
];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    // As `pages::...`, so that the word `pages` chooses all of them.
    let chosen = |name: &&str| words.is_empty() || words.iter().any(|word| format!("pages::{name}").contains(word.as_str()));
    let wanted: Vec<&str> = CASES.iter().copied().filter(chosen).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        wanted.iter().for_each(|name| println!("pages::{name}: test"));
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    println!("\nrunning {} tests", wanted.len());
    let mut reports = Vec::new();
    if !wanted.is_empty() {
        match run(&wanted).await {
            Ok(all) => reports = all,
            Err(error) => {
                println!("\nthe browser could not be run: {error:#}");
                reports = wanted
                    .iter()
                    .map(|name| Report::failed(name, "the browser could not be run"))
                    .collect();
            }
        }
    }
    summary(&reports, CASES.len() - wanted.len(), begun)
}

async fn run(wanted: &[&str]) -> Result<Vec<Report>> {
    let stack = std::env::var_os("LONIEVE_STACK").context("LONIEVE_STACK is not set: run this with `cargo xtask test pages`")?;
    let run = Run {
        stack: stack.into(),
        closes: None,
    };
    browser::run(run, wanted, judged).await
}

/// A case that passed in the browser passes when its rows are right as well.
async fn judged(report: Report) -> Report {
    let Report {
        name,
        status: Status::Passed,
        facts,
        ..
    } = &report
    else {
        return said(report);
    };
    let (case, known) = (name.clone(), facts.clone());
    let report = match tokio::spawn(async move { rows::check(&case, &known).await }).await {
        Ok(()) => report,
        // The panic's own words are on the screen already.
        Err(_) => Report::failed(name, "the database holds something else, see above"),
    };
    said(report)
}

fn said(report: Report) -> Report {
    match &report.status {
        Status::Passed => println!("test pages::{} ... ok", report.name),
        Status::Skipped(reason) => println!("test pages::{} ... ignored, {reason}", report.name),
        Status::Failed(reason) => println!("test pages::{} ... FAILED\n{reason}", report.name),
    }
    report
}

/// The closing line has the form of cargo's own, which `cargo xtask test` adds up.
fn summary(reports: &[Report], filtered_out: usize, begun: Instant) -> ExitCode {
    let count = |matches: fn(&Status) -> bool| reports.iter().filter(|report| matches(&report.status)).count();
    let failed = count(|status| matches!(status, Status::Failed(_)));
    println!(
        "\ntest result: {}. {} passed; {failed} failed; {} ignored; 0 measured; {filtered_out} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        count(|status| matches!(status, Status::Passed)),
        count(|status| matches!(status, Status::Skipped(_))),
        begun.elapsed().as_secs_f64(),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
