//! The title made from a question.

use super::title_of;

#[test]
fn a_title_is_the_first_line_that_says_something() {
    for (question, title) in [
        ("How do I sort a list?", "How do I sort a list?"),
        ("  \n\t\r\n  first line  \nsecond", "first line"),
        ("\u{1}\u{7}\nfirst line", "first line"),
        ("a\tb\u{1b}[31mc", "ab[31mc"),
        ("", ""),
        (" \n ", ""),
    ] {
        assert_eq!(title_of(question), title, "{question:?}");
    }
}

#[test]
fn a_title_ends_after_60_characters_and_says_so() {
    let sixty = "é".repeat(60);
    assert_eq!(title_of(&sixty), sixty);
    assert_eq!(title_of(&format!("{sixty}x")), format!("{sixty}…"));
    assert_eq!(
        title_of(&format!("\u{1}{sixty}\u{2}")),
        sixty,
        "what is not shown takes no room"
    );
}
