//! `lengths.components`: several length laws mixed, each a class of its own in the tables (chat with a few long
//! documents in it).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lengths::{Lengths, LengthsSpec};
use super::prepare::Beside;
use crate::diagnostic::{InputError, InputErrors};
use crate::rng::Draws;

/// One component.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LengthsComponent {
    /// What the tables call its requests.
    pub class: String,
    /// Share of the requests, by weight; drawn by request.
    pub share: f64,
    /// How long they are.
    pub lengths: LengthsSpec,
}

/// Components ready to draw from.
#[derive(Clone, Debug)]
pub(super) struct Components {
    cumulative: Vec<f64>,
    parts: Vec<(String, Lengths)>,
}

impl Components {
    /// Checks and builds every law.
    pub fn build(specs: &[LengthsComponent], beside: Beside<'_>) -> Result<Components, InputErrors> {
        let wrong = |message: String, help: &str| {
            Err(InputError::named("workload.lengths.components", message, help).into())
        };
        if specs.is_empty() {
            let help = "write `[{ class = \"chat\", share = 0.99, lengths = { … } }, …]`";
            return wrong("`components` is an empty list".to_owned(), help);
        }
        let mut components = Components { cumulative: Vec::new(), parts: Vec::new() };
        let mut sum = 0.0;
        for (i, spec) in specs.iter().enumerate() {
            if !(spec.share.is_finite() && spec.share > 0.0) {
                let message =
                    format!("`components`: the share {} of `{}` is not above 0", spec.share, spec.class);
                return wrong(message, "write a positive weight, such as `share = 0.01`");
            }
            if spec.class.is_empty() || specs[..i].iter().any(|s| s.class == spec.class) {
                let message = format!("`components`: `{}` does not name one class", spec.class);
                return wrong(message, "give each component a class of its own");
            }
            if matches!(spec.lengths, LengthsSpec::Components(_)) {
                let message = format!("`components`: `{}` is itself a list of components", spec.class);
                return wrong(message, "list its components here, with the product of the shares");
            }
            sum += spec.share;
            components.cumulative.push(sum);
            components.parts.push((spec.class.clone(), spec.lengths.build(beside)?));
        }
        Ok(components)
    }

    /// Names of the classes, in the order of `draw`'s numbers.
    pub fn classes(&self) -> Vec<String> {
        self.parts.iter().map(|(class, _)| class.clone()).collect()
    }

    /// Which component, and (prompt, output).
    pub fn draw(&self, draws: &mut Draws) -> (u16, (u32, u32)) {
        let part = draws.pick(&self.cumulative);
        (u16::try_from(part).unwrap_or(u16::MAX), self.parts[part].1.draw(draws))
    }
}
