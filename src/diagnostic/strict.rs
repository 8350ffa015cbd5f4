//! Trees into strict types, with all problems of a tree found in one go.
//!
//! serde stops at the first problem. Here the offending entry is taken out and the rest is read again, so that the
//! user sees every wrong line of a file at once.

use std::fmt;
use std::ops::Range;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::explain::humanise;
use super::tree::{Node, Value};
use super::{InputErrors, Sources};

/// Problems reported for one tree at most; beyond that more of them only hide the first.
const PROBLEMS_MAX: usize = 24;

/// Reads a tree into `T` and reports all problems of it. `path` is where the tree stands, for messages ("" for a file).
pub fn from_tree<T: DeserializeOwned>(node: &Node, path: &str, sources: &Sources) -> Result<T, InputErrors> {
    let mut rest = node.clone();
    let mut errors = InputErrors::default();
    loop {
        let error = match T::deserialize(&rest) {
            Ok(value) => return errors.or(value),
            Err(error) => error,
        };
        let span = error.span.unwrap_or(node.span.clone());
        let removed = rest.remove_at(&span);
        // A key that is missing only because its wrong value was taken out is no problem of its own.
        let hollow = is_missing_field(&error.message) || error.message.ends_with("found 0");
        let echo = hollow && !errors.0.is_empty();
        if !echo {
            let full = match (&removed, path) {
                (Some(inner), "") => inner.clone(),
                (Some(inner), _) => format!("{path}.{inner}"),
                (None, _) => path.to_owned(),
            };
            let (message, help) = humanise(&error.message, &full);
            errors.0.push(sources.error(span, message, help));
        }
        if removed.is_none() || errors.0.len() >= PROBLEMS_MAX {
            return Err(errors);
        }
    }
}

/// Whether serde's message says that a required key is not there.
pub fn is_missing_field(message: &str) -> bool {
    message.contains("missing field")
}

/// What serde found wrong, and where (nameable because it is the error type of a public impl).
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    span: Option<Range<usize>>,
}

impl Problem {
    fn or_at(mut self, span: &Range<usize>) -> Problem {
        self.span.get_or_insert_with(|| span.clone());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Problem { message: message.to_string(), span: None }
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.value {
            Value::String(s) => visitor.visit_str(s),
            Value::Integer(i) => visitor.visit_i64(*i),
            Value::Float(x) => visitor.visit_f64(*x),
            Value::Boolean(b) => visitor.visit_bool(*b),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { iter: entries.iter(), value: None }),
        }
        .map_err(|e| e.or_at(&self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        // The protocol of `toml::Spanned`: a struct of start, end and value.
        match (name, fields) {
            ("$__serde_spanned_private_Spanned", [start, end, value]) => {
                visitor.visit_map(Placed { node: self, keys: [start, end, value], at: 0 })
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match &self.value {
            Value::String(_) => {
                visitor.visit_enum(Tagged { tag: self.as_str().unwrap_or(""), at: &self.span, node: None })
            }
            Value::Table(entries) => match entries.first_key_value() {
                Some((tag, (at, node))) if entries.len() == 1 => {
                    visitor.visit_enum(Tagged { tag, at, node: Some(node) })
                }
                _ => Err(de::Error::custom(format!(
                    "takes exactly one of `{}`, found {}",
                    variants.join("`, `"),
                    entries.len()
                ))),
            },
            _ => Err(de::Error::custom(format!("invalid type, expected one of `{}`", variants.join("`, `")))),
        }
        .map_err(|e: Problem| e.or_at(&self.span))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Problem> for &'de Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }
}

struct Entries<'de> {
    iter: std::collections::btree_map::Iter<'de, String, (Range<usize>, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((key, (span, node))) = self.iter.next() else { return Ok(None) };
        self.value = Some(node);
        let key: StringDeserializer<Problem> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|e| e.or_at(span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let node = self.value.take().ok_or_else(|| de::Error::custom("value asked for before its key"))?;
        seed.deserialize(node).map_err(|e| e.or_at(&node.span))
    }
}

struct Placed<'de> {
    node: &'de Node,
    keys: [&'static str; 3],
    at: usize,
}

impl<'de> MapAccess<'de> for Placed<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some(key) = self.keys.get(self.at) else { return Ok(None) };
        self.at += 1;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        match self.at {
            1 => seed.deserialize(self.node.span.start.into_deserializer()),
            2 => seed.deserialize(self.node.span.end.into_deserializer()),
            _ => seed.deserialize(self.node),
        }
    }
}

struct Tagged<'de> {
    tag: &'de str,
    at: &'de Range<usize>,
    node: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        let tag: BorrowedStrDeserializer<'de, Problem> = BorrowedStrDeserializer::new(self.tag);
        let value = seed.deserialize(tag).map_err(|e| e.or_at(self.at))?;
        Ok((value, self))
    }
}

impl<'de> Tagged<'de> {
    fn inner(self) -> Result<&'de Node, Problem> {
        let tag = self.tag;
        self.node.ok_or_else(|| Problem {
            message: format!("`{tag}` takes parameters; write for example `{{ {tag} = {{}} }}`"),
            span: Some(self.at.clone()),
        })
    }
}

impl<'de> VariantAccess<'de> for Tagged<'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        match self.node {
            None => Ok(()),
            Some(node) => Err(Problem {
                message: format!("`{}` takes no parameters", self.tag),
                span: Some(node.span.clone()),
            }),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        let node = self.inner()?;
        seed.deserialize(node).map_err(|e| e.or_at(&node.span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Problem> {
        de::Deserializer::deserialize_any(self.inner()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        de::Deserializer::deserialize_any(self.inner()?, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{InputError, Source};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Sample {
        count: u32,
        ratio: f64,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Inner {
        Paged(Paged),
        None,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Paged {
        block: toml::Spanned<u32>,
    }

    fn read(text: &str) -> Result<Sample, Vec<Option<(usize, usize)>>> {
        let mut sources = Sources::default();
        // A text before, so that global offsets differ from local ones.
        sources.parse(&Source::new("other.toml", "a = 1\n"), "other").unwrap();
        let node = sources.parse(&Source::new("x.toml", text), "scenario").unwrap();
        from_tree(&node, "", &sources)
            .map_err(|e: InputErrors| e.0.iter().map(InputError::line_column).collect())
    }

    #[test]
    fn reads_what_toml_reads() {
        let sample = read("count = 3\nratio = 1\ninner.paged.block = 16\n").unwrap();
        assert_eq!((sample.count, sample.ratio), (3, 1.0));
        assert!(
            matches!(sample.inner, Some(Inner::Paged(p)) if *p.block.get_ref() == 16 && p.block.span().len() == 2)
        );
        assert!(matches!(
            read("count = 3\nratio = 0.5\ninner = \"none\"\n").unwrap().inner,
            Some(Inner::None)
        ));
    }

    #[test]
    fn all_problems_are_found_at_once_with_their_places() {
        let problems =
            read("count = \"3\"\nratoi = 1\ninner.paged = { block = -1, blok = 2 }\n").unwrap_err();
        assert_eq!(problems, [Some((1, 9)), Some((3, 25)), Some((3, 29)), Some((2, 1))]);
    }
}
