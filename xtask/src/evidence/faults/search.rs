//! The kinds A to D: candidates, spending, numbers and git.

use super::held::{Held, command, processes, suite, unit};

pub const A1: &[Held] = &[
    processes(&[
        "hostile::a_candidate_whose_program_cannot_be_started_has_crashed",
        "hostile::names_that_no_file_can_have_are_rejected_before_anything_is_written",
        "hostile::leftovers_are_removed_as_soon_as_a_trial_ends",
        "hostile::permissions_that_a_candidate_takes_away_stop_nobody",
        "hostile::a_folder_that_cannot_be_emptied_is_moved_aside",
        "hostile::a_file_may_become_a_folder_and_a_folder_a_file",
    ]),
    suite(&[
        "trouble::sandboxes::a_candidate_on_which_alone_the_sandbox_fails_has_crashed",
        "trouble::sandboxes::a_sandbox_that_fails_on_the_incumbent_too_ends_the_run_and_no_experiment",
        "trouble::proposers::careless_answers_are_cleaned_and_counted",
        "api::checks::a_script_of_the_repository_checks_until_a_change_breaks_it",
        "api::checks::nothing_that_a_check_runs_or_is_given_reaches_files_outside_its_copy",
    ]),
    unit(&[
        "model::check::copy::tests::what_a_check_left_in_the_way_is_removed_and_leads_nowhere",
        "command::local::results::tests::what_is_no_file_is_neither_waited_for_nor_read_without_end",
        "command::local::slot::tests::a_file_that_grew_beyond_measure_is_removed_unread",
        "command::local::slot::tests::a_slot_that_a_candidate_replaced_by_a_link_leads_nowhere",
        "command::process::tests::a_program_that_somebody_still_holds_open_for_writing_is_tried_again",
        "proposal::tests::a_proposal_of_control_characters_becomes_harmless_text",
    ]),
];

pub const A2: &[Held] = &[
    unit(&[
        "journal::tests::a_record_that_could_not_be_read_back_is_refused_and_the_journal_goes_on",
        "journal::tests::a_text_of_nothing_but_beginnings_takes_no_time",
        "journal::tests::a_journal_that_is_replaced_while_it_is_waited_for_is_opened_anew",
        "proposal::tests::sums_stay_finite_and_costs_that_are_no_numbers_count_as_nothing",
        "proposal::tests::the_greatest_costs_of_many_proposals_can_be_added_up",
    ]),
    suite(&[
        "trouble::proposers::careless_answers_are_cleaned_and_counted",
        "import::whatever_a_table_says_is_imported_reported_and_drawn",
    ]),
];

pub const A3: &[Held] = &[
    suite(&[
        "trouble::sandboxes::a_sandbox_that_fails_on_the_incumbent_too_ends_the_run_and_no_experiment",
        "trouble::sandboxes::an_orderly_error_takes_the_trials_of_other_workers_back",
    ]),
    unit(&["lab::schedule::tests::limits_end_an_experiment"]),
    processes(&[
        "executor::a_run_that_goes_on_takes_the_results_of_trials_that_outlived_its_lab",
        "executor::a_restarted_sandbox_knows_what_had_ended_and_nothing_else",
    ]),
    suite(&[
        "interruption::a_terminal_that_closes_ends_cleanly",
        "interruption::nohup_keeps_a_run_going",
        "interruption::ctrl_c_ends_cleanly_and_the_same_command_goes_on",
    ]),
];

pub const B4: &[Held] = &[
    suite(&[
        "trouble::proposers::a_proposer_that_repeats_itself_is_slowed_down_and_the_run_ends",
        "trouble::proposers::rejected_waves_and_failures_by_turns_end_as_well",
    ]),
    unit(&["model::backoff::tests::failures_in_a_row_wait_longer_each_time_and_end"]),
    suite(&[
        "api::spending::no_scenario_spends_without_bound",
        "api::spending::an_agent_that_proposes_nothing_waits_and_ends",
        "api::spending::every_paid_proposer_has_a_limit_in_dollars_by_default",
    ]),
    command(&["config::tests::paid_proposals_have_a_cap_by_default"]),
];

pub const B5: &[Held] = &[
    unit(&[
        "model::server_error::tests::an_error_of_one_conversation_rejects_one_proposal",
        "model::server_error::tests::an_error_of_the_set_up_ends_the_run",
    ]),
    suite(&[
        "api::retries::an_error_that_one_conversation_caused_rejects_one_proposal",
        "api::retries::what_a_gateway_turns_down_rejects_one_proposal_and_the_run_goes_on",
        "api::retries::first_calls_that_keep_failing_end_the_run",
        "api::agentic::a_conversation_that_grows_too_long_ends_the_proposal_and_not_the_run",
    ]),
];

pub const C6: &[Held] = &[
    unit(&[
        "ratchet::noise_aware::tests::three_equal_trials_of_the_baseline_do_not_switch_the_noise_off",
        "ratchet::noise_aware::tests::mostly_equal_scores_are_not_taken_for_little_noise",
        "ratchet::noise::tests::exact_scores_that_differ_now_are_noise_and_those_that_agree_a_shift",
        "state::tests::a_check_that_differs_refutes_exactness_unless_the_next_ones_agree_with_it",
        "ratchet::exact::tests::few_values_are_recognised_by_their_common_step",
        "ratchet::exact::tests::luck_passes_the_rank_sum_test_no_more_often_than_its_level",
    ]),
    suite(&[
        "noise::luck_is_kept_less_than_once_in_a_hundred_proposals_where_scores_take_few_values",
        "noise::a_real_gain_is_found_where_scores_take_few_values",
    ]),
    processes(&["quantised::comments_are_not_kept_for_scores_that_agree_by_luck"]),
];

