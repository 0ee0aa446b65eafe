//! Paths as functions take them: in a text, with `#` for all of a list and `*` for any key.

use serde_json::Value;

use crate::Path;
use crate::context::Context;

/// What a value holds at a path such as `a.b.0`; `#` is the length of a list, `#.name` the names of all its items,
/// `*` in a key stands for any characters and `?` for one, `\` for what follows itself.
///
/// # Errors
/// A path that asks for what there isn't here: a query or a modifier; or why there is no time or memory.
pub(super) fn get(
    value: &Value,
    path: &str,
    context: &mut Context,
) -> Result<Option<Value>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    if path.starts_with(['@', '!', '{', '[']) || path.contains("#(") || path.contains('|') {
        return Err(format!(
            "`{}` is more than a path: use a compute",
            path.chars().take(40).collect::<String>()
        ));
    }
    let parts = parts(path);
    walk(value, &parts, context)
}

/// Where `set` writes: a path without `#`, `*` and `?`.
pub(super) fn place(path: &str) -> Result<Path, String> {
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let parts = parts(path);
    if parts.iter().any(|part| part.any || part.text == "#") {
        return Err("the path of `set` has no `*`, `?` and `#`".to_owned());
    }
    let most = Path::MAX_SEGMENTS;
    Path::new(parts.into_iter().map(|part| part.text).collect())
        .ok_or_else(|| format!("a path has at most {most} parts"))
}

/// A part of a path.
struct Part {
    /// What it is, without what makes characters stand for themselves; a pattern still has that.
    text: String,
    /// Whether it is a pattern.
    any: bool,
}

fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut text, mut pattern, mut any, mut itself) = (String::new(), String::new(), false, false);
    for char in path.chars() {
        match char {
            _ if itself => {
                text.push(char);
                pattern.extend(['\\', char]);
                itself = false;
            }
            '\\' => itself = true,
            '.' => {
                let (text, pattern) = (std::mem::take(&mut text), std::mem::take(&mut pattern));
                parts.push(Part { text: if any { pattern } else { text }, any });
                any = false;
            }
            _ => {
                any |= matches!(char, '*' | '?');
                text.push(char);
                pattern.push(char);
            }
        }
    }
    parts.push(Part { text: if any { pattern } else { text }, any });
    parts
}

fn walk(value: &Value, parts: &[Part], context: &mut Context) -> Result<Option<Value>, String> {
    let mut value = value;
    let mut rest = parts;
    while let [part, after @ ..] = rest {
        context.step(0)?;
        value = match value {
            Value::Array(items) if part.text == "#" => {
                if after.is_empty() {
                    return Ok(Some(items.len().into()));
                }
                let mut found = Vec::new();
                for item in items {
                    found.extend(walk(item, after, context)?);
                }
                context.charge(size_of_val(&*found))?;
                return Ok(Some(found.into()));
            }
            Value::Array(items) => {
                let digits = part.text.bytes().all(|byte| byte.is_ascii_digit());
                let index = digits.then(|| part.text.parse::<usize>().ok()).flatten();
                match index.and_then(|index| items.get(index)) {
                    Some(item) => item,
                    None => return Ok(None),
                }
            }
            Value::Object(map) if part.any => {
                let mut found = None;
                for (key, value) in map {
                    context.step(key.len() * part.text.len())?;
                    if matches(key.as_bytes(), part.text.as_bytes()) {
                        found = Some(value);
                        break;
                    }
                }
                match found {
                    Some(value) => value,
                    None => return Ok(None),
                }
            }
            Value::Object(map) => match map.get(&part.text) {
                Some(value) => value,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        rest = after;
    }
    context.copy(value).map(Some)
}

/// Whether a key is as a pattern says, in time that grows with their lengths' product at most.
fn matches(key: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    // Where to go on from if what follows the last `*` does not fit.
    let mut star = None;
    while at < key.len() {
        let (wanted, width) = match pattern.get(of..) {
            Some([b'\\', char, ..]) => (Some(*char), 2),
            Some([b'*', ..]) => {
                star = Some((of + 1, at));
                of += 1;
                continue;
            }
            Some([b'?', ..]) => {
                // One character, and not one byte.
                at += 1;
                while key.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    at += 1;
                }
                of += 1;
                continue;
            }
            Some([char, ..]) => (Some(*char), 1),
            _ => (None, 0),
        };
        if wanted == Some(key[at]) {
            at += 1;
            of += width;
        } else if let Some((after, from)) = star {
            at = from + 1;
            of = after;
            star = Some((after, at));
        } else {
            return false;
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_they_name() {
        let value =
            json!({"a.b": 1, "y": [{"z": "q"}, {"w": 2}, {"z": null}], "key": {"x": 3}, "*": 4});
        let cases = [
            ("a\\.b", json!(1)),
            ("y.#", json!(3)),
            ("y.#.z", json!(["q", null])),
            ("y.1.w", json!(2)),
            ("k*.?", json!(3)),
            ("k*y.x", json!(3)),
            ("\\*", json!(4)),
        ];
        for (path, expected) in cases {
            let found = get(&value, path, &mut Context::default()).unwrap();
            assert_eq!(found, Some(expected), "{path}");
        }
        for path in ["a.b", "y.3", "y.-1", "y.z", "", "y.", ".y", "k*.y", "key.x.y"] {
            assert_eq!(get(&value, path, &mut Context::default()).unwrap(), None, "{path}");
        }
        for path in ["y.#(z==1)", "@reverse", "y|0"] {
            get(&value, path, &mut Context::default()).unwrap_err();
        }
        let hostile = "a".repeat(5000);
        let value = json!({ hostile: 1 });
        let found = get(&value, &"*a".repeat(2000), &mut Context::default()).unwrap();
        assert_eq!(found, Some(json!(1)));
    }
}
