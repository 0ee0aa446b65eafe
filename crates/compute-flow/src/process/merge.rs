//! How an answer becomes a part of the document.

use serde_json::Value;

/// Merges a value into another: objects deeply, lists appended, scalars replaced; where the types differ, the
/// new value stands. The same at every depth.
///
/// ```
/// use serde_json::json;
///
/// let mut document = json!({"a": {"b": 1}, "list": [1], "c": "x"});
/// compute_flow::merge(&mut document, json!({"a": {"d": 2}, "list": [2], "c": {"e": 3}}));
/// assert_eq!(document, json!({"a": {"b": 1, "d": 2}, "list": [1, 2], "c": {"e": 3}}));
/// ```
pub fn merge(into: &mut Value, new: Value) {
    match (into, new) {
        (Value::Object(into), Value::Object(new)) => {
            for (key, value) in new {
                match into.get_mut(&key) {
                    Some(old) => merge(old, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(mut new)) => into.append(&mut new),
        (into, new) => *into = new,
    }
}
