//! Numbers as people read them: three significant digits, the unit that fits.

use crate::metrics::Estimate;

/// Three significant digits without an exponent: `0.0123`, `1.24`, `38.1`, `412`, `12 300`→`12,300`.
pub fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = value.abs();
    let decimals = match magnitude {
        0.0 => 0,
        m if m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.099_95 => 3,
        _ => 4,
    };
    group(&format!("{value:.decimals$}"))
}

/// Thousands separators in the whole part of a printed number.
fn group(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Seconds in the unit that fits: `412 ms`, `1.24 s`, `38.1 ms`, `950 µs`.
pub fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0 s".to_owned(),
        m if m < 0.000_999_5 => format!("{} µs", digits(value * 1e6)),
        m if m < 0.999_5 => format!("{} ms", digits(value * 1e3)),
        _ => format!("{} s", digits(value)),
    }
}

/// A limit in seconds: like [`seconds`] without trailing zeros: `1 s`, `100 ms`, `2.5 s`.
pub fn limit(value: f64) -> String {
    let text = seconds(value);
    let Some((number, unit)) = text.split_once(' ').filter(|(n, _)| n.contains('.')) else { return text };
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

/// First letter in upper case.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// A share as per cent: `98.2 %`; never rounded up to 100 %.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 100.0 && percent > 99.95 { ">99.9 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A ratio to the reference: `0.62 ± 0.03`, `0.62` with one seed, `17 ± 2` when large.
pub fn ratio(estimate: Estimate) -> String {
    if estimate.mean >= 99.5 {
        return ">99".to_owned();
    }
    let decimals = match estimate.mean.abs() {
        m if m >= 9.95 => 1,
        _ => 2,
    };
    match estimate.half_width {
        Some(half) => format!("{:.decimals$} ± {half:.decimals$}", estimate.mean),
        None => format!("{:.decimals$}", estimate.mean),
    }
}

/// An optional number through one of the above; a dash when it is absent.
pub fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

/// A value in the unit of its column: seconds and shares are scaled, the rest is printed plainly.
pub fn in_unit(key: &str, value: f64) -> String {
    match key {
        _ if key.ends_with("_s_per_token") => format!("{}/tok", seconds(value)),
        _ if key.ends_with("_per_s") => digits(value),
        _ if key.ends_with("_s") => seconds(value),
        _ if key.starts_with("attainment") || key.ends_with("_ratio") || key.starts_with("kv_occ") => {
            percent(value)
        }
        _ => digits(value),
    }
}

/// Text of users as Markdown shows it: no markup, no HTML, no new cell.
pub fn markdown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// `text` cut to `width` characters with an ellipsis in its middle: variants of a name differ at its end.
pub fn shorten(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (front, back) = (kept - kept / 2, kept / 2);
    text.chars().take(front).chain(['…']).chain(text.chars().skip(count - back)).collect()
}

/// Words that stay on the line of the number before them.
const UNITS: [&str; 8] = ["s", "ms", "µs", "%", "req/s", "×", "±", "ms/tok"];

/// Breaks `text` at spaces, but not before a unit, into lines of at most `width` characters.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_end_matches([',', ';', ':', '.', ')']);
        match words.last_mut() {
            Some(last) if UNITS.contains(&bare) => {
                last.push('\u{a0}');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_significant_digits() {
        let shown: Vec<String> =
            [0.0, 0.012_34, 0.5, 1.239, 38.06, 412.4, 12_345.0, -1234.5].map(digits).into();
        assert_eq!(shown, ["0", "0.0123", "0.500", "1.24", "38.1", "412", "12,345", "-1,234"]);
    }

    #[test]
    fn seconds_choose_their_unit() {
        assert_eq!(
            [0.000_95, 0.0381, 0.9996, 1.24, 75.0].map(seconds),
            ["950 µs", "38.1 ms", "1.00 s", "1.24 s", "75.0 s"]
        );
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shorten("sarathi-serve-512", 9), "sara…-512");
        assert_eq!(shorten("orca", 9), "orca");
    }

    #[test]
    fn units_stay_with_their_number() {
        assert_eq!(wrap("at 1.24 s, or so", 6), ["at", "1.24\u{a0}s,", "or so"]);
    }

    #[test]
    fn limits_are_round() {
        assert_eq!([1.0, 0.1, 2.5, 0.05].map(limit), ["1 s", "100 ms", "2.5 s", "50 ms"]);
    }

    #[test]
    fn a_miss_is_never_rounded_to_all() {
        assert_eq!([1.0, 0.99999, 0.982].map(percent), ["100.0 %", ">99.9 %", "98.2 %"]);
    }
}
