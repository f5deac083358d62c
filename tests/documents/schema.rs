//! The two contract documents, and whether a JSON value is what a schema in them says.
//!
//! The checker knows the few keywords that the documents use and refuses every other: a keyword
//! that it passed over would be a rule that nobody holds. It is stricter than a client must be: a
//! field that no schema names is a mistake here, because then the document lacks it.

use std::collections::BTreeSet;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

use super::prose::read;

/// Keywords that say nothing about a value's shape, or what the types of the code check better.
const ANNOTATIONS: [&str; 9] = [
    "default",
    "description",
    "examples",
    "format",
    "maxLength",
    "maximum",
    "minLength",
    "pattern",
    "title",
];

/// Both documents.
pub(crate) struct Documents {
    openapi: Value,
    asyncapi: Value,
}

/// A schema: in which document, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    document: &'static str,
    pointer: String,
}

/// What a schema had to say about a value.
#[derive(Default)]
struct Said {
    /// Fields it named; `None`: any.
    fields: Option<BTreeSet<String>>,
    /// The properties of schemas that were there.
    visited: BTreeSet<Place>,
}

impl Place {
    /// Whether it is the field of that name.
    pub(crate) fn ends_with(&self, field: &str) -> bool {
        self.pointer.ends_with(&format!("/properties/{field}"))
    }

    fn at(&self, step: &str) -> Self {
        let step = step.replace('~', "~0").replace('/', "~1");
        Self { document: self.document, pointer: format!("{}/{step}", self.pointer) }
    }
}

impl Documents {
    /// Reads both.
    pub(crate) fn read() -> Self {
        Self {
            openapi: yaml(&read("docs/openapi.yaml")),
            asyncapi: yaml(&read("docs/asyncapi.yaml")),
        }
    }

    /// A document.
    pub(crate) fn document(&self, name: &str) -> &Value {
        match name {
            "openapi.yaml" => &self.openapi,
            "asyncapi.yaml" => &self.asyncapi,
            other => panic!("there is no {other}"),
        }
    }

    /// The schema of that name, the frames' before the others.
    pub(crate) fn schema(&self, name: &str) -> Place {
        let pointer = format!("/components/schemas/{name}");
        ["asyncapi.yaml", "openapi.yaml"]
            .into_iter()
            .map(|document| Place { document, pointer: pointer.clone() })
            .find(|place| self.document(place.document).pointer(&place.pointer).is_some())
            .unwrap_or_else(|| panic!("no document has a schema {name}"))
    }

    /// The names and schemas of a document.
    pub(crate) fn schemas(&self, document: &'static str) -> Vec<(String, Place)> {
        let schemas = self.document(document)["components"]["schemas"].as_object().unwrap();
        let place =
            |name: &String| Place { document, pointer: format!("/components/schemas/{name}") };
        schemas.keys().map(|name| (name.clone(), place(name))).collect()
    }

    /// The value at a place.
    pub(crate) fn get(&self, place: &Place) -> &Value {
        self.document(place.document)
            .pointer(&place.pointer)
            .unwrap_or_else(|| panic!("nothing at {place:?}"))
    }

    /// Checks a value, down to the last field; gives the properties of schemas that it has.
    pub(crate) fn check(&self, place: &Place, value: &Value) -> Result<BTreeSet<Place>, String> {
        let Said { fields, visited } = self.look(place, value)?;
        if let (Some(named), Some(object)) = (fields, value.as_object())
            && let Some(unknown) = object.keys().find(|field| !named.contains(*field))
        {
            return Err(format!("{} does not name the field {unknown:?}", place.pointer));
        }
        Ok(visited)
    }

