//! What checks found as JUnit XML, which CI servers show: a suite per scenario, a case per system and point.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::judge::{Found, Outcome};
use super::text::{number_text, queue_text};

/// The document. Bytes depend on nothing but what was found.
pub fn junit(all: &[Found]) -> Vec<u8> {
    write(all).expect("memory accepts every event")
}

/// A case: its name and what failed in it.
struct Case {
    name: String,
    failures: Vec<String>,
}

fn cases(found: &Found) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut of = |system: &str, point: &str, failure: Option<String>| {
        let name = format!("{system} at {point}");
        match cases.iter_mut().find(|c| c.name == name) {
            Some(case) => case.failures.extend(failure),
            None => cases.push(Case { name, failures: failure.into_iter().collect() }),
        }
    };
    for c in &found.checked {
        of(&c.system, &c.point, (c.outcome == Outcome::Worse).then(|| number_text(c)));
    }
    for q in &found.queues {
        of(&q.system, &q.point, (q.outcome == Outcome::Worse).then(|| queue_text(q)));
    }
    cases
}

fn write(all: &[Found]) -> io::Result<Vec<u8>> {
    let suites: Vec<(&Found, Vec<Case>)> = all.iter().map(|found| (found, cases(found))).collect();
    let failed = |cases: &[Case]| cases.iter().filter(|c| !c.failures.is_empty()).count().to_string();
    let mut out = Writer::new_with_indent(Vec::new(), b' ', 2);
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.write_event(Event::Start(
        BytesStart::new("testsuites").with_attributes([("name", "windtunnel check")]),
    ))?;
    for (found, cases) in &suites {
        let suite = BytesStart::new("testsuite").with_attributes([
            ("name", plain(&found.scenario).as_str()),
            ("file", plain(&found.file).as_str()),
            ("tests", cases.len().to_string().as_str()),
            ("failures", failed(cases).as_str()),
            ("errors", "0"),
        ]);
        out.write_event(Event::Start(suite))?;
        for case in cases {
            let attributes = [("classname", plain(&found.scenario)), ("name", plain(&case.name))];
            let attributes = attributes.iter().map(|(key, value)| (*key, value.as_str()));
            let start = BytesStart::new("testcase").with_attributes(attributes);
            if case.failures.is_empty() {
                out.write_event(Event::Empty(start))?;
                continue;
            }
            out.write_event(Event::Start(start))?;
            let message = format!("{} worse than the baseline", case.failures.len());
            let failure = BytesStart::new("failure").with_attributes([("message", message.as_str())]);
            out.write_event(Event::Start(failure))?;
            out.write_event(Event::Text(BytesText::new(&plain(&case.failures.join("\n")))))?;
            out.write_event(Event::End(BytesEnd::new("failure")))?;
            out.write_event(Event::End(BytesEnd::new("testcase")))?;
        }
        out.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    out.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let mut bytes = out.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

/// Without the control characters that XML has no way to write.
fn plain(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}