pub const C7: &[Held] = &[
    unit(&[
        "audit::tests::rounds_are_paired_by_their_seed_also_after_the_machine_has_shifted",
        "audit::tests::a_round_that_was_interrupted_is_measured_again_as_a_whole",
        "metric::log::tests::several_numbers_of_several_repeats_are_no_score_until_it_is_said_which_one_counts",
        "metric::significant::tests::what_is_shown_differs_from_the_number_by_less_than_a_thousandth_of_it",
        "import::tests::a_tiny_score_in_the_table_is_not_the_value_of_a_crash",
        "ratchet::strict::tests::a_tiny_gain_is_not_told_as_zero",
    ]),
    suite(&[
        "rerun::a_run_that_goes_on_is_not_disturbed",
        "rerun::fresh_seeds_are_those_of_no_other_trial",
        "policy::the_variable_that_wins_decides_not_the_one_that_is_written",
        "wiring::a_variable_is_passed_on_by_name_and_binds_the_run",
        "text::small_scores_do_not_look_like_zero",
        "noise::an_audit_that_is_interrupted_measures_its_last_round_again",
    ]),
    command(&["config::tests::repeats_need_a_choice_that_fits"]),
];

pub const C8: &[Held] = &[
    unit(&[
        "ratchet::noise_aware::tests::a_promised_number_of_false_keeps_has_no_floor",
        "state::tests::the_place_of_a_test_stays_while_others_are_decided_beside_it",
        "state::tests::a_test_that_is_taken_back_or_abandoned_has_its_place_all_the_same",
        "state::tests::a_health_check_teaches_the_noise",
        "ratchet::noise::tests::one_more_measurement_adds_what_pooling_all_of_them_would",
    ]),
    suite(&[
        "noise::a_promised_number_of_false_keeps_is_about_kept_in_long_runs_too",
        "noise::overlapping_tests_keep_no_more_luck_than_was_promised",
    ]),
];

pub const C9: &[Held] = &[
    unit(&[
        "command::process::tests::the_limit_is_kept_while_the_task_is_blocked",
        "command::process::tests::what_ends_by_itself_after_its_limit_has_not_completed",
        "verify::tests::a_clock_that_was_set_back_is_a_note_and_no_violation",
        "journal::suspend::tests::a_suspend_is_measured_once",
        "stop::tests::a_limit_of_dollars_that_is_no_limit_is_named",
    ]),
    suite(&["trouble::sandboxes::the_lab_keeps_the_budget_of_every_sandbox"]),
    suite(&["interruption::a_terminal_that_is_stopped_delays_no_experiment"]),
    command(&["display::background::tests::an_output_that_nobody_reads_delays_nobody"]),
    suite(&[
        "early_errors::limits_of_the_command_line_are_checked_like_those_of_the_file",
        "clock::the_hours_of_a_run_are_those_that_pass_whatever_the_clock_says",
    ]),
    command(&["config::tests::times_and_amounts_that_make_no_sense_are_errors", "report::tests::a_suspend_is_told"]),
];

pub const D10: &[Held] = &[
    suite(&[
        "odd_git::a_branch_in_the_way_is_told_before_the_baseline",
        "odd_git::a_checked_out_branch_is_not_moved_under_its_user",
    ]),
    suite(&[
        "early_errors::a_branch_in_the_way_is_told",
        "branches::a_run_may_have_a_branch_of_another_name_and_keeps_it",
        "branches::a_run_of_another_working_tree_is_found",
        "branches::a_branch_that_is_gone_or_moved_is_set_right_by_the_command_that_is_given",
    ]),
];

pub const D11: &[Held] = &[
    suite(&["trouble::nothing_is_bound_before_a_baseline_is_measured_and_everything_after"]),
    unit(&["policy::tests::what_differs_is_named_key_by_key"]),
    suite(&[
        "policy::what_differs_is_told_key_by_key",
        "policy::nothing_binds_a_run_whose_baseline_was_never_measured",
        "policy::a_baseline_that_ends_midway_binds_nothing",
    ]),
];

pub const D12: &[Held] = &[
    suite(&[
        "odd_git::links_inside_the_tree_are_carried_and_submodules_left_empty",
        "odd_git::files_that_git_changes_at_checkout_are_rejected_by_name",
        "odd_git::files_are_converted_as_git_checks_them_out",
        "odd_git::uncommitted::what_is_uncommitted_is_what_git_says",
        "odd_git::uncommitted::an_index_that_is_split_or_sparse_is_read",
        "odd_git::formats_that_are_not_supported_are_named",
        "odd_git::a_partial_clone_says_which_objects_it_needs",
    ]),
    unit(&[
        "git::checkout::tests::a_link_is_judged_by_where_it_leads",
        "command::local::slot::tests::links_are_carried_and_replaced_files_restored",
    ]),
    unit(&["agent_cli::change::tests::executable_bits_are_kept"]),
    suite(&[
        "early_errors::files_that_candidates_lack_are_told",
        "git_settings::files_are_checked_out_by_the_settings_that_variables_name",
        "git_settings::a_repository_of_another_user_is_opened_where_git_itself_trusts_it",
    ]),
];

pub const D13: &[Held] = &[
    processes(&["hostile::names_that_no_file_can_have_are_rejected_before_anything_is_written"]),
    unit(&[
        "change::path::tests::a_path_that_names_no_file_below_the_root_is_rejected_with_the_reason",
        "change::path::tests::every_kind_of_edit_passes_the_gate_also_where_all_files_are_editable",
        "change::path::tests::whatever_passes_stays_below_the_root_and_on_one_line",
        "agent_cli::change::tests::new_files_outside_are_told_from_forbidden_changes",
    ]),
    suite(&["odd_git::uncommitted::what_is_uncommitted_is_what_git_says"]),
];