    fn look(&self, place: &Place, value: &Value) -> Result<Said, String> {
        let schema = self.get(place).as_object().unwrap();
        let wrong = |what: &str| Err(format!("{}: {value} is not {what}", place.pointer));
        let mut said = Said { fields: Some(BTreeSet::new()), ..Said::default() };
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$ref" => said.add(self.look(&self.target(place, rule), value)?),
                "type" if !is_of_type(value, rule.as_str().unwrap()) => {
                    return wrong(&format!("of type {rule}"));
                }
                "const" if value != rule => return wrong(&rule.to_string()),
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    return wrong(&format!("one of {rule}"));
                }
                "minimum" if value.as_f64() < rule.as_f64() => return wrong("large enough"),
                "required" => {
                    for field in rule.as_array().unwrap() {
                        if value.get(field.as_str().unwrap()).is_none() {
                            return wrong(&format!("complete: {field} is missing"));
                        }
                    }
                }
                "properties" => said.add(self.properties(place, rule, value)?),
                "additionalProperties" => {
                    said.fields = None;
                    self.each(&place.at(keyword), rule, value, &mut said)?;
                }
                "items" => self.each(&place.at(keyword), rule, value, &mut said)?,
                "allOf" => {
                    for index in 0..rule.as_array().unwrap().len() {
                        said.add(self.look(&place.at(keyword).at(&index.to_string()), value)?);
                    }
                }
                "oneOf" => said.add(self.one_of(place, rule, value)?),
                "type" | "const" | "enum" | "minimum" => {}
                other => assert!(ANNOTATIONS.contains(&other), "{place:?}: keyword {other}?"),
            }
        }
        Ok(said)
    }

    fn properties(&self, place: &Place, rule: &Value, value: &Value) -> Result<Said, String> {
        let named = rule.as_object().unwrap();
        let mut said = Said { fields: Some(named.keys().cloned().collect()), ..Said::default() };
        for name in named.keys() {
            if let Some(field) = value.get(name) {
                let property = place.at("properties").at(name);
                said.visited.extend(self.check(&property, field)?);
                said.visited.insert(property);
            }
        }
        Ok(said)
    }

    fn each(
        &self,
        place: &Place,
        rule: &Value,
        value: &Value,
        said: &mut Said,
    ) -> Result<(), String> {
        if rule.is_object() {
            let values: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            };
            for value in values {
                said.visited.extend(self.check(place, value)?);
            }
        }
        Ok(())
    }

    fn one_of(&self, place: &Place, rule: &Value, value: &Value) -> Result<Said, String> {
        let branches = (0..rule.as_array().unwrap().len())
            .map(|index| self.look(&place.at("oneOf").at(&index.to_string()), value));
        let (fits, misfits): (Vec<_>, Vec<_>) = branches.partition(Result::is_ok);
        if fits.len() != 1 {
            let why: Vec<String> = misfits.into_iter().filter_map(Result::err).collect();
            return Err(format!("{} fits {} times: {why:?}", place.pointer, fits.len()));
        }
        fits.into_iter().next().unwrap()
    }

    fn target(&self, from: &Place, reference: &Value) -> Place {
        let text = reference.as_str().unwrap();
        let (file, pointer) = text.split_once('#').unwrap();
        let document = match file {
            "" => from.document,
            "./openapi.yaml" => "openapi.yaml",
            other => panic!("{from:?} refers to {other}"),
        };
        Place { document, pointer: pointer.to_owned() }
    }

    /// Every property of every schema below a place.
    pub(crate) fn properties_of(&self, place: &Place) -> Vec<Place> {
        fn walk(place: &Place, value: &Value, found: &mut Vec<Place>) {
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields.iter().filter(|(name, _)| *name != "examples") {
                        if name == "properties" {
                            let names = value.as_object().unwrap().keys();
                            found.extend(names.map(|field| place.at(name).at(field)));
                        }
                        walk(&place.at(name), value, found);
                    }
                }
                Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        walk(&place.at(&index.to_string()), item, found);
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        walk(place, self.get(place), &mut found);
        found
    }

    /// Every `$ref` of a document, and whether it leads somewhere.
    pub(crate) fn dangling(&self, document: &'static str) -> Vec<String> {
        fn walk<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref"));
                    fields.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let mut references = Vec::new();
        walk(self.document(document), &mut references);
        assert!(!references.is_empty());
        let from = Place { document, pointer: String::new() };
        let leads_nowhere = |reference: &&&Value| {
            let target = self.target(&from, reference);
            self.document(target.document).pointer(&target.pointer).is_none()
        };
        references.iter().filter(leads_nowhere).map(|reference| reference.to_string()).collect()
    }
}

impl Said {
    fn add(&mut self, other: Self) {
        self.fields = match (self.fields.take(), other.fields) {
            (Some(mut fields), Some(more)) => {
                fields.extend(more);
                Some(fields)
            }
            (None, _) | (_, None) => None,
        };
        self.visited.extend(other.visited);
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no such type: {other}"),
    }
}

fn yaml(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    json(&documents[0])
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect()),
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml<'_>, &Yaml<'_>)| match json(name) {
                Value::String(name) => (name, json(value)),
                other => panic!("{other} is a key: quote it"),
            };
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        other => panic!("not JSON: {other:?}"),
    }
}
