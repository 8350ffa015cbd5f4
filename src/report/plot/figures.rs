//! The charts of a study: one line of `REGISTRY` per chart, in page order.

use super::inside::{links, memory, preemption, queue, replicas, steps, tokens, utilisation};
use super::{Layout, curves, heat, ledger, lengths, pareto, prefix, quadrants, ratio, timeline, tornado};
use crate::results::{Comparison, Study};

/// Something that is drawn in any layout.
pub trait Picture: std::fmt::Debug {
    /// The finding, as a sentence.
    fn title(&self) -> &str;
    /// The picture as an SVG with its own style sheet.
    fn draw(&self, layout: Layout) -> String;
    /// Whether its colours are those of systems.
    fn is_by_system(&self) -> bool {
        false
    }
}

/// A chart of a study.
#[derive(Debug)]
pub struct Figure {
    /// File name under `plots/`.
    pub file: &'static str,
    /// What is drawn, in one or two sentences.
    pub caption: String,
    /// What is drawn.
    pub picture: Box<dyn Picture>,
}

impl Figure {
    /// A figure of `picture`.
    pub fn new(file: &'static str, caption: String, picture: impl Picture + 'static) -> Figure {
        Figure { file, caption, picture: Box::new(picture) }
    }

    /// Its title: the finding.
    pub fn title(&self) -> &str {
        self.picture.title()
    }

    /// The stand-alone picture.
    pub fn svg(&self) -> String {
        self.picture.draw(Layout::File)
    }
}

/// The question that a group of charts answers; a heading of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What users feel.
    Latency,
    /// Where the time goes.
    Why,
    /// How much load is carried, and what it costs.
    Capacity,
    /// What the deployment does over time.
    Resources,
}

impl Section {
    /// All sections, in page order.
    pub const ALL: [Section; 4] = [Section::Latency, Section::Why, Section::Capacity, Section::Resources];

    /// Heading of the page.
    pub fn heading(self) -> &'static str {
        match self {
            Section::Latency => "What do users feel?",
            Section::Why => "Why? Where the time goes",
            Section::Capacity => "How much load does it carry, and at what price?",
            Section::Resources => "What do the resources do?",
        }
    }
}

/// Makes a chart; `None` where the study has no data for it.
type Build = fn(&Study, &Comparison) -> Option<Figure>;

/// Every chart: its section and its builder.
const REGISTRY: &[(Section, Build)] = &[
    (Section::Latency, curves::load_ttft),
    (Section::Latency, curves::load_gap),
    (Section::Latency, curves::load_normalised),
    (Section::Latency, curves::cdf_ttft),
    (Section::Latency, curves::cdf_gap),
    (Section::Latency, curves::cdf_tpot),
    (Section::Latency, curves::cdf_e2e),
    (Section::Latency, lengths::ttft_by_prompt),
    (Section::Latency, lengths::e2e_by_output),
    (Section::Why, quadrants::figure),
    (Section::Why, ledger::by_system),
    (Section::Why, ledger::by_load),
    (Section::Why, tokens::figure),
    (Section::Why, prefix::capacity_curve),
    (Section::Why, prefix::by_distance),
    (Section::Capacity, heat::goodput),
    (Section::Capacity, heat::ttft),
    (Section::Capacity, heat::gap),
    (Section::Capacity, ratio::figure),
    (Section::Capacity, curves::load_attainment),
    (Section::Capacity, curves::load_goodput),
    (Section::Capacity, pareto::per_gpu),
    (Section::Capacity, pareto::per_dollar),
    (Section::Capacity, crate::report::capacity::figure),
    (Section::Capacity, tornado::figure),
    (Section::Resources, timeline::waiting),
    (Section::Resources, timeline::running),
    (Section::Resources, timeline::kv),
    (Section::Resources, replicas::figure),
    (Section::Resources, links::figure),
    (Section::Resources, memory::figure),
    (Section::Resources, preemption::figure),
    (Section::Resources, utilisation::figure),
    (Section::Resources, steps::figure),
    (Section::Resources, queue::figure),
];

/// All charts of the study with their sections, in page order. Charts without data are left out.
pub fn figures(study: &Study, comparison: &Comparison) -> Vec<(Section, Figure)> {
    let make = |(section, build): &(Section, Build)| Some((*section, build(study, comparison)?));
    REGISTRY.iter().filter_map(make).collect()
}
