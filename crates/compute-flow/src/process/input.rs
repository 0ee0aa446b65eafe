//! What a compute receives: the document, or what is selected of it, with where it is. The document is shared
//! among the rules of a scope; where it is, is written into it as it is sent.

use std::io::{self, Write};
use std::sync::Arc;

use compute::Charge;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};
use txcl::{Budget, Stop, TXC};

/// Where an op is, as it is told.
#[derive(Clone, Debug)]
struct Stamp {
    op: Value,
    step: Value,
}

/// What a compute receives. Serialised, it has the stamp in `_txc.op` and `_txc.step`.
#[derive(Clone, Debug)]
pub(super) struct Input {
    value: Arc<Value>,
    stamp: Stamp,
    /// Whether it has nothing that is otherwise in each document: neither `_ts` nor more below `_txc` than the stamp.
    bare: bool,
}

impl Input {
    pub(super) fn new(value: Arc<Value>, op: String, step: u32) -> Self {
        Self { value, stamp: Stamp { op: op.into(), step: step.into() }, bare: false }
    }

    /// The same, without what is otherwise in each document.
    pub(super) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    /// The value without the stamp.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// What a compute received below `_txc` under this key.
    pub(super) fn received(&self, key: &str) -> Option<&Value> {
        match key {
            "op" => Some(&self.stamp.op),
            "step" => Some(&self.stamp.step),
            _ if self.bare => None,
            key => self.value.get(TXC)?.get(key),
        }
    }

    /// As JSON, which is charged while it is written.
    pub(super) fn to_json(&self, charge: &mut Charge, budget: &Budget) -> Result<Vec<u8>, Stop> {
        let mut writer = Charged { bytes: Vec::new(), charge, budget, stop: None };
        match (serde_json::to_writer(&mut writer, self), writer.stop) {
            (_, Some(stop)) => Err(stop),
            // A value is always JSON.
            _ => Ok(writer.bytes),
        }
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(document) = &*self.value else { return self.value.serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        let empty = Map::new();
        for (key, value) in document {
            if self.bare && key == "_ts" {
                continue;
            }
            if key == TXC {
                let below = value.as_object().filter(|_| !self.bare).unwrap_or(&empty);
                map.serialize_entry(key, &Stamped { below, stamp: &self.stamp })?;
            } else {
                map.serialize_entry(key, value)?;
            }
        }
        if !document.contains_key(TXC) {
            map.serialize_entry(TXC, &Stamped { below: &empty, stamp: &self.stamp })?;
        }
        map.end()
    }
}

/// What is below `_txc`, with the stamp where it has one already, or else at its end.
struct Stamped<'a> {
    below: &'a Map<String, Value>,
    stamp: &'a Stamp,
}

impl Serialize for Stamped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stamps = [("op", &self.stamp.op), ("step", &self.stamp.step)];
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.below {
            let stamp = stamps.iter().find(|(name, _)| name == key);
            map.serialize_entry(key, stamp.map_or(value, |(_, stamp)| stamp))?;
        }
        for (name, stamp) in stamps {
            if !self.below.contains_key(name) {
                map.serialize_entry(name, stamp)?;
            }
        }
        map.end()
    }
}

/// Bytes that are charged as they grow.
struct Charged<'a> {
    bytes: Vec<u8>,
    charge: &'a mut Charge,
    budget: &'a Budget,
    stop: Option<Stop>,
}

impl Charged<'_> {
    fn reserve(&mut self, more: usize) -> Result<(), Stop> {
        let grow = more.max(self.bytes.capacity()).max(256);
        self.budget.check()?;
        self.charge.grow(grow)?;
        self.bytes.reserve_exact(grow);
        Ok(())
    }
}

impl Write for Charged<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.capacity() - self.bytes.len() < part.len()
            && let Err(stop) = self.reserve(part.len())
        {
            self.stop = Some(stop);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use compute::Account;
    use serde_json::{Map, Value, json};
    use txcl::{Budget, TXC};

    use super::Input;

    /// The document, copied and stamped.
    fn stamped(mut document: Value) -> Value {
        let map = document.as_object_mut().unwrap();
        let txc = map.entry(TXC).or_insert_with(|| Value::Object(Map::new()));
        if !txc.is_object() {
            *txc = json!({});
        }
        txc["op"] = json!("s/a");
        txc["step"] = json!(100);
        document
    }

    #[test]
    fn what_is_sent_has_its_keys_in_the_order_of_a_copy() {
        let documents = [
            json!({}),
            json!({"z": [1, {"y": null}], "a": "x"}),
            json!({"b": 1, "_txc": {}, "a": 2}),
            json!({"b": 1, "_txc": 7, "a": 2}),
            json!({"_txc": {"z": 1, "step": "old", "web": {"res": {}}}, "a": 2}),
            json!({"_txc": {"op": {"x": 1}, "a": 1, "step": null}, "_ts": 2}),
        ];
        for document in documents {
            let input = Input::new(Arc::new(document.clone()), "s/a".into(), 100);
            let account = Account::unlimited();
            let budget = Budget::new(&account, None, None);
            let json = input.to_json(&mut account.empty(), &budget).unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), stamped(document).to_string());
        }
    }

    #[test]
    fn what_is_sent_is_charged_while_it_is_written() {
        let account = Account::new("a small account", 50_000);
        let budget = Budget::new(&account, None, None);
        let input = Input::new(Arc::new(json!({"a": "x".repeat(60_000)})), "s/a".into(), 100);
        assert!(input.to_json(&mut account.empty(), &budget).is_err());
        assert_eq!(account.used(), 0);
    }
}
