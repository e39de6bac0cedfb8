#![doc = include_str!("../README.md")]

mod schema;

mod m20261120_01_create_installation;
mod m20261120_02_create_tenant;
mod m20261120_03_create_api_key;
mod m20261120_04_create_operator;
mod m20261120_05_create_component;
mod m20261120_06_create_component_ticket;
mod m20261120_07_create_component_token;
mod m20261120_08_create_lease;
mod m20261120_09_create_authorization;
mod m20261120_10_create_authorization_visit;
mod m20261120_11_create_authorizer;
mod m20261120_12_create_authorizer_token;
mod m20261120_13_create_refresh_token;
mod m20261120_14_create_exchange;
mod m20261120_15_create_push;
mod m20261120_16_create_event;
mod m20261120_17_create_redirect_uri;
mod m20261120_18_create_token;
mod m20261120_19_seed_token;
mod m20261120_20_drop_component_token;
mod m20261120_21_drop_authorizer_token;
mod m20261120_22_relax_authorizer;
mod m20261120_23_add_authorizer_connection;
mod m20261120_24_add_authorizer_listing;
mod m20261120_25_create_account_secret;
mod m20261120_26_add_component_ticket_watch;
mod m20261120_27_add_component_reconciliation;
mod m20261120_28_relax_event;
mod m20261120_29_create_web_token;
mod m20261120_30_create_message_push;
mod m20261120_31_add_api_key_lifetime;
mod m20261120_32_add_tenant_limits;
mod m20261120_33_create_audit_entry;
mod m20261120_34_create_idempotency_key;
mod m20261120_35_create_usage_figure;
mod m20261120_36_create_quota_mark;
mod m20261120_37_create_verification_file;
mod m20261120_38_add_event_detail;
mod m20261120_39_add_authorizer_refusal;
mod m20261120_40_add_authorizer_name;
mod m20261120_41_fill_authorizer_name;
mod m20261120_42_add_component_previous_push_token;
mod m20261120_43_add_authorization_refusal;
mod m20261120_44_add_component_key_change;
mod m20261120_45_add_authorizer_release;
mod m20261120_46_lengthen_event_kind;
mod m20261120_47_add_event_push;
mod m20261120_48_fill_event_receipt;
mod m20261120_49_index_event;
mod m20261120_50_create_endpoint;
mod m20261120_51_create_delivery;
mod m20261120_52_create_delivery_attempt;
mod m20261120_53_drop_message_push;
mod m20261120_54_create_auto_reply;
mod m20261120_55_create_late_reply;
mod m20261120_56_create_listener;
mod m20261120_57_create_listener_reply;
mod m20261120_58_create_quarantined_message;
mod m20261120_59_create_publish_check;
mod m20261120_60_add_component_publish_test;
mod m20261120_61_add_push_quarantine_reason;
mod m20261121_62_create_web_authorization;
mod m20261121_63_create_mini_program_session;
mod m20261121_64_index_web_token;
mod m20261121_65_index_mini_program_session;
mod m20261121_66_index_authorizer_appid;

pub use self::schema::binary_collation;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// All steps, in the order in which they are taken.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut steps = tokens_and_tenants();
        steps.extend(events_and_replies());
        steps.extend(fans());
        steps
    }
}

