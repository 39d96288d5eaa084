//! What is accepted, and what never prints.

use super::*;
use crate::llm::Settings;

#[test]
fn a_base_url_is_http_and_holds_no_secret() {
    let table = [
        (
            "https://openrouter.ai/api/v1",
            Ok("https://openrouter.ai/api/v1/chat/completions"),
        ),
        (
            "https://openrouter.ai/api/v1//",
            Ok("https://openrouter.ai/api/v1/chat/completions"),
        ),
        (
            "http://127.0.0.1:11434/v1",
            Ok("http://127.0.0.1:11434/v1/chat/completions"),
        ),
        ("http://llm", Ok("http://llm/chat/completions")),
        ("ftp://example.com", Err(InvalidBaseUrl::NotHttp)),
        ("openrouter.ai/api/v1", Err(InvalidBaseUrl::NotHttp)),
        ("", Err(InvalidBaseUrl::NotHttp)),
        ("https://user:secret@example.com/", Err(InvalidBaseUrl::Decorated)),
        ("https://:secret@example.com/", Err(InvalidBaseUrl::Decorated)),
        ("https://example.com/?key=secret", Err(InvalidBaseUrl::Decorated)),
        ("https://example.com/#x", Err(InvalidBaseUrl::Decorated)),
    ];
    for (text, expected) in table {
        let url = text
            .parse::<BaseUrl>()
            .map(|url| url.chat_completions().to_string());
        assert_eq!(url, expected.map(str::to_owned), "{text}");
    }
}

#[test]
fn the_flavor_follows_from_the_host_alone() {
    let table = [
        ("https://openrouter.ai/api/v1", ProviderFlavor::OpenRouter),
        ("https://OpenRouter.ai/api/v1", ProviderFlavor::OpenRouter),
        ("https://api.openai.com/v1", ProviderFlavor::OpenAi),
        (
            "https://openrouter.ai.example.com/api/v1",
            ProviderFlavor::Generic,
        ),
        ("http://127.0.0.1/openrouter.ai", ProviderFlavor::Generic),
    ];
    for (url, flavor) in table {
        assert_eq!(Settings::new(url.parse().unwrap()).flavor, flavor, "{url}");
    }
}

#[test]
fn a_flavor_is_written_as_it_is_read() {
    for flavor in [
        ProviderFlavor::OpenRouter,
        ProviderFlavor::OpenAi,
        ProviderFlavor::Generic,
    ] {
        assert_eq!(flavor.as_str().parse(), Ok(flavor));
    }
    assert_eq!("OpenRouter".parse::<ProviderFlavor>(), Err(UnknownFlavor));
}

#[test]
fn a_key_is_one_visible_word_and_never_prints() {
    for text in ["", "a b", "a\n", "schlüssel", "a\0"] {
        assert!(text.parse::<ApiKey>().is_err(), "{text:?}");
    }
    let api_key = "sk-or-v1-0123".parse::<ApiKey>().unwrap();
    assert_eq!(api_key.authorization(), "Bearer sk-or-v1-0123");
    let shown = format!("{:?}", api_key.authorization());
    let mut settings = Settings::new("https://openrouter.ai".parse().unwrap());
    settings.api_key = Some(api_key);
    assert!(!format!("{shown} {settings:?}").contains("0123"));
}
