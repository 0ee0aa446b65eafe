//! Languages: what Intl and what is written through it give. The texts are Node.js's; `cargo xtask javascript` compares many more.

use serde_json::json;

use crate::{eval, run};

#[test]
fn dates_and_numbers_are_written_as_a_language_does() {
    let written = eval(
        r#"const d = new Date(Date.UTC(2024, 6, 5, 3, 4, 5)), tz = (timeZone: string, more = {}) => ({ timeZone, ...more });
        return [
            d.toLocaleString("en-US", tz("America/New_York")), d.toLocaleDateString("de", tz("UTC", { dateStyle: "long" })),
            new Intl.DateTimeFormat("fr", tz("Europe/Paris", { dateStyle: "full", timeStyle: "short" })).format(d),
            new Intl.DateTimeFormat("ja", tz("Asia/Tokyo", { era: "short", year: "numeric", month: "long", day: "numeric" })).format(d),
            (1234.5).toLocaleString("de", { style: "currency", currency: "EUR" }), (1234567.891).toLocaleString("hi"),
            new Intl.NumberFormat("en", { notation: "compact" }).format(1234567), (12n).toLocaleString("ar-EG"),
            new Intl.PluralRules("pl").select(3), new Intl.RelativeTimeFormat("es", { numeric: "auto" }).format(-1, "day"),
            new Intl.ListFormat("it").format(["a", "b", "c"]), new Intl.DisplayNames("ko", { type: "region" }).of("US"),
        ];"#,
    );
    assert_eq!(
        written,
        json!([
            "7/4/2024, 11:04:05 PM",
            "5. Juli 2024",
            "vendredi 5 juillet 2024 à 05:04",
            "西暦2024年7月5日",
            "1.234,50\u{a0}€",
            "12,34,567.891",
            "1.2M",
            "١٢",
            "few",
            "ayer",
            "a, b e c",
            "미국"
        ])
    );
}

#[test]
fn texts_are_in_the_order_of_a_language() {
    let sorted = eval(
        r#"const by = (locale: any, options?: any) => (a: string, b: string) => a.localeCompare(b, locale, options);
        return [
            ["b", "a", "B", "ä", "A"].sort(by(undefined)).join(""), ["nz", "ñ", "n", "o"].sort(by("es")).join(" "),
            ["ł", "l", "m", "lz"].sort(by("pl")).join(" "), ["a10", "a2", "a1"].sort(by("en", { numeric: true })).join(" "),
            ["李", "张", "王"].sort(by("zh")).join(""), "a".localeCompare("A", "en", { sensitivity: "base" }),
            ["z", "𝒜", "😀"].sort(new Intl.Collator("de").compare).join(""), "İ".toLocaleLowerCase("tr"), "i".toLocaleUpperCase("tr"),
        ];"#,
    );
    assert_eq!(
        sorted,
        json!(["aAäbB", "n nz ñ o", "l lz ł m", "a1 a2 a10", "李王张", 0, "😀𝒜z", "i", "İ"])
    );
}

#[test]
fn languages_that_are_not_carried_fall_back() {
    let resolved = eval(
        r#"const locale = (asked: any) => new Intl.NumberFormat(asked).resolvedOptions().locale;
        const error = (f: () => unknown) => { try { f(); return "none"; } catch (e: any) { return e.name; } };
        return [locale("sv"), locale("de-LU"), locale(["xx", "fr-CA"]), Intl.DateTimeFormat().resolvedOptions().timeZone,
            Intl.Collator.supportedLocalesOf(["de", "sv", "zh-TW"]), error(() => new Intl.NumberFormat("not a tag")),
            error(() => new Date(NaN).toLocaleString("de") === "Invalid Date" ? undefined : (0 as any)()), error(() => new Intl.DateTimeFormat("en", { timeZone: "Mars/Base" }))];"#,
    );
    assert_eq!(
        resolved,
        json!(["en-US", "de", "fr-CA", "UTC", ["de", "zh-TW"], "RangeError", "none", "RangeError"])
    );
}

#[test]
fn an_op_that_names_no_language_has_none_of_it() {
    let absent = run(
        "import { op } from \"@compute/op\";\nexport default op(() => typeof (globalThis as any)[[\"In\", \"tl\"].join(\"\")]);",
    );
    assert_eq!(absent, "undefined");
}
