//! What the cost model cannot cost yet, said before anything runs, with the nearest thing that works.

use super::Model;
use crate::catalog::{self, Shelf};

/// Why a model is refused, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmodelled {
    /// What is not modelled.
    pub message: String,
    /// The nearest thing that works.
    pub help: String,
}

impl Model {
    /// What of this model the cost model does not know, where that changes a number. `max_model_len` is the longest
    /// context served: a window that is not shorter changes nothing.
    pub fn unmodelled(&self) -> Option<Unmodelled> {
        if self.latent.is_some() {
            let message = format!(
                "model `{}` has latent attention (MLA), which is not modelled yet: its decode attention is bound by \
                 compute, not by KV bytes",
                self.name
            );
            return Some(Unmodelled { message, help: self.nearest_help() });
        }
        if self.experts.is_some() {
            let message = format!(
                "model `{}` is a mixture of experts, which is not modelled yet: a step reads the experts that its \
                 tokens happen to choose",
                self.name
            );
            return Some(Unmodelled { message, help: self.nearest_help() });
        }
        let window = self.window.filter(|w| w.tokens < self.max_model_len)?;
        let message = format!(
            "model `{}` attends to {} tokens in {} of {} layers, but contexts of {} are served: sliding windows are \
             not modelled yet",
            self.name, window.tokens, window.layers, self.layers, self.max_model_len
        );
        let help = format!(
            "serve contexts of at most {} (`max-model-len`), where a window changes nothing; or {}",
            window.tokens,
            self.nearest_help()
        );
        Some(Unmodelled { message, help })
    }

    /// Which dense models are nearest to what a token computes, and to what the weights take.
    fn nearest_help(&self) -> String {
        let dense: Vec<Model> = catalog::embedded_names(Shelf::Models)
            .into_iter()
            .filter_map(|name| Model::load(name, None).ok())
            .filter(|m| m.experts.is_none() && m.latent.is_none() && m.window.is_none() && m.mlp == self.mlp)
            .collect();
        let nearest = |wanted: u64| {
            let distance = |m: &Model| {
                let (a, b) = (m.parameters() as f64, wanted as f64);
                (a / b).max(b / a)
            };
            // Of equal ones that with the longest context.
            let order = |a: &&Model, b: &&Model| {
                distance(a).total_cmp(&distance(b)).then(b.max_model_len.cmp(&a.max_model_len))
            };
            dense.iter().min_by(order).map_or("none", |m| m.name.as_str())
        };
        let billions = |count: u64| format!("{:.1} B", count as f64 / 1e9);
        let total =
            format!("`{}` by its {} parameters", nearest(self.parameters()), billions(self.parameters()));
        if self.experts.is_none() {
            return format!("use a dense model with full attention: nearest is {total}");
        }
        let active = self.active_parameters();
        format!(
            "use a dense model: nearest is `{}` by the {} that a token uses, {total} in memory",
            nearest(active),
            billions(active)
        )
    }
}
