//! The tests that hold the mend of each kind of fault, by their names, and the run of them.

use std::process::Stdio;

use crate::figure::Line;
use crate::sh;

/// Some tests of one test program.
pub struct Held {
    /// The package.
    package: &'static str,
    /// The name of the test program as cargo has it.
    program: &'static [&'static str],
    /// Their full names.
    tests: &'static [&'static str],
}

/// Runs the tests, and counts those that pass. A test that is gone is as bad as one that fails.
pub fn held(kind: &[Held]) -> Result<Line, String> {
    let (mut wanted, mut missing) = (0, Vec::new());
    for Held { package, program, tests } in kind {
        let mut cargo = sh::cargo();
        cargo.args(["test", "--locked", "-p", package]).args(*program).args(["--", "--exact"]).args(*tests);
        let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot start `{}`: {error}", sh::shown(&cargo)))?;
        // Whether all passed or not, each has a line.
        let output = String::from_utf8_lossy(&output.stdout);
        wanted += tests.len();
        missing.extend(missing_in(&output, tests));
    }
    let value = match &missing[..] {
        [] => format!("{wanted} tests hold"),
        missing => format!("{} of {wanted} tests hold; not {}", wanted - missing.len(), missing.join(", ")),
    };
    Ok(Line::Measured(missing.is_empty(), value, "all that are named"))
}

