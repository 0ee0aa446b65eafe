//! The bundler's source map, made into one that is kept.

use rolldown_sourcemap::{SourceMap, SourceMapBuilder};

use crate::error::BuildError;

/// A map in which each statement has a place: the bundler gives places to names and values alone, and a statement that begins
/// with neither is, in code without lines, that of what is before it.
pub(super) fn with_statements(map: &SourceMap, code: &str) -> SourceMap {
    let mut builder = SourceMapBuilder::default();
    for name in map.get_names() {
        builder.add_name(name);
    }
    for (source, content) in map.get_sources().zip(map.get_source_contents()) {
        builder.add_source_and_content(source, content.unwrap_or_default());
    }
    let lines: Vec<Vec<u16>> = code.split('\n').map(|line| line.encode_utf16().collect()).collect();
    let mut before = (0, 0);
    for token in map.get_tokens() {
        let (line, column) = (token.get_dst_line(), token.get_dst_col());
        let from = if before.0 == line { before.1 } else { 0 };
        let (source_line, source_column) = (token.get_src_line(), token.get_src_col());
        let source = token.get_source_id();
        let between =
            lines.get(line as usize).and_then(|units| units.get(from as usize..column as usize));
        let ends = [b';', b'{', b'}'].map(u16::from);
        for start in
            (from + 1..).zip(between.unwrap_or_default()).filter(|(_, unit)| ends.contains(unit))
        {
            if start.0 < column {
                builder.add_token(line, start.0, source_line, source_column, source, None);
            }
        }
        let name = token.get_name_id();
        builder.add_token(line, column, source_line, source_column, source, name);
        before = (line, column);
    }
    builder.into_sourcemap().into_owned()
}

/// Source paths as they are from the project's folder: rolldown gives them from the output's.
pub(super) fn relative_sources(map: &str) -> Result<String, BuildError> {
    let mut map: serde_json::Value = serde_json::from_str(map).map_err(BuildError::host)?;
    if let Some(sources) = map["sources"].as_array_mut() {
        for source in sources {
            if let Some(path) = source.as_str() {
                let path = path.trim_start_matches('\0').trim_start_matches("../");
                *source = path.to_owned().into();
            }
        }
    }
    Ok(map.to_string())
}
