//! docs/popfetch.schema.json, to which every line of `--json` that any test sees is held.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// The schema itself.
pub static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../docs/popfetch.schema.json")).unwrap());

/// The names of the types of lines, in the order of the schema.
pub fn types() -> Vec<String> {
    let references = SCHEMA["oneOf"].as_array().unwrap().iter();
    references.map(|one| one["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

/// The names of the objects that stand in fields of others, in alphabetical order.
pub fn parts() -> Vec<String> {
    let definitions = SCHEMA["$defs"].as_object().unwrap().iter();
    let objects = definitions.filter(|(_, definition)| definition["type"] == "object");
    objects.map(|(name, _)| name.clone()).filter(|name| !types().contains(name)).collect()
}

/// The definition of each type, compiled.
static TYPES: LazyLock<(Schemas, BTreeMap<String, SchemaIndex>)> = LazyLock::new(|| {
    const NAME: &str = "file:///popfetch.schema.json";
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(NAME, SCHEMA.clone()).unwrap();
    let compiled = types().into_iter().map(|name| {
        let place = format!("{NAME}#/$defs/{name}");
        let index = compiler.compile(&place, &mut schemas).unwrap_or_else(|e| panic!("{place}: {e:#}"));
        (name, index)
    });
    let compiled = compiled.collect();
    (schemas, compiled)
});

/// What is wrong with a line of `--json`.
pub fn fault(line: &str) -> Option<String> {
    let object: Value = match serde_json::from_str(line) {
        Ok(object) => object,
        Err(e) => return Some(format!("this is not JSON ({e}): {line}")),
    };
    let (schemas, types) = &*TYPES;
    let Some(index) = object["type"].as_str().and_then(|name| types.get(name)) else {
        return Some(format!("docs/popfetch.schema.json has no type {}: add it there", object["type"]));
    };
    let fault = schemas.validate(&object, *index).err()?;
    Some(format!("this is not what docs/popfetch.schema.json describes: {fault:#}\n{line}"))
}

/// Asserts that each line of what `--json` printed is an object of the schema.  A last line without its end is left
/// out: the run was killed.
#[track_caller]
pub fn check(output: &[u8]) {
    for line in
        String::from_utf8_lossy(output).split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
    {
        if let Some(fault) = fault(line) {
            panic!("{fault}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SCHEMA, Value, check, fault, types};

    const LINE: &str = r#"{"v":1,"account":"me","type":"too-large","number":3,"octets":5000}"#;

    #[test]
    fn lines_that_are_not_described_are_found() {
        assert_eq!(fault(LINE), None);
        for (from, to, text) in [
            ("5000", "-1", "minimum"),
            ("5000", "\"5000\"", "want integer"),
            (",\"octets\":5000", "", "missing properties 'octets'"),
            ("5000", "5000,\"more\":1", "additionalProperties 'more' not allowed"),
            ("\"v\":1", "\"v\":2", "'/v'"),
            ("too-large", "too-small", "has no type \"too-small\": add it there"),
            ("}", "", "not JSON"),
        ] {
            let found = fault(&LINE.replace(from, to)).unwrap_or_default();
            assert!(found.contains(text), "{text}: {found}");
        }
        check(format!("{LINE}\n{LINE}\n{{\"v\":").as_bytes());
    }

    #[test]
    #[should_panic(expected = "not JSON")]
    fn a_line_of_prose_is_no_object() {
        check(format!("{LINE}\nhome: nothing new\n").as_bytes());
    }

    /// Each object of the schema has exactly the fields that it requires, each with a description; so no field can be
    /// left out, and the manual has them all.
    #[test]
    fn the_schema_leaves_nothing_open() {
        let definitions = SCHEMA["$defs"].as_object().unwrap();
        for (name, definition) in definitions.iter().filter(|(_, definition)| definition["type"] == "object")
        {
            let fields: Vec<&String> = definition["properties"].as_object().unwrap().keys().collect();
            let mut required: Vec<&str> =
                definition["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            required.sort_unstable();
            assert_eq!(fields, required, "{name}: the fields on the left, those required on the right");
            assert_eq!(definition["additionalProperties"], false, "{name}");
            assert!(definition["description"].is_string(), "{name} has no description");
            for (field, value) in definition["properties"].as_object().unwrap() {
                let is_common = ["v", "account", "type"].contains(&field.as_str());
                assert!(is_common || value["description"].is_string(), "{name}.{field} has no description");
                let is_inline = value["type"] == "object" || value["items"]["type"] == "object";
                assert!(!is_inline, "{name}.{field}: an object has a definition of its own");
            }
            if types().contains(name) {
                assert_eq!(definition["properties"]["type"]["const"], name.as_str());
                assert!(
                    fields.iter().any(|field| *field == "v") && definition["properties"]["v"]["const"] == 1
                );
            }
        }
        for name in types() {
            assert!(definitions.contains_key(&name), "{name}");
        }
    }
}
