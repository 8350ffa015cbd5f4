//! The two files of a ServeGen model: windows as a table, token histograms as JSON lines.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::arrivals::Law;
use super::super::input::Input;
use super::super::law::weibull_mean;
use crate::diagnostic::{InputError, InputErrors};
use crate::rng::Draws;

/// Columns of a windows file that are used; `cv` and `scale` follow from the others.
const COLUMNS: [&str; 5] = ["client", "window_start_s", "rate_per_s", "dist", "shape"];

/// Length of a window where only one start is there.
const WINDOW_S: u64 = 600;

/// Picoseconds of a second.
const SECOND: u64 = 1_000_000_000_000;

/// Most problems of a file that are shown.
const SHOWN: usize = 5;

/// One client in one window, with requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub client: u32,
    pub start_ps: u64,
    /// Requests per second.
    pub rate: f64,
    pub law: Law,
}

/// The windows with requests in order of (start, client), and the length of a window in picoseconds.
pub(super) fn windows(file: &Input) -> Result<(Vec<Window>, u64), InputErrors> {
    let mut lines = file.bytes.split(|b| *b == b'\n').map(text);
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    let mut columns = [0; COLUMNS.len()];
    for (place, name) in columns.iter_mut().zip(COLUMNS) {
        *place = header.iter().position(|h| *h == name).ok_or_else(|| {
            InputError::named(
                format!("{}:1:1", file.name),
                format!("there is no column `{name}`"),
                format!("a windows file has the columns `{}`", COLUMNS.join(",")),
            )
        })?;
    }
    let (mut cells, mut starts, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in (2u64..).zip(lines).filter(|(_, line)| !line.trim().is_empty()) {
        match row(line, &columns) {
            Ok((start_s, cell)) => {
                starts.push(start_s);
                cells.extend(cell);
            }
            Err((column, message)) => {
                let help =
                    "correct the row; rates are requests per second, shapes those of Gamma or Weibull gaps";
                errors.push(InputError::named(format!("{}:{number}:{column}", file.name), message, help));
            }
        }
        if errors.len() == SHOWN {
            break;
        }
    }
    if !errors.is_empty() {
        return Err(InputErrors(errors));
    }
    if cells.is_empty() {
        let help = "a windows file needs a row with a `rate_per_s` above zero";
        return Err(InputError::named(&*file.name, "no client has a request", help).into());
    }
    starts.sort_unstable();
    starts.dedup();
    let window_s = starts.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(WINDOW_S);
    if let Some(odd) = starts.iter().find(|s| !s.is_multiple_of(window_s)) {
        let message = format!("the window that starts at {odd} s is not on the grid of {window_s} s");
        return Err(InputError::named(&*file.name, message, "all windows must have one length").into());
    }
    cells.sort_by_key(|c| (c.start_ps, c.client));
    if let Some(twice) =
        cells.windows(2).find(|w| (w[0].start_ps, w[0].client) == (w[1].start_ps, w[1].client))
    {
        let message =
            format!("client {} has two rows for second {}", twice[0].client, twice[0].start_ps / SECOND);
        return Err(InputError::named(&*file.name, message, "remove one of the two rows").into());
    }
    Ok((cells, window_s * SECOND))
}

fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or("?")
}

/// One row: its start in seconds, and the window if it has requests. Errors: (column of the line, message).
fn row(line: &str, columns: &[usize; 5]) -> Result<(u64, Option<Window>), (usize, String)> {
    let fields: Vec<&str> = line.split(',').collect();
    let at = |i: usize| 1 + fields.iter().take(columns[i]).map(|f| f.len() + 1).sum::<usize>();
    let field = |i: usize| {
        let found = fields.get(columns[i]).map(|f| f.trim());
        found.ok_or_else(|| (1, format!("the row has {} fields and no `{}`", fields.len(), COLUMNS[i])))
    };
    let number = |i: usize, most: f64| -> Result<f64, (usize, String)> {
        let text = field(i)?;
        let value: f64 = text.parse().map_err(|_| (at(i), format!("`{text}` is not a number")))?;
        if (0.0..=most).contains(&value) {
            Ok(value)
        } else {
            Err((at(i), format!("`{}` of {text} is not within 0 to {most}", COLUMNS[i])))
        }
    };
    let whole = |i: usize, most: f64| -> Result<u64, (usize, String)> {
        let value = number(i, most)?;
        if value.fract() != 0.0 {
            return Err((at(i), format!("`{}` of {value} is not a whole number", COLUMNS[i])));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked just above"
        )]
        let whole = value as u64;
        Ok(whole)
    };
    let client = u32::try_from(whole(0, 1e6)?).unwrap_or(0);
    // Simulated time holds 213 days.
    let start_s = whole(1, 213.0 * 86_400.0)?;
    let rate = number(2, 1e9)?;
    if rate == 0.0 {
        return Ok((start_s, None));
    }
    let shape = number(4, 1e6)?;
    if shape < 1e-3 {
        return Err((at(4), format!("a shape of {shape} is not within 0.001 to 1000000")));
    }
    let law = match field(3)? {
        "Gamma" => Law::Gamma { shape, scale_s: 1.0 / (rate * shape) },
        "Weibull" => {
            let scale_s = 1.0 / (rate * weibull_mean(shape));
            if scale_s == 0.0 {
                return Err((at(4), format!("a Weibull law of shape {shape} has no finite mean")));
            }
            Law::Weibull { shape, scale_s }
        }
        other => {
            return Err((at(3), format!("`{other}` is not a law of gaps that is known (Gamma, Weibull)")));
        }
    };
    Ok((start_s, Some(Window { client, start_ps: start_s * SECOND, rate, law })))
}

