//! Secrets that are printed by mistake.

use super::{DatabaseUrl, Secret};

#[test]
fn a_secret_prints_as_stars_even_inside_another_type() {
    let secret = Secret::new("canary");
    assert_eq!(secret.expose(), "canary");
    assert_eq!(format!("{:?}", Some(secret)), "Some(***)");
}

#[test]
fn a_database_address_prints_without_its_password() {
    let cases = [
        (
            "postgres://app:canary@db:5432/agent",
            "postgres://app:***@db:5432/agent",
        ),
        (
            "postgres://app:canary@db/agent?password=canary&sslmode=require",
            "postgres://app:***@db/agent",
        ),
        ("postgresql://app@db/agent", "postgresql://app@db/agent"),
        ("postgres:///agent?host=/var/run/postgresql", "postgres:///agent"),
    ];
    for (text, shown) in cases {
        let url = DatabaseUrl::new(text).unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), shown);
        assert_eq!(url.expose(), text);
    }
}

#[test]
fn other_texts_are_no_database_address_and_are_not_repeated() {
    for bad in [
        "",
        "db:5432",
        "mysql://app:canary@db/agent",
        "postgres:canary",
        "host=db password=canary",
    ] {
        let fault = DatabaseUrl::new(bad).unwrap_err().to_string();
        assert!(!fault.contains("canary"), "{fault}");
    }
}
