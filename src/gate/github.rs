//! What a check found as annotations of GitHub Actions: one line per system and point that got worse, shown at the scenario's file.

use super::judge::{Found, Outcome};
use super::text::{number_text, queue_text, verdict};

/// Workflow commands, one per line, and the verdicts between them.
pub fn annotations(found: &Found) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |system: &str, point: &str, text: String| {
        let title = format!("{system} at {point} got worse");
        match groups.iter_mut().find(|g| g.0 == title) {
            Some(group) => group.1.push(text),
            None => groups.push((title, vec![text])),
        }
    };
    for c in found.of(Outcome::Worse) {
        add(&c.system, &c.point, number_text(c));
    }
    for q in found.queues.iter().filter(|q| q.outcome == Outcome::Worse) {
        add(&q.system, &q.point, queue_text(q));
    }
    let mut out = String::new();
    for (title, lines) in groups {
        let (file, title) = (property(&found.file), property(&title));
        out.push_str(&format!("::error file={file},title={title}::{}\n", data(&lines.join("\n"))));
    }
    out.push_str(&format!("{}\n", data(&verdict(found))));
    out
}

/// Text behind `::`, escaped as the runner's toolkit does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value before it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