/// Token histograms of all clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Histograms {
    /// (client, start of the window in picoseconds) → prompts, outputs.
    of: BTreeMap<(u32, u64), [Histogram; 2]>,
}

/// Values with cumulative weights.
#[derive(Clone, Debug, Default)]
struct Histogram {
    values: Vec<u32>,
    cumulative: Vec<f64>,
}

#[derive(Deserialize)]
struct Line {
    client: u32,
    windows: BTreeMap<String, Tables>,
}

#[derive(Deserialize)]
struct Tables {
    input_tokens: String,
    output_tokens: String,
}

/// One client a line, each window with the text of two dictionaries `{tokens: weight, …}`.
pub(super) fn histograms(file: &Input) -> Result<Histograms, InputErrors> {
    let mut all = Histograms::default();
    let lines = file.bytes.split(|b| *b == b'\n');
    for (number, line) in (1u64..).zip(lines).filter(|(_, l)| !l.iter().all(u8::is_ascii_whitespace)) {
        let wrong = |column: usize, message: String| {
            let help = "each line is one client: {\"client\": 0, \"windows\": {\"0\": {\"input_tokens\": \"{45: 0.2}\", \"output_tokens\": …}}}";
            InputErrors::from(InputError::named(format!("{}:{number}:{column}", file.name), message, help))
        };
        let line: Line = serde_json::from_slice(line).map_err(|e| {
            let message = e.to_string();
            wrong(e.column().max(1), message.split(" at line ").next().unwrap_or_default().to_owned())
        })?;
        for (start, tables) in &line.windows {
            let start_s: u64 = start
                .parse()
                .map_err(|_| wrong(1, format!("`{start}` is not the second a window starts")))?;
            let read = |name: &str, text: &str| {
                histogram(text).map_err(|m| wrong(1, format!("`{name}` of the window {start}: {m}")))
            };
            let prompts = read("input_tokens", &tables.input_tokens)?;
            let outputs = read("output_tokens", &tables.output_tokens)?;
            // A window without requests has no histogram.
            if let (Some(prompts), Some(outputs)) = (prompts, outputs) {
                all.of.insert((line.client, start_s.saturating_mul(SECOND)), [prompts, outputs]);
            }
        }
    }
    Ok(all)
}

/// `{45: 0.0097, 46: 0.0117}`; none if it is empty.
fn histogram(text: &str) -> Result<Option<Histogram>, String> {
    let inner = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inner = inner.ok_or_else(|| "is not written as `{tokens: weight, …}`".to_owned())?;
    let mut found = Histogram::default();
    let mut sum = 0.0;
    for entry in inner.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let parsed = entry.split_once(':').and_then(|(value, weight)| {
            let value: f64 = value.trim().parse().ok()?;
            let weight: f64 = weight.trim().parse().ok()?;
            ((0.0..4e9).contains(&value) && weight >= 0.0 && weight.is_finite()).then_some((value, weight))
        });
        let Some((value, weight)) = parsed else {
            return Err(format!("`{entry}` is not a number of tokens and a weight"));
        };
        sum += weight;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked just above"
        )]
        found.values.push((value.round() as u32).max(1));
        found.cumulative.push(sum);
    }
    Ok(Some(found).filter(|_| sum > 0.0))
}

impl Histograms {
    /// Whether a client has a histogram.
    pub fn knows(&self, client: u32) -> bool {
        self.of.range((client, 0)..=(client, u64::MAX)).next().is_some()
    }

    /// (prompt, output) of a client at a time: of the latest window that has begun, else of the client's first.
    pub fn draw(&self, client: u32, time_ps: u64, draws: &mut Draws) -> (u32, u32) {
        let begun = self.of.range((client, 0)..=(client, time_ps)).next_back();
        let found = begun.or_else(|| self.of.range((client, 0)..=(client, u64::MAX)).next());
        let Some((_, [prompts, outputs])) = found else { return (1, 1) };
        (prompts.draw(draws), outputs.draw(draws))
    }
}

impl Histogram {
    fn draw(&self, draws: &mut Draws) -> u32 {
        self.values.get(draws.pick(&self.cumulative)).copied().unwrap_or(1)
    }
}
