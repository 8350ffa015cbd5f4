//! How systems are drawn: colour, dash, name in the legend, and which are left out where they would hide the others.

use super::chart::Series;
use super::style::Stroke;
use crate::metrics::Saturation;
use crate::metrics::slo::Limit;
use crate::results::{PointComparison, Study, SystemInfo};

/// Colours of systems that many studies compare; others take the slot of their name's hash. A system so has the same
/// colour in every study, unless two of one study want the same slot.
const NAMED: [(&str, usize); 8] = [
    ("vllm-v1", 0),
    ("sarathi-serve", 1),
    ("orca", 2),
    ("vllm-0.2", 3),
    ("fastertransformer", 4),
    ("distserve", 5),
    ("splitwise", 6),
    ("llumnix", 7),
];

/// Colours there are before dashes must tell systems apart.
const COLOURS: usize = 8;

/// The slot that a name asks for: FNV-1a of its bytes, unless it is a well-known one.
fn wanted(name: &str) -> usize {
    let hash = |h: u32, b: u8| (h ^ u32::from(b)).wrapping_mul(16_777_619);
    let known = NAMED.iter().find(|(known, _)| *known == name).map(|(_, slot)| *slot);
    known.unwrap_or_else(|| name.bytes().fold(2_166_136_261, hash) as usize % COLOURS)
}

/// Slot of every system: colour, dash and marker follow from it. Well-known names choose first, then the others in the
/// order of their names; who finds a slot taken gets the next free one.
pub(super) fn slots(study: &Study) -> Vec<usize> {
    let mut order: Vec<usize> = (0..study.systems.len()).filter(|&i| !study.systems[i].bound).collect();
    let known = |i: usize| NAMED.iter().any(|(name, _)| *name == study.systems[i].name);
    order.sort_by(|&a, &b| (!known(a), &study.systems[a].name).cmp(&(!known(b), &study.systems[b].name)));
    let mut slots = vec![0; study.systems.len()];
    let mut taken: Vec<usize> = Vec::new();
    for system in order {
        let want = wanted(&study.systems[system].name);
        let round = taken.len() / COLOURS * COLOURS;
        let slot = (0..COLOURS).map(|i| round + (want + i) % COLOURS).find(|s| !taken.contains(s));
        slots[system] = slot.unwrap_or(round + want);
        taken.push(slots[system]);
    }
    slots
}

/// Stroke of a system: designs coloured by name, bounds grey, the reference strong.
pub(super) fn stroke(study: &Study, system: usize, markers: bool) -> Stroke {
    if study.systems[system].bound {
        let position = study.systems[..system].iter().filter(|s| s.bound).count();
        Stroke::bound(position, markers)
    } else {
        Stroke::design(slots(study)[system], markers, system == study.reference_index())
    }
}

/// Position of a system's colour in the palette: the number in the classes of what is drawn with it.
pub fn colour_of(study: &Study, system: usize) -> usize {
    stroke(study, system, false).ink.index()
}

/// What stands behind the name of a system whose hardware profile is derived from a datasheet.
pub fn derived_mark(info: &SystemInfo) -> &'static str {
    if info.is_derived() { " [derived]" } else { "" }
}

/// Name, role and grade.
pub(super) fn legend_name(study: &Study, system: usize) -> String {
    let info = &study.systems[system];
    let role = match (info.bound, info.oracle) {
        (true, _) => " (bound)",
        (_, true) => " (oracle)",
        _ => "",
    };
    format!("{}{role}{}", info.name, derived_mark(info))
}

/// Bounds first, so that designs are drawn on top; the legend keeps designs first.
pub(super) fn series_of(study: &Study, make: impl Fn(usize) -> Option<Series>) -> Vec<Series> {
    study.drawn_order().into_iter().filter_map(make).filter(|s| !s.points.is_empty()).collect()
}

/// Designs that are overloaded at every one of `points`, unless all are: their latencies measure the length of the
/// run, and would stretch an axis until nothing else can be seen.
pub(super) fn off_scale(points: &[PointComparison]) -> Vec<usize> {
    let overloaded = |system: usize| {
        points.iter().all(|p| p.row(system).is_none_or(|r| r.saturation == Saturation::Overloaded))
    };
    let Some(first) = points.first() else { return Vec::new() };
    let all: Vec<usize> = first.rows.iter().filter(|r| r.is_design()).map(|r| r.system).collect();
    let off: Vec<usize> = all.iter().copied().filter(|&s| overloaded(s)).collect();
    if off.len() == all.len() { Vec::new() } else { off }
}

/// Says in a caption which designs `off_scale` took out.
pub(super) fn left_out(study: &Study, off: &[usize]) -> String {
    if off.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = off.iter().map(|&s| study.systems[s].name.as_str()).collect();
    format!(" Left out, because overloaded: {}.", names.join(", "))
}

pub(super) fn limit_seconds(study: &Study, limit: Option<Limit>) -> Option<f64> {
    limit.and_then(|l| study.slo.get(l)).map(crate::units::SimDuration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(names: &[&str]) -> Study {
        let info = |name: &&str| SystemInfo {
            name: (*name).to_owned(),
            bound: *name == "ideal",
            ..SystemInfo::default()
        };
        Study { systems: names.iter().map(info).collect(), ..Study::default() }
    }

    #[test]
    fn a_system_has_its_colour_in_every_study() {
        let slot = |names: &[&str], name: &str| {
            slots(&study(names))[names.iter().position(|n| *n == name).unwrap_or(0)]
        };
        for others in [&["vllm-v1"][..], &["orca", "ideal", "vllm-v1"], &["mine", "sarathi-serve", "vllm-v1"]]
        {
            assert_eq!(slot(others, "vllm-v1"), 0, "{others:?}");
        }
        assert_eq!(slot(&["mine"], "mine"), slot(&["ideal", "mine"], "mine"));
    }

    #[test]
    fn no_two_designs_of_a_study_look_alike() {
        let names: Vec<String> = (0..30).map(|i| format!("variant-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let study = study(&names);
        let strokes: Vec<Stroke> = (0..names.len()).map(|i| stroke(&study, i, true)).collect();
        for (i, a) in strokes.iter().enumerate() {
            assert!(strokes[..i].iter().all(|b| (a.ink, a.dash) != (b.ink, b.dash)), "{}", names[i]);
        }
        let first: Vec<usize> = slots(&study)[..].iter().copied().filter(|s| *s < COLOURS).collect();
        assert_eq!(first.len(), COLOURS);
    }
}
