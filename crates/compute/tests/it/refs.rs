//! What is a ref, what is not, and where rules name one.

use compute::{Algorithm, Ref, scan_refs};
use proptest::prelude::*;

#[test]
fn refs_parse_and_print_back() {
    for text in
        ["compute://sha256/abc123", "compute://blake3/A-b_9", "compute://x/-", "compute://0/0"]
    {
        let reference = Ref::parse(text).unwrap();
        assert_eq!(reference.to_string(), text);
        assert_eq!(format!("compute://{}/{}", reference.alg(), reference.digest()), text);
        assert_eq!(serde_json::to_value(&reference).unwrap(), text);
        assert_eq!(serde_json::from_value::<Ref>(text.into()).unwrap(), reference);
    }
    assert_eq!(Ref::parse("compute://sha256/ab").unwrap().store_key(), "computes/sha256/ab");
}

#[test]
fn what_is_not_a_ref_is_told_why() {
    for (text, why) in [
        ("", "it does not start with `compute://`"),
        ("sha256/abc", "it does not start with `compute://`"),
        ("op://name", "it does not start with `compute://`"),
        ("http://sha256/abc", "it does not start with `compute://`"),
        ("Compute://sha256/abc", "it does not start with `compute://`"),
        ("compute:///abc", "the algorithm is missing"),
        ("compute://SHA256/abc", "the algorithm may hold only a-z and 0-9"),
        ("compute://sha-256/abc", "the algorithm may hold only a-z and 0-9"),
        ("compute://sha256", "the digest is missing"),
        ("compute://sha256/", "the digest is missing"),
        ("compute://sha256/a/b", "the digest may hold only letters, digits, `_` and `-`"),
        ("compute://sha256/../../etc", "the digest may hold only letters, digits, `_` and `-`"),
        ("compute://sha256/a b", "the digest may hold only letters, digits, `_` and `-`"),
        ("compute://sha256/abc\n", "the digest may hold only letters, digits, `_` and `-`"),
    ] {
        let error = Ref::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn digests_are_those_of_their_standards() {
    // FIPS 180-4's and BLAKE3's own test vectors.
    assert_eq!(
        Algorithm::Sha256.hex_digest(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        Algorithm::Blake3.hex_digest(b""),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
    let reference = Ref::of(Algorithm::Blake3, b"bytes");
    reference.verify(b"bytes").unwrap();
    assert!(reference.verify(b"other").is_err());
    assert!(Ref::parse("compute://md5/abc").unwrap().verify(b"").is_err());
}

fn scanned(rule: &str) -> Vec<String> {
    scan_refs(rule).iter().map(|reference| reference.digest().to_owned()).collect()
}

#[test]
fn scan_finds_each_ref_once_in_order() {
    let rule = r#"
        WHEN .kind == "order"
        # EXEC "compute://sha256/commented"
        EXEC "compute://sha256/b"   # not "compute://sha256/this"
        WITH fallback = "compute://sha256/a", again = "compute://sha256/b"
        SET .text = "see compute://sha256/inside", .hash = "a # b", .next = "compute://sha256/c"
    "#;
    assert_eq!(scanned(rule), ["b", "a", "c"]);
}

#[test]
fn scan_reads_strings_and_regular_expressions_as_rules_do() {
    assert_eq!(scanned(r#"SET .a = "quote \" # in" EXEC "compute://sha256/x""#), ["x"]);
    assert_eq!(scanned(r##"WHEN .a =~ /"#/ EXEC "compute://sha256/x""##), ["x"]);
    assert_eq!(scanned(r#"WHEN .a !~ /\/"/ EXEC "compute://sha256/x""#), ["x"]);
    assert_eq!(scanned(r#"SET .a = "back\\" EXEC "compute://sha256/x""#), ["x"]);
    assert_eq!(scanned(r#"EXEC "compute://sha256/open"#), [""; 0]);
    assert_eq!(scanned("EXEC compute://sha256/bare"), [""; 0]);
}

proptest! {
    #[test]
    fn every_ref_survives_a_round_trip(alg in "[a-z0-9]{1,12}", digest in "[A-Za-z0-9_-]{1,80}") {
        let text = format!("compute://{alg}/{digest}");
        let reference = Ref::parse(&text).unwrap();
        prop_assert_eq!(reference.alg(), alg);
        prop_assert_eq!(reference.digest(), digest);
        prop_assert_eq!(reference.as_str(), text);
    }

    #[test]
    fn no_text_breaks_the_parser_or_the_scanner(text in "\\PC{0,200}") {
        let _ = Ref::parse(&text);
        for reference in scan_refs(&text) {
            let quoted = format!("\"{}\"", reference);
            prop_assert!(text.contains(&quoted));
        }
    }
}
