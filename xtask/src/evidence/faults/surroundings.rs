//! The kinds E and F: agents at work, and what a person sees.

use super::held::{Held, command, processes, suite, unit};

pub const E14: &[Held] = &[
    suite(&[
        "agent_cli::behaviour::a_removal_and_a_renaming_run_as_experiments",
        "agent_cli::behaviour::litter_is_left_out_of_the_proposal",
        "agent_cli::behaviour::a_new_file_outside_is_dropped_with_a_warning_or_rejects_the_proposal",
        "agent_cli::behaviour::a_banner_is_no_description",
    ]),
    unit(&[
        "agent_cli::change::tests::files_larger_than_memory_together_are_not_read",
        "agent_cli::change::tests::what_an_agent_locked_is_read_all_the_same",
        "agent_cli::litter::tests::caches_of_tools_are_litter_everywhere",
        "agent_cli::litter::tests::the_rules_of_the_repository_hold_as_in_git",
    ]),
];

pub const E15: &[Held] = &[
    processes(&[
        "hostile::a_trial_sees_no_key_neither_its_own_nor_its_parent_s",
        "hostile::a_lab_can_hide_its_own_memory_from_trials",
    ]),
    unit(&[
        "command::environment::tests::keys_are_hidden_in_texts",
        "command::process::log::censor::tests::a_secret_in_pieces_is_hidden",
        "command::process::log::censor::tests::the_places_of_the_cuts_do_not_matter",
    ]),
    suite(&[
        "agent_cli::behaviour::a_key_that_an_agent_found_reaches_neither_the_journal_nor_the_next_prompt",
        "api::spending::a_key_among_the_files_never_reaches_a_prompt",
    ]),
];

pub const E16: &[Held] = &[
    unit(&[
        "command::environment::tests::no_key_is_on_the_list",
        "command::environment::tests::devices_come_with_their_order",
        "command::environment::tests::a_proxy_with_a_login_is_left_out",
        "command::environment::tests::environments_of_python_and_certificates_arrive",
        "command::environment::tests::settings_of_other_makers_devices_arrive_without_their_keys",
    ]),
    processes(&["hostile::a_trial_sees_no_key_neither_its_own_nor_its_parent_s"]),
];

pub const E16B: &[Held] = &[
    suite(&[
        "portfolio::a_rejected_draft_of_a_wave_is_journaled_beside_the_proposals_with_its_own_cost",
        "portfolio::proposals_that_the_lab_turns_down_keep_their_record_and_their_cost",
        "portfolio::a_wave_of_nothing_but_a_forbidden_edit_is_journaled_with_its_cost",
        "agent_cli::behaviour::a_command_may_name_the_repository_and_programs_in_it",
        "agent_cli::behaviour::a_check_tries_an_agent_s_change_and_its_words_reach_the_next_prompt",
    ]),
    unit(&["model::report::tests::a_rejected_draft_beside_a_proposal_keeps_its_record_and_its_cost"]),
];

pub const F17: &[Held] = &[
    unit(&[
        "text::tests::escape_sequences_vanish_whole",
        "text::tests::nothing_unsafe_and_nothing_long_comes_through",
        "command::process::outcome::tests::a_message_has_nothing_that_a_terminal_would_obey",
    ]),
    suite(&["agent_cli::behaviour::control_characters_of_an_agent_are_replaced"]),
    suite(&[
        "text::a_candidate_s_output_commands_no_terminal",
        "text::a_description_of_an_agent_is_one_clean_line_for_people",
        "text::errors_are_clean_too",
        "import::whatever_a_table_says_is_imported_reported_and_drawn",
    ]),
];

pub const F18: &[Held] = &[
    suite(&[
        "early_errors::a_search_without_knobs_is_told",
        "early_errors::editable_paths_that_match_nothing_are_told",
        "early_errors::an_agent_that_cannot_be_started_is_told",
        "early_errors::a_program_that_cannot_be_started_is_told",
        "early_errors::a_metric_that_cannot_be_read_costs_one_trial",
        "early_errors::a_repository_that_cannot_be_written_is_told_with_the_remedy",
        "models::a_spent_budget_and_a_missing_key_are_said_in_words",
        "workspace::a_script_that_is_not_committed_is_told_before_the_baseline",
    ]),
    command(&["commands::run::tests::a_run_whose_proposals_were_all_rejected_did_not_do_its_work"]),
];

pub const F19: &[Held] = &[
    suite(&[
        "odd_git::each_obstacle_has_its_own_message_and_remedy",
        "odd_git::a_repository_of_another_user_comes_with_the_remedy",
    ]),
    unit(&["metric::log::tests::a_repeat_without_its_number_is_named"]),
    suite(&[
        "early_errors::odd_places_are_told_with_their_remedy",
        "early_errors::a_known_agent_that_is_not_installed_is_told_at_the_key_that_is_written",
        "early_errors::a_baseline_beyond_its_limit_names_the_key",
        "early_errors::a_baseline_whose_output_a_reader_knows_names_the_reader",
    ]),
];

pub const F20: &[Held] = &[
    unit(&[
        "command::process::tests::limits_without_end_are_limits_too",
        "ratchet::noise_aware::tests::settings_out_of_range_are_errors_that_name_them",
        "ratchet::sequential::tests::settings_with_which_it_would_measure_for_ever_are_errors",
        "ratchet::arm::tests::a_sum_that_overflows_still_has_a_mean",
    ]),
    suite(&[
        "trouble::a_rule_that_never_decides_is_capped",
        "trouble::proposers::careless_answers_are_cleaned_and_counted",
    ]),
    suite(&["slots::those_of_ended_runs_are_removed_and_their_size_is_told"]),
    command(&["plot::tests::odd_runs_are_drawn_too"]),
];
