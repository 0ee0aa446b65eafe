//! QuickJS-NG, built for WebAssembly from the sources that the crate `rquickjs-sys` carries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::{Tools, run};

/// The crate that carries QuickJS-NG's sources, and its version.
const CARRIER: (&str, &str) = ("rquickjs-sys", "0.14.0");

/// The linker's stack, in bytes.
const STACK: u32 = 256 << 10;

/// What is changed in QuickJS-NG: each of it is there once, but for the last.
const CHANGES: [(&str, &str); 17] = [
    // Who includes it may say where references are counted.
    (
        "#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n",
        "#ifndef JS_REF_COUNT\n#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n#endif\n",
    ),
    // A call is where its function is named, also once its arguments were worked out.
    (
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n    int named_line = s->token.line_num, named_col = s->token.col_num;\n    int call_line = named_line, call_col = named_col;\n",
    ),
    (
        "            emit_source_loc(s);\n            if (js_parse_postfix_expr(s, 0))\n",
        "            emit_source_loc(s);\n            call_line = s->token.line_num;\n            call_col = s->token.col_num;\n            if (js_parse_postfix_expr(s, 0))\n",
    ),
    (
        "                emit_source_loc(s);\n                switch(opcode = get_prev_opcode(fd)) {\n",
        "                call_line = named_line;\n                call_col = named_col;\n                switch(opcode = get_prev_opcode(fd)) {\n",
    ),
    (
        "                /* apply function call */\n                switch(opcode) {\n",
        "                /* apply function call */\n                emit_source_loc_at(s, call_line, call_col);\n                switch(opcode) {\n",
    ),
    (
        "            emit_func_call:\n                switch(opcode) {\n",
        "            emit_func_call:\n                emit_source_loc_at(s, call_line, call_col);\n                switch(opcode) {\n",
    ),
    // What is read of nothing is where it is named.
    (
        "                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n                }\n            }\n",
        "                    named_line = s->token.line_num;\n                    named_col = s->token.col_num;\n                    emit_source_loc(s);\n                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n                }\n            }\n",
    ),
    (
        "            if (js_parse_expr(s))\n                return -1;\n            if (js_parse_expect(s, ']'))\n                return -1;\n            if (prev_op == OP_get_super) {\n",
        "            named_line = s->token.line_num;\n            named_col = s->token.col_num;\n            if (js_parse_expr(s))\n                return -1;\n            if (js_parse_expect(s, ']'))\n                return -1;\n            emit_source_loc_at(s, named_line, named_col);\n            if (prev_op == OP_get_super) {\n",
    ),
    // What a statement does that has no place of its own is where it begins.
    (
        "    switch(tok = s->token.val) {\n    case '{':\n        if (js_parse_block(s))\n",
        "    emit_source_loc(s);\n    switch(tok = s->token.val) {\n    case '{':\n        if (js_parse_block(s))\n",
    ),
    // A promise in a handler's result is a mistake: elsewhere it is written as `{}`, as it is everywhere.
    (
        "} JSONStringifyContext;\n",
        "} JSONStringifyContext;\n\nstatic bool is_result, has_promise;\n",
    ),
    (
        "        if (cl == JS_CLASS_STRING) {\n            val = JS_ToStringFree(ctx, val);\n            if (JS_IsException(val))\n                goto exception;\n            goto concat_primitive;\n        } else if (cl == JS_CLASS_NUMBER) {",
        "        if (cl == JS_CLASS_PROMISE && is_result) {\n            has_promise = true;\n            JS_ThrowTypeError(ctx, \"a promise\");\n            goto exception;\n        } else if (cl == JS_CLASS_STRING) {\n            val = JS_ToStringFree(ctx, val);\n            if (JS_IsException(val))\n                goto exception;\n            goto concat_primitive;\n        } else if (cl == JS_CLASS_NUMBER) {",
    ),
    // A string that is spread into an object gives its letters.
    (
        "    if (JS_VALUE_GET_TAG(source) != JS_TAG_OBJECT)\n        return 0;\n\n    if (JS_VALUE_GET_TAG(excluded)",
        "    if (JS_VALUE_GET_TAG(source) != JS_TAG_OBJECT) {\n        if (!JS_IsString(source))\n            return 0;\n        source = JS_ToObject(ctx, source);\n        if (JS_IsException(source))\n            return -1;\n        ret = JS_CopyDataProperties(ctx, target, source, excluded, setprop);\n        JS_FreeValue(ctx, source);\n        return ret;\n    }\n\n    if (JS_VALUE_GET_TAG(excluded)",
    ),
    // An error is where it was made, and not where its class calls the one that it extends.
    (
        "    build_backtrace(ctx, obj, JS_UNDEFINED, NULL, 0, 0, JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL);\n    return obj;\n exception:\n",
        "    build_backtrace(ctx, obj, new_target, NULL, 0, 0, JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL|JS_BACKTRACE_FLAG_FILTER_FUNC);\n    return obj;\n exception:\n",
    ),
    // A loop that is interrupted says where it is: at the jump, or after the condition.
    (
        "            pc += (int32_t)get_u32(pc);\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int32_t)get_u32(pc);\n            BREAK;\n",
    ),
    (
        "            pc += (int16_t)get_u16(pc);\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int16_t)get_u16(pc);\n            BREAK;\n",
    ),
    (
        "            pc += (int8_t)pc[0];\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int8_t)pc[0];\n            BREAK;\n",
    ),
    (
        "unlikely(js_poll_interrupts(ctx))",
        "unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx)))",
    ),
];
/// How often the last is there.
const JUMPS: usize = 4;