/// What keeps tokens alive and tenants apart.
fn tokens_and_tenants() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261120_01_create_installation::Migration),
        Box::new(m20261120_02_create_tenant::Migration),
        Box::new(m20261120_03_create_api_key::Migration),
        Box::new(m20261120_04_create_operator::Migration),
        Box::new(m20261120_05_create_component::Migration),
        Box::new(m20261120_06_create_component_ticket::Migration),
        Box::new(m20261120_07_create_component_token::Migration),
        Box::new(m20261120_08_create_lease::Migration),
        Box::new(m20261120_09_create_authorization::Migration),
        Box::new(m20261120_10_create_authorization_visit::Migration),
        Box::new(m20261120_11_create_authorizer::Migration),
        Box::new(m20261120_12_create_authorizer_token::Migration),
        Box::new(m20261120_13_create_refresh_token::Migration),
        Box::new(m20261120_14_create_exchange::Migration),
        Box::new(m20261120_15_create_push::Migration),
        Box::new(m20261120_16_create_event::Migration),
        Box::new(m20261120_17_create_redirect_uri::Migration),
        Box::new(m20261120_18_create_token::Migration),
        Box::new(m20261120_19_seed_token::Migration),
        Box::new(m20261120_20_drop_component_token::Migration),
        Box::new(m20261120_21_drop_authorizer_token::Migration),
        Box::new(m20261120_22_relax_authorizer::Migration),
        Box::new(m20261120_23_add_authorizer_connection::Migration),
        Box::new(m20261120_24_add_authorizer_listing::Migration),
        Box::new(m20261120_25_create_account_secret::Migration),
        Box::new(m20261120_26_add_component_ticket_watch::Migration),
        Box::new(m20261120_27_add_component_reconciliation::Migration),
        Box::new(m20261120_28_relax_event::Migration),
        Box::new(m20261120_29_create_web_token::Migration),
        Box::new(m20261120_30_create_message_push::Migration),
        Box::new(m20261120_31_add_api_key_lifetime::Migration),
        Box::new(m20261120_32_add_tenant_limits::Migration),
        Box::new(m20261120_33_create_audit_entry::Migration),
        Box::new(m20261120_34_create_idempotency_key::Migration),
        Box::new(m20261120_35_create_usage_figure::Migration),
        Box::new(m20261120_36_create_quota_mark::Migration),
        Box::new(m20261120_37_create_verification_file::Migration),
        Box::new(m20261120_38_add_event_detail::Migration),
        Box::new(m20261120_39_add_authorizer_refusal::Migration),
        Box::new(m20261120_40_add_authorizer_name::Migration),
        Box::new(m20261120_41_fill_authorizer_name::Migration),
        Box::new(m20261120_42_add_component_previous_push_token::Migration),
        Box::new(m20261120_43_add_authorization_refusal::Migration),
        Box::new(m20261120_44_add_component_key_change::Migration),
        Box::new(m20261120_45_add_authorizer_release::Migration),
    ]
}

/// What brings events to tenants, and replies to fans.
fn events_and_replies() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261120_46_lengthen_event_kind::Migration),
        Box::new(m20261120_47_add_event_push::Migration),
        Box::new(m20261120_48_fill_event_receipt::Migration),
        Box::new(m20261120_49_index_event::Migration),
        Box::new(m20261120_50_create_endpoint::Migration),
        Box::new(m20261120_51_create_delivery::Migration),
        Box::new(m20261120_52_create_delivery_attempt::Migration),
        Box::new(m20261120_53_drop_message_push::Migration),
        Box::new(m20261120_54_create_auto_reply::Migration),
        Box::new(m20261120_55_create_late_reply::Migration),
        Box::new(m20261120_56_create_listener::Migration),
        Box::new(m20261120_57_create_listener_reply::Migration),
        Box::new(m20261120_58_create_quarantined_message::Migration),
        Box::new(m20261120_59_create_publish_check::Migration),
        Box::new(m20261120_60_add_component_publish_test::Migration),
        Box::new(m20261120_61_add_push_quarantine_reason::Migration),
    ]
}

/// What fans let accounts know of them.
fn fans() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261121_62_create_web_authorization::Migration),
        Box::new(m20261121_63_create_mini_program_session::Migration),
        Box::new(m20261121_64_index_web_token::Migration),
        Box::new(m20261121_65_index_mini_program_session::Migration),
        Box::new(m20261121_66_index_authorizer_appid::Migration),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn steps_are_named_once_and_stand_in_order() {
        let names: Vec<String> =
            Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
        let sorted: Vec<String> =
            names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(names, sorted);
    }
}