/// The tests that libtest's output does not name as passed.
fn missing_in(output: &str, tests: &[&'static str]) -> Vec<&'static str> {
    let passed = |test: &str| output.lines().any(|line| line == format!("test {test} ... ok"));
    tests.iter().copied().filter(|test| !passed(test)).collect()
}

const fn suite(package: &'static str, tests: &'static [&'static str]) -> Held {
    Held { package, program: &["--test", "suite"], tests }
}

const fn unit(package: &'static str, tests: &'static [&'static str]) -> Held {
    Held { package, program: &["--lib"], tests }
}

const fn processes(tests: &'static [&'static str]) -> Held {
    Held { package: CORE, program: &["--test", "processes"], tests }
}

const fn command(tests: &'static [&'static str]) -> Held {
    Held { package: CLI, program: &["--bin", "autoresearch"], tests }
}

const CORE: &str = "autoresearch-core";
const AGENTS: &str = "autoresearch-agents";
const CLI: &str = "autoresearch-cli";

pub const A1: &[Held] = &[
    processes(&[
        "hostile::a_candidate_whose_program_cannot_be_started_has_crashed",
        "hostile::names_that_no_file_can_have_are_rejected_before_anything_is_written",
        "hostile::leftovers_are_removed_as_soon_as_a_trial_ends",
        "hostile::permissions_that_a_candidate_takes_away_stop_nobody",
        "hostile::a_folder_that_cannot_be_emptied_is_moved_aside",
    ]),
    suite(
        CORE,
        &[
            "trouble::a_candidate_on_which_alone_the_sandbox_fails_has_crashed",
            "trouble::a_sandbox_that_fails_on_the_incumbent_too_ends_the_run_and_no_experiment",
            "trouble::careless_answers_are_cleaned_and_counted",
        ],
    ),
    unit(
        CORE,
        &[
            "command::local::slot::tests::a_slot_that_a_candidate_replaced_by_a_link_leads_nowhere",
            "command::process::tests::a_program_that_somebody_still_holds_open_for_writing_is_tried_again",
            "proposal::tests::a_proposal_of_control_characters_becomes_harmless_text",
        ],
    ),
];

pub const A2: &[Held] = &[
    unit(
        CORE,
        &[
            "journal::tests::a_record_that_could_not_be_read_back_is_refused_and_the_journal_goes_on",
            "proposal::tests::sums_stay_finite_and_costs_that_are_no_numbers_count_as_nothing",
            "proposal::tests::the_greatest_costs_of_many_proposals_can_be_added_up",
        ],
    ),
    suite(CORE, &["trouble::careless_answers_are_cleaned_and_counted"]),
];

pub const A3: &[Held] = &[
    suite(CORE, &["trouble::a_sandbox_that_fails_on_the_incumbent_too_ends_the_run_and_no_experiment"]),
    unit(CORE, &["lab::schedule::tests::limits_end_an_experiment"]),
    suite(
        CLI,
        &[
            "interruption::a_terminal_that_closes_ends_cleanly",
            "interruption::nohup_keeps_a_run_going",
            "interruption::ctrl_c_ends_cleanly_and_the_same_command_goes_on",
        ],
    ),
];

pub const B4: &[Held] = &[
    suite(CORE, &["trouble::a_proposer_that_repeats_itself_is_slowed_down_and_the_run_ends"]),
    unit(AGENTS, &["model::backoff::tests::failures_in_a_row_wait_longer_each_time_and_end"]),
    suite(
        AGENTS,
        &[
            "api::spending::no_scenario_spends_without_bound",
            "api::spending::an_agent_that_proposes_nothing_waits_and_ends",
            "api::spending::every_paid_proposer_has_a_limit_in_dollars_by_default",
        ],
    ),
    command(&["config::tests::paid_proposals_have_a_cap_by_default"]),
];

pub const B5: &[Held] = &[
    unit(
        AGENTS,
        &[
            "model::server_error::tests::an_error_of_one_conversation_rejects_one_proposal",
            "model::server_error::tests::an_error_of_the_set_up_ends_the_run",
        ],
    ),
    suite(
        AGENTS,
        &[
            "api::retries::an_error_that_one_conversation_caused_rejects_one_proposal",
            "api::retries::first_calls_that_keep_failing_end_the_run",
            "api::agentic::a_conversation_that_grows_too_long_ends_the_proposal_and_not_the_run",
        ],
    ),
];

pub const C6: &[Held] = &[
    unit(
        CORE,
        &[
            "ratchet::noise_aware::tests::three_equal_trials_of_the_baseline_do_not_switch_the_noise_off",
            "ratchet::noise_aware::tests::mostly_equal_scores_are_not_taken_for_little_noise",
            "ratchet::exact::tests::few_values_are_recognised_by_their_common_step",
            "ratchet::exact::tests::luck_passes_the_rank_sum_test_no_more_often_than_its_level",
        ],
    ),
    suite(
        CORE,
        &[
            "noise::luck_is_kept_less_than_once_in_a_hundred_proposals_where_scores_take_few_values",
            "noise::a_real_gain_is_found_where_scores_take_few_values",
        ],
    ),
    processes(&["quantised::comments_are_not_kept_for_scores_that_agree_by_luck"]),
];

pub const C7: &[Held] = &[
    unit(
        CORE,
        &[
            "audit::tests::rounds_are_paired_by_their_seed_also_after_the_machine_has_shifted",
            "metric::log::tests::several_numbers_of_several_repeats_are_no_score_until_it_is_said_which_one_counts",
            "metric::significant::tests::what_is_shown_differs_from_the_number_by_less_than_a_thousandth_of_it",
            "import::tests::a_tiny_score_in_the_table_is_not_the_value_of_a_crash",
            "ratchet::strict::tests::a_tiny_gain_is_not_told_as_zero",
        ],
    ),
    suite(
        CLI,
        &[
            "rerun::a_run_that_goes_on_is_not_disturbed",
            "rerun::fresh_seeds_are_those_of_no_other_trial",
            "policy::the_variable_that_wins_decides_not_the_one_that_is_written",
            "text::small_scores_do_not_look_like_zero",
        ],
    ),
    command(&["config::tests::repeats_need_a_choice_that_fits"]),
];

pub const C8: &[Held] = &[
    unit(
        CORE,
        &[
            "ratchet::noise_aware::tests::a_promised_number_of_false_keeps_has_no_floor",
            "state::tests::the_place_of_a_test_stays_while_others_are_decided_beside_it",
            "state::tests::a_health_check_teaches_the_noise",
            "ratchet::noise::tests::one_more_measurement_adds_what_pooling_all_of_them_would",
        ],
    ),
    suite(CORE, &["noise::a_promised_number_of_false_keeps_is_about_kept_in_long_runs_too"]),
];

pub const C9: &[Held] = &[
    unit(
        CORE,
        &[
            "command::process::tests::the_limit_is_kept_while_the_task_is_blocked",
            "command::process::tests::what_ends_by_itself_after_its_limit_has_not_completed",
            "verify::tests::a_clock_that_was_set_back_is_a_note_and_no_violation",
            "stop::tests::a_limit_of_dollars_that_is_no_limit_is_named",
        ],
    ),
    suite(CORE, &["trouble::the_lab_keeps_the_budget_of_every_sandbox"]),
    suite(CLI, &["early_errors::limits_of_the_command_line_are_checked_like_those_of_the_file"]),
    command(&["config::tests::times_and_amounts_that_make_no_sense_are_errors"]),
];

pub const D10: &[Held] = &[
    suite(
        CORE,
        &[
            "odd_git::a_branch_in_the_way_is_told_before_the_baseline",
            "odd_git::a_checked_out_branch_is_not_moved_under_its_user",
        ],
    ),
    suite(CLI, &["early_errors::a_branch_in_the_way_is_told"]),
];

pub const D11: &[Held] = &[
    suite(CORE, &["trouble::nothing_is_bound_before_a_baseline_is_measured_and_everything_after"]),
    unit(CORE, &["policy::tests::what_differs_is_named_key_by_key"]),
    suite(
        CLI,
        &["policy::what_differs_is_told_key_by_key", "policy::nothing_binds_a_run_whose_baseline_was_never_measured"],
    ),
];

pub const D12: &[Held] = &[
    suite(
        CORE,
        &[
            "odd_git::links_inside_the_tree_are_carried_and_submodules_left_empty",
            "odd_git::files_that_git_changes_at_checkout_are_rejected_by_name",
            "odd_git::line_ends_that_git_changes_at_checkout_are_told",
            "odd_git::formats_that_are_not_supported_are_named",
            "odd_git::a_partial_clone_says_which_objects_it_needs",
        ],
    ),
    unit(
        CORE,
        &[
            "git::checkout::tests::a_link_is_judged_by_where_it_leads",
            "command::local::slot::tests::links_are_carried_and_replaced_files_restored",
        ],
    ),
    unit(AGENTS, &["agent_cli::change::tests::executable_bits_are_kept"]),
    suite(CLI, &["early_errors::files_that_candidates_lack_are_told"]),
];

pub const D13: &[Held] = &[
    processes(&["hostile::names_that_no_file_can_have_are_rejected_before_anything_is_written"]),
    unit(
        CORE,
        &[
            "change::path::tests::a_path_that_names_no_file_below_the_root_is_rejected_with_the_reason",
            "change::path::tests::every_kind_of_edit_passes_the_gate_also_where_all_files_are_editable",
            "change::path::tests::whatever_passes_stays_below_the_root_and_on_one_line",
        ],
    ),
];

pub const E14: &[Held] = &[
    suite(
        AGENTS,
        &[
            "agent_cli::behaviour::a_removal_and_a_renaming_run_as_experiments",
            "agent_cli::behaviour::litter_is_left_out_of_the_proposal",
            "agent_cli::behaviour::a_new_file_outside_is_dropped_with_a_warning_or_rejects_the_proposal",
            "agent_cli::behaviour::a_banner_is_no_description",
        ],
    ),
    unit(
        AGENTS,
        &[
            "agent_cli::litter::tests::caches_of_tools_are_litter_everywhere",
            "agent_cli::litter::tests::the_rules_of_the_repository_hold_as_in_git",
        ],
    ),
];

pub const E15: &[Held] = &[
    processes(&[
        "hostile::a_trial_sees_no_key_neither_its_own_nor_its_parent_s",
        "hostile::a_lab_can_hide_its_own_memory_from_trials",
    ]),
    unit(CORE, &["command::environment::tests::keys_are_hidden_in_texts"]),
    suite(
        AGENTS,
        &[
            "agent_cli::behaviour::a_key_that_an_agent_found_reaches_neither_the_journal_nor_the_next_prompt",
            "api::spending::a_key_among_the_files_never_reaches_a_prompt",
        ],
    ),
];

pub const E16: &[Held] = &[
    unit(
        CORE,
        &[
            "command::environment::tests::no_key_is_on_the_list",
            "command::environment::tests::devices_come_with_their_order",
            "command::environment::tests::a_proxy_with_a_login_is_left_out",
        ],
    ),
    processes(&["hostile::a_trial_sees_no_key_neither_its_own_nor_its_parent_s"]),
];

pub const E16B: &[Held] = &[
    suite(
        AGENTS,
        &[
            "portfolio::a_rejected_draft_of_a_wave_is_journaled_beside_the_proposals_with_its_own_cost",
            "agent_cli::behaviour::a_command_may_name_the_repository_and_programs_in_it",
            "agent_cli::behaviour::a_check_tries_an_agent_s_change_and_its_words_reach_the_next_prompt",
        ],
    ),
    unit(AGENTS, &["model::report::tests::a_rejected_draft_beside_a_proposal_keeps_its_record_and_its_cost"]),
];

pub const F17: &[Held] = &[
    unit(
        CORE,
        &[
            "text::tests::escape_sequences_vanish_whole",
            "text::tests::nothing_unsafe_and_nothing_long_comes_through",
            "command::process::outcome::tests::a_message_has_nothing_that_a_terminal_would_obey",
        ],
    ),
    suite(AGENTS, &["agent_cli::behaviour::control_characters_of_an_agent_are_replaced"]),
    suite(
        CLI,
        &[
            "text::a_candidate_s_output_commands_no_terminal",
            "text::a_description_of_an_agent_is_one_clean_line_for_people",
            "text::errors_are_clean_too",
        ],
    ),
];

pub const F18: &[Held] = &[suite(
    CLI,
    &[
        "early_errors::a_search_without_knobs_is_told",
        "early_errors::editable_paths_that_match_nothing_are_told",
        "early_errors::an_agent_that_cannot_be_started_is_told",
        "early_errors::a_program_that_cannot_be_started_is_told",
    ],
)];

pub const F19: &[Held] = &[
    suite(
        CORE,
        &[
            "odd_git::each_obstacle_has_its_own_message_and_remedy",
            "odd_git::a_repository_of_another_user_comes_with_the_remedy",
        ],
    ),
    unit(CORE, &["metric::log::tests::a_repeat_without_its_number_is_named"]),
    suite(CLI, &["early_errors::odd_places_are_told_with_their_remedy"]),
];

pub const F20: &[Held] = &[
    unit(
        CORE,
        &[
            "command::process::tests::limits_without_end_are_limits_too",
            "ratchet::noise_aware::tests::settings_out_of_range_are_errors_that_name_them",
            "ratchet::sequential::tests::settings_with_which_it_would_measure_for_ever_are_errors",
            "ratchet::arm::tests::a_sum_that_overflows_still_has_a_mean",
        ],
    ),
    suite(CORE, &["trouble::a_rule_that_never_decides_is_capped", "trouble::careless_answers_are_cleaned_and_counted"]),
    suite(CLI, &["slots::those_of_ended_runs_are_removed_and_their_size_is_told"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_fails_or_is_gone_does_not_hold() {
        let output = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::bb ... ok\n";
        assert_eq!(missing_in(output, &["a::b", "a::c", "a::d"]), ["a::c", "a::d"]);
        assert!(missing_in(output, &["a::b"]).is_empty());
    }
}