/// How it is compiled: every flag counts for the digest.
const FLAGS: [&str; 13] = [
    "-target",
    "wasm32-wasi",
    "-mcpu=generic+bulk_memory+nontrapping_fptoint+sign_ext+mutable_globals",
    "-O2",
    "-mexec-model=reactor",
    "-D_GNU_SOURCE",
    "-DNDEBUG",
    "-fwrapv",
    "-funsigned-char",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    // The sources are not ours to mend.
    "-w",
    "-Wl,--strip-all,--gc-sections,--export=interrupt_flag",
];

/// QuickJS-NG's sources.
#[derive(Clone, Debug)]
pub struct QuickJs {
    sources: PathBuf,
}

impl QuickJs {
    /// Finds the sources, from a crate of this manifest that depends on the crate which carries them.
    ///
    /// # Errors
    /// If cargo does not know that crate.
    pub fn find(manifest: &Path) -> Result<Self> {
        let (name, version) = CARRIER;
        let metadata = MetadataCommand::new().manifest_path(manifest).exec()?;
        let package = metadata.packages.iter().find(|package| {
            package.name.as_str() == name && package.version.to_string() == version
        });
        let package = package.with_context(|| {
            format!("cargo knows no {name} {version} for {}", manifest.display())
        })?;
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        Ok(Self { sources: folder.join("quickjs").into() })
    }

    /// All that decides what is built, but for the source given to [`QuickJs::build`].
    #[must_use]
    pub fn recipe() -> String {
        format!("{} {CARRIER:?} {FLAGS:?} {STACK} {CHANGES:?}", crate::ZIG)
    }

    /// Builds a module from a C source that includes `quickjs.c`.
    ///
    /// # Errors
    /// If the compiler is not there and cannot be installed, or fails.
    pub fn build(&self, tools: &Tools, source: &Path, output: &Path) -> Result<()> {
        let changed = tempfile::tempdir()?;
        fs::write(changed.path().join("quickjs.c"), self.changed()?)?;
        let mut zig = tools.zig()?;
        zig.arg("cc")
            .args(FLAGS)
            .arg(format!("-DSTACK_BYTES={STACK}"))
            .arg(format!("-Wl,-z,stack-size={STACK}"))
            .arg("-I")
            .arg(changed.path())
            .arg("-I")
            .arg(&self.sources)
            .arg("-o")
            .args([output, source])
            .args(["libregexp.c", "libunicode.c", "dtoa.c"].map(|file| self.sources.join(file)));
        run(&mut zig)
    }

    /// `quickjs.c` with what is changed in it.
    fn changed(&self) -> Result<String> {
        let path = self.sources.join("quickjs.c");
        let mut source = fs::read_to_string(&path)?;
        for (at, (before, after)) in CHANGES.into_iter().enumerate() {
            let times = source.matches(before).count();
            let expected = if at + 1 == CHANGES.len() { JUMPS } else { 1 };
            ensure!(times == expected, "{}: {before:?} is there {times} times", path.display());
            source = source.replace(before, after);
        }
        Ok(source)
    }
}
