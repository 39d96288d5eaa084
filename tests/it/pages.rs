//! The pages as a browser gets them: which are served, what they may do, how long they are kept.

use crate::support::http::{Reply, request};
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

const FILES: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/assets/console.js", "text/javascript; charset=utf-8"),
    ("/assets/style.css", "text/css; charset=utf-8"),
    ("/assets/icon.svg", "image/svg+xml"),
];

async fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    request(base, "GET", path, headers, None).await
}

/// The directives of a reply's policy, by name.
fn directive<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply
        .header("content-security-policy")?
        .split(';')
        .map(str::trim)
        .find_map(|directive| directive.strip_prefix(name)?.strip_prefix(' '))
}

/// The addresses that a page names in attributes.
fn named(page: &str) -> Vec<&str> {
    page.split(['"'])
        .filter(|text| text.starts_with("/assets/"))
        .collect()
}

#[tokio::test]
async fn no_page_is_served_unless_the_operator_says_so() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for base in [&node.base, &node.admin] {
        for path in ["/", "/assets/console.js", "/assets/inspector.js", "/inspect/now"] {
            get(base, path, &[]).await.problem(404, "not_found");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn the_page_and_all_that_it_names_are_served_under_a_strict_policy() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("CONSOLE", "true")]).await;
    for (path, kind) in FILES {
        let reply = get(&node.base, path, &[]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)));
        for (name, value) in [
            ("default-src", "'none'"),
            ("script-src", "'self'"),
            ("style-src", "'self'"),
            ("connect-src", "'self'"),
            ("base-uri", "'none'"),
            ("form-action", "'none'"),
            ("frame-ancestors", "'none'"),
            ("require-trusted-types-for", "'script'"),
            ("trusted-types", "'none'"),
        ] {
            assert_eq!(directive(&reply, name), Some(value), "{path} {name}");
        }
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    }
    let page = get(&node.base, "/", &[]).await;
    assert_eq!(named(&page.body).len(), 3, "{}", page.body);
    for inline in ["<script>", "style=", "onload=", "javascript:"] {
        assert!(!page.body.contains(inline), "the policy would refuse {inline}");
    }
    get(&node.base, "/assets/inspector.js", &[])
        .await
        .problem(404, "not_found");
    let reply = request(&node.base, "POST", "/", &[], None).await;
    reply.problem(405, "method_not_allowed");
    node.shut_down().await;
}

#[tokio::test]
async fn what_a_page_names_is_kept_for_ever_and_the_page_itself_is_asked_about() {
    let provider = ScriptedProvider::start().await;
    let settings = [("CONSOLE", "true"), ("INSPECTOR", "true")];
    let mut node = TestNode::start(&provider, &settings).await;
    for base in [&node.base, &node.admin] {
        let page = get(base, "/", &[]).await;
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let tag = page.header("etag").unwrap();
        let again = get(base, "/", &[("if-none-match", tag)]).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(again.header("etag"), Some(tag));
        assert!(again.header("content-security-policy").is_some());
        for path in named(&page.body) {
            // The built page fits the files beside it: each is served under the hash that it names.
            let reply = get(base, path, &[]).await;
            assert_eq!(reply.status, 200, "{path}");
            let kept = reply.header("cache-control");
            assert_eq!(kept, Some("public, max-age=31536000, immutable"), "{path}");
            let (bare, hash) = path.split_once("?v=").unwrap();
            assert_eq!(reply.header("etag"), Some(format!("\"{hash}\"").as_str()));
            let older = get(base, &format!("{bare}?v=0123456789abcdef"), &[]).await;
            assert_eq!(
                (older.status, older.header("cache-control")),
                (200, Some("no-cache"))
            );
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn only_pages_that_may_connect_may_show_it_in_a_frame() {
    let provider = ScriptedProvider::start().await;
    let settings = [
        ("CONSOLE", "true"),
        ("INSPECTOR", "true"),
        ("ALLOWED_ORIGINS", "https://app.example.com,https://b.example.com"),
    ];
    let mut node = TestNode::start(&provider, &settings).await;
    let page = get(&node.base, "/", &[]).await;
    let framed = directive(&page, "frame-ancestors");
    assert_eq!(framed, Some("https://app.example.com https://b.example.com"));
    let inspector = get(&node.admin, "/", &[]).await;
    assert_eq!(directive(&inspector, "frame-ancestors"), Some("'none'"));
    node.shut_down().await;
}
