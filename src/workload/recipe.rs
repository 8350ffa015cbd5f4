//! Recipes: generated workloads by name, each one TOML file in `workloads/`.

use serde::Deserialize;

use super::arrivals::ArrivalsSpec;
use super::lengths::LengthsSpec;
use super::report::hash_text;
use super::twin::TwinSpec;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, from_toml};
use std::path::Path;

/// A recipe file: either a twin, or arrivals and lengths.
#[derive(Clone, Debug, Deserialize)]
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
}

/// What a recipe generates.
#[derive(Clone, Debug)]
pub(super) enum RecipeLaw {
    Twin(TwinSpec),
    Renewal(ArrivalsSpec, LengthsSpec),
}

impl Recipe {
    /// Reads the recipe called `name`: beside the scenario, in its ancestors, then embedded. Also gives its content hash.
    pub fn find(name: &str, beside: Option<&Path>) -> Result<(Recipe, String), InputError> {
        let source = catalog::find(Shelf::Recipes, name, beside)?;
        let hash = hash_text(source.text.as_bytes());
        Ok((from_toml(&source)?, hash))
    }

    pub(super) fn law(self, name: &str) -> Result<RecipeLaw, InputError> {
        match (self.twin, self.arrivals, self.lengths) {
            (Some(twin), None, None) => Ok(RecipeLaw::Twin(twin)),
            (None, Some(arrivals), Some(lengths)) => Ok(RecipeLaw::Renewal(arrivals, lengths)),
            _ => Err(InputError::named(
                format!("recipe `{name}`"),
                "needs either `twin`, or `arrivals` and `lengths`",
                "correct the recipe file",
            )),
        }
    }
}
