//! Recipes: generated workloads by name, each one TOML file in `workloads/`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::ArrivalsSpec;
use super::lengths::LengthsSpec;
use super::prepare::Beside;
use super::report::hash_text;
use super::sessions::SessionsSpec;
use super::synthetic::Synthetic;
use super::twin::TwinSpec;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, from_toml};

/// A recipe file: either a twin, or arrivals and lengths.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recipe {
    /// One line for `list workloads`.
    pub title: String,
    /// Where the numbers come from.
    pub source: String,
    /// A synthetic twin of a published trace.
    pub twin: Option<TwinSpec>,
    /// When requests arrive, for a recipe without a twin.
    pub arrivals: Option<ArrivalsSpec>,
    /// How long they are, for a recipe without a twin.
    pub lengths: Option<LengthsSpec>,
    /// Each arrival starts a session, for a recipe without a twin.
    pub sessions: Option<SessionsSpec>,
}

/// What a recipe generates.
#[derive(Clone, Debug)]
pub(super) enum RecipeLaw {
    Twin(TwinSpec),
    Synthetic(Synthetic),
}

impl Recipe {
    /// Reads the recipe called `name`: beside the scenario, in its ancestors, then embedded. Also gives its content hash.
    pub fn find(name: &str, beside: Option<&Path>) -> Result<(Recipe, String), InputError> {
        let source = catalog::find(Shelf::Recipes, name, beside)?;
        let hash = hash_text(source.text.as_bytes());
        Ok((from_toml(&source)?, hash))
    }

    /// The law, checked; places in errors start with the recipe's name.
    pub(super) fn law(self, name: &str, beside: Beside<'_>) -> Result<RecipeLaw, InputErrors> {
        let law = match (self.twin, self.arrivals, self.lengths, self.sessions) {
            (Some(twin), None, None, None) => twin.check().map(|()| RecipeLaw::Twin(twin)),
            (None, Some(arrivals), Some(lengths), sessions) => {
                Synthetic::open(Some(&arrivals), &lengths, sessions.as_ref(), beside)
                    .map(RecipeLaw::Synthetic)
            }
            _ => {
                let message = "needs either `twin`, or `arrivals` and `lengths`";
                Err(InputError::named("file", message, "correct the recipe file").into())
            }
        };
        law.map_err(|mut errors| {
            for place in errors.0.iter_mut().filter_map(|e| e.place.as_mut()) {
                *place = format!("recipe `{name}`, {}", place.trim_start_matches("workload."));
            }
            errors
        })
    }
}
