//! QuickJS-NG, built for WebAssembly from the sources that the crate `rquickjs-sys` carries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::MetadataCommand;

use crate::{Tools, run};

/// The crate that carries QuickJS-NG's sources, and its version.
const CARRIER: (&str, &str) = ("rquickjs-sys", "0.14.0");

/// The linker's stack, in bytes.
const STACK: u32 = (3 << 20) + (64 << 10);

/// A file of QuickJS-NG's, what is there, what comes in its place, and how often.
type Change = (&'static str, &'static str, &'static str, usize);

/// The files of QuickJS-NG that are changed; the first is included by what is built.
const CHANGED: [&str; 3] = ["quickjs.c", "libregexp.c", "dtoa.c"];
/// What is changed in QuickJS-NG.
const CHANGES: [Change; 44] = [
    // Who includes it may say where references are counted.
    (
        "quickjs.c",
        "#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n",
        "#ifndef JS_REF_COUNT\n#define JS_REF_COUNT(p) (js_rc(p)->ref_count)\n#endif\n",
        1,
    ),
    // A call is where its function is named, also once its arguments were worked out.
    (
        "quickjs.c",
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n    int named_line = s->token.line_num, named_col = s->token.col_num;\n    int call_line = named_line, call_col = named_col;\n    js_check_parse(s);\n",
        1,
    ),
    (
        "quickjs.c",
        "            emit_source_loc(s);\n            if (js_parse_postfix_expr(s, 0))\n",
        "            emit_source_loc(s);\n            call_line = s->token.line_num;\n            call_col = s->token.col_num;\n            if (js_parse_postfix_expr(s, 0))\n",
        1,
    ),
    (
        "quickjs.c",
        "                emit_source_loc(s);\n                switch(opcode = get_prev_opcode(fd)) {\n",
        "                call_line = named_line;\n                call_col = named_col;\n                switch(opcode = get_prev_opcode(fd)) {\n",
        1,
    ),
    (
        "quickjs.c",
        "                /* apply function call */\n                switch(opcode) {\n",
        "                /* apply function call */\n                emit_source_loc_at(s, call_line, call_col);\n                switch(opcode) {\n",
        1,
    ),
    (
        "quickjs.c",
        "            emit_func_call:\n                switch(opcode) {\n",
        "            emit_func_call:\n                emit_source_loc_at(s, call_line, call_col);\n                switch(opcode) {\n",
        1,
    ),
    // What is read of nothing is where it is named.
    (
        "quickjs.c",
        "                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n                }\n            }\n",
        "                    named_line = s->token.line_num;\n                    named_col = s->token.col_num;\n                    emit_source_loc(s);\n                    emit_op(s, OP_get_field);\n                    emit_atom(s, s->token.u.ident.atom);\n                }\n            }\n",
        1,
    ),
    (
        "quickjs.c",
        "            if (js_parse_expr(s))\n                return -1;\n            if (js_parse_expect(s, ']'))\n                return -1;\n            if (prev_op == OP_get_super) {\n",
        "            named_line = s->token.line_num;\n            named_col = s->token.col_num;\n            if (js_parse_expr(s))\n                return -1;\n            if (js_parse_expect(s, ']'))\n                return -1;\n            emit_source_loc_at(s, named_line, named_col);\n            if (prev_op == OP_get_super) {\n",
        1,
    ),
    // What a statement does that has no place of its own is where it begins.
    (
        "quickjs.c",
        "    switch(tok = s->token.val) {\n    case '{':\n        if (js_parse_block(s))\n",
        "    emit_source_loc(s);\n    switch(tok = s->token.val) {\n    case '{':\n        if (js_parse_block(s))\n",
        1,
    ),
    // A promise in a handler's result is a mistake: elsewhere it is written as `{}`, as it is everywhere.
    (
        "quickjs.c",
        "} JSONStringifyContext;\n",
        "} JSONStringifyContext;\n\nstatic bool is_result, has_promise;\n",
        1,
    ),
    (
        "quickjs.c",
        "        if (cl == JS_CLASS_STRING) {\n            val = JS_ToStringFree(ctx, val);\n            if (JS_IsException(val))\n                goto exception;\n            goto concat_primitive;\n        } else if (cl == JS_CLASS_NUMBER) {",
        "        if (cl == JS_CLASS_PROMISE && is_result) {\n            has_promise = true;\n            JS_ThrowTypeError(ctx, \"a promise\");\n            goto exception;\n        } else if (cl == JS_CLASS_STRING) {\n            val = JS_ToStringFree(ctx, val);\n            if (JS_IsException(val))\n                goto exception;\n            goto concat_primitive;\n        } else if (cl == JS_CLASS_NUMBER) {",
        1,
    ),
    // A string that is spread into an object gives its letters.
    (
        "quickjs.c",
        "    if (JS_VALUE_GET_TAG(source) != JS_TAG_OBJECT)\n        return 0;\n\n    if (JS_VALUE_GET_TAG(excluded)",
        "    if (JS_VALUE_GET_TAG(source) != JS_TAG_OBJECT) {\n        if (!JS_IsString(source))\n            return 0;\n        source = JS_ToObject(ctx, source);\n        if (JS_IsException(source))\n            return -1;\n        ret = JS_CopyDataProperties(ctx, target, source, excluded, setprop);\n        JS_FreeValue(ctx, source);\n        return ret;\n    }\n\n    if (JS_VALUE_GET_TAG(excluded)",
        1,
    ),
    // An error is where it was made, and not where its class calls the one that it extends.
    (
        "quickjs.c",
        "    build_backtrace(ctx, obj, JS_UNDEFINED, NULL, 0, 0, JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL);\n    return obj;\n exception:\n",
        "    build_backtrace(ctx, obj, new_target, NULL, 0, 0, JS_BACKTRACE_FLAG_SKIP_FIRST_LEVEL|JS_BACKTRACE_FLAG_FILTER_FUNC);\n    return obj;\n exception:\n",
        1,
    ),
    // A loop that is interrupted says where it is: at the jump, or where a condition leads.
    (
        "quickjs.c",
        "            pc += (int32_t)get_u32(pc);\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int32_t)get_u32(pc);\n            BREAK;\n",
        1,
    ),
    (
        "quickjs.c",
        "            pc += (int16_t)get_u16(pc);\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int16_t)get_u16(pc);\n            BREAK;\n",
        1,
    ),
    (
        "quickjs.c",
        "            pc += (int8_t)pc[0];\n            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;\n",
        "            if (unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc, __js_poll_interrupts(ctx))))\n                goto exception;\n            pc += (int8_t)pc[0];\n            BREAK;\n",
        1,
    ),
    (
        "quickjs.c",
        "unlikely(js_poll_interrupts(ctx))",
        "unlikely(--ctx->interrupt_counter <= 0 && (sf->cur_pc = pc + 1, __js_poll_interrupts(ctx)))",
        4,
    ),
    // What calls itself in C uses little of the stack whose end is looked for, and much of the machine's: it takes more of
    // the first, so that an error ends it that a script can catch.
    (
        "quickjs.c",
        "JSRuntime *JS_NewRuntime2(const JSMallocFunctions *mf, void *opaque)\n{\n",
        "#define IN_A_FRAME_OF(size, value) ({ char room[size]; __asm__ volatile(\"\" : : \"r\"(room) : \"memory\"); value; })\n#define IN_A_LARGE_FRAME(value) IN_A_FRAME_OF(256, value)\n#define js_check_deep(rt) IN_A_LARGE_FRAME(js_check_stack_overflow(rt, 0))\n#define js_check_parse(s) if (IN_A_FRAME_OF(1024, js_check_stack_overflow((s)->ctx->rt, 0))) { JS_ThrowStackOverflow(s->ctx); return -1; }\n\nJSRuntime *JS_NewRuntime2(const JSMallocFunctions *mf, void *opaque)\n{\n",
        1,
    ),
    ("quickjs.c", "js_check_stack_overflow(ctx->rt, 0)", "js_check_deep(ctx->rt)", 12),
    ("quickjs.c", "js_check_stack_overflow(s->ctx->rt, 0)", "js_check_deep(s->ctx->rt)", 1),
    (
        "quickjs.c",
        "static JSValue js_proxy_getPrototypeOf(JSContext *ctx, JSValueConst obj)\n{\n",
        "#define get_proxy_method(...) IN_A_LARGE_FRAME(get_proxy_method(__VA_ARGS__))\n\nstatic JSValue js_proxy_getPrototypeOf(JSContext *ctx, JSValueConst obj)\n{\n",
        1,
    ),
    (
        "quickjs.c",
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n    js_check_parse(s);\n",
        1,
    ),
    (
        "quickjs.c",
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n    js_check_parse(s);\n",
        1,
    ),
    (
        "quickjs.c",
        "static __exception int js_parse_statement_or_decl(JSParseState *s,\n                                                  int decl_mask)\n{\n",
        "static __exception int js_parse_statement_or_decl(JSParseState *s,\n                                                  int decl_mask)\n{\n    js_check_parse(s);\n",
        1,
    ),
    // Who includes it may have a heap that is called without asking which it is, and read and write plain JSON.
    (
        "quickjs.c",
        "static void *js_arena_malloc(JSRuntime *rt, size_t size)\n{\n",
        "#ifndef HEAP_MALLOC\n#define HEAP_MALLOC(rt, size) rt->mf.js_malloc(rt->malloc_state.opaque, size)\n#define HEAP_FREE(rt, block) rt->mf.js_free(rt->malloc_state.opaque, block)\n#define HEAP_USABLE_SIZE(rt, block) rt->mf.js_malloc_usable_size(block)\n#endif\n\nstatic void *js_arena_malloc(JSRuntime *rt, size_t size)\n{\n",
        1,
    ),
    (
        "quickjs.c",
        "        return arena_malloc_large(rt, size);\n    }\n}\n",
        "        JSMallocBlockHeader *large = HEAP_MALLOC(rt, sizeof(JSMallocBlockHeader) + size);\n        if (!large)\n            return NULL;\n        large->u.block_idx = JS_ARENA_FREE_NIL;\n        large->block_size_idx = 0xff;\n        return large->user_data;\n    }\n}\n",
        1,
    ),
    (
        "quickjs.c",
        "            rt->mf.js_free(rt->malloc_state.opaque, b);\n",
        "            HEAP_FREE(rt, b);\n",
        1,
    ),
    (
        "quickjs.c",
        "            size_t size = rt->mf.js_malloc_usable_size(b);\n",
        "            size_t size = HEAP_USABLE_SIZE(rt, b);\n",
        1,
    ),
    (
        "quickjs.c",
        "    JSParseState s1, *s = &s1;\n    JSValue val = JS_UNDEFINED;\n\n    js_parse_init(ctx, s, buf, buf_len, filename, 1);\n    if (json_next_token(s))\n",
        "    JSParseState s1, *s = &s1;\n    JSValue val = JS_UNDEFINED;\n\n#ifdef HAS_PLAIN_JSON\n    if (!pr) {\n        val = json_read(ctx, buf, buf_len);\n        if (!JS_IsUninitialized(val))\n            return val;\n        val = JS_UNDEFINED;\n    }\n#endif\n    js_parse_init(ctx, s, buf, buf_len, filename, 1);\n    if (json_next_token(s))\n",
        1,
    ),
    (
        "quickjs.c",
        "static JSValue JS_ParseJSON_internal(JSContext *ctx, const char *buf, size_t buf_len,\n                                     const char *filename, JSONParseRecord *pr)\n{\n",
        "#ifdef HAS_PLAIN_JSON\nstatic JSValue json_read(JSContext *ctx, const char *text, size_t size);\nstatic JSValue json_write(JSContext *ctx, JSValueConst value);\n#endif\n\nstatic JSValue JS_ParseJSON_internal(JSContext *ctx, const char *buf, size_t buf_len,\n                                     const char *filename, JSONParseRecord *pr)\n{\n",
        1,
    ),
    (
        "quickjs.c",
        "    int64_t i, j, n;\n\n    jsc->replacer_func = JS_UNDEFINED;\n    jsc->stack = JS_UNDEFINED;\n",
        "    int64_t i, j, n;\n\n#ifdef HAS_PLAIN_JSON\n    if (JS_IsUndefined(replacer) && JS_IsUndefined(space0)) {\n        ret = json_write(ctx, obj);\n        if (!JS_IsUninitialized(ret))\n            return ret;\n    }\n#endif\n    jsc->replacer_func = JS_UNDEFINED;\n    jsc->stack = JS_UNDEFINED;\n",
        1,
    ),
    // What is set is where it is named, and not where the statement ends.
    (
        "quickjs.c",
        "    op = s->token.val;\n    if (op == '=' || (op >= TOK_MUL_ASSIGN && op <= TOK_POW_ASSIGN)) {\n        int label;\n",
        "    op = s->token.val;\n    if (op == '=' || (op >= TOK_MUL_ASSIGN && op <= TOK_POW_ASSIGN)) {\n        int label, set_line = s->token.line_num, set_col = s->token.col_num;\n",
        1,
    ),
    (
        "quickjs.c",
        "            JS_FreeAtom(s->ctx, name);\n            return -1;\n        }\n\n        if (op == '=' && opcode == OP_get_array_el) {\n",
        "            JS_FreeAtom(s->ctx, name);\n            return -1;\n        }\n        emit_source_loc_at(s, set_line, set_col);\n\n        if (op == '=' && opcode == OP_get_array_el) {\n",
        1,
    ),
    // There is no memory for the message.
    ("quickjs.c", "\"Invalid error message\"", "\"out of memory\"", 1),
    // The shortest digits: next to a power of two, numbers are not as far apart below as above, and sixteen may do.
    (
        "dtoa.c",
        "int js_dtoa(char *buf, double d, int radix, int n_digits, int flags,",
        "static int js_dtoa_plain(char *buf, double d, int radix, int n_digits, int flags,",
        1,
    ),
    (
        "dtoa.c",
        "double js_atod(const char *str, const char **pnext, int radix, int flags,",
        "int js_dtoa(char *buf, double d, int radix, int n_digits, int flags, JSDTOATempMem *tmp_mem)\n{\n    uint64_t bits;\n    memcpy(&bits, &d, sizeof bits);\n    if (radix == 10 && (flags & JS_DTOA_FORMAT_MASK) == JS_DTOA_FORMAT_FREE && !(bits << 12) && isfinite(d) && d != 0) {\n        char shorter[128];\n        JSATODTempMem read;\n        int length = js_dtoa_plain(shorter, d, 10, 16, (flags & ~JS_DTOA_FORMAT_MASK) | JS_DTOA_FORMAT_FIXED, tmp_mem);\n        int plain = js_dtoa_plain(buf, d, radix, n_digits, flags, tmp_mem);\n        char *end = strchr(shorter, 'e'), *last;\n        if (!end)\n            end = shorter + length;\n        if (js_atod(shorter, NULL, 10, 0, &read) != d) {\n            for (last = end - 1; last > shorter && (*last == '9' || *last == '.'); last--)\n                if (*last == '9')\n                    *last = '0';\n            if (*last >= '0' && *last < '9')\n                ++*last;\n        }\n        if (memchr(shorter, '.', end - shorter)) {\n            for (last = end; last[-1] == '0' || last[-1] == '.'; last--)\n                if (last[-1] == '.') {\n                    last--;\n                    break;\n                }\n            memmove(last, end, strlen(end) + 1);\n            length = strlen(shorter);\n        }\n        if (length < plain && js_atod(shorter, NULL, 10, 0, &read) == d) {\n            memcpy(buf, shorter, length + 1);\n            return length;\n        }\n        return plain;\n    }\n    return js_dtoa_plain(buf, d, radix, n_digits, flags, tmp_mem);\n}\n\ndouble js_atod(const char *str, const char **pnext, int radix, int flags,",
        1,
    ),
    // As many arguments as elsewhere, and more: they are not on the stack.
    (
        "quickjs.c",
        "    if (len > JS_MAX_LOCAL_VARS) {\n        // XXX: check for stack overflow?\n        JS_ThrowRangeError(ctx, \"too many arguments in function call (only %d allowed)\",\n                           JS_MAX_LOCAL_VARS);\n",
        "    if (len > 1 << 20) {\n        JS_ThrowRangeError(ctx, \"too many arguments in function call (only %d allowed)\",\n                           1 << 20);\n",
        1,
    ),
    // There is one realm.
    ("quickjs.c", "realm = JS_GetFunctionRealm(ctx, s->target);", "realm = ctx;", 1),
    ("quickjs.c", "realm = JS_GetFunctionRealm(ctx, bf->func_obj);", "realm = ctx;", 1),
    // A function that begins with this is sloppy, though the module around it is strict: how a bundle holds CommonJS.
    (
        "quickjs.c",
        "    /* specific label handling */\n    /* XXX: support multiple labels on loop statements */\n",
        "    if (s->token.val == TOK_IDENT && js_is_sloppy_mark(s)) {\n        if (s->cur_func->parent)\n            s->cur_func->is_strict_mode = false;\n        return next_token(s) || js_parse_expect_semi(s) ? -1 : 0;\n    }\n    /* specific label handling */\n    /* XXX: support multiple labels on loop statements */\n",
        1,
    ),
    (
        "quickjs.c",
        "static __exception int js_parse_statement_or_decl(JSParseState *s,\n                                                  int decl_mask)\n{\n",
        "static bool js_is_sloppy_mark(JSParseState *s)\n{\n    static const char mark[] = \"__compute_sloppy__\";\n    JSAtomStruct *name = s->ctx->rt->atom_array[s->token.u.ident.atom];\n    return name->len == sizeof mark - 1 && !name->is_wide_char && !memcmp(str8(name), mark, sizeof mark - 1);\n}\n\nstatic __exception int js_parse_statement_or_decl(JSParseState *s,\n                                                  int decl_mask)\n{\n",
        1,
    ),
    // What failed without saying why had no memory: nothing of the engine's own becomes a script's value.
    (
        "quickjs.c",
        " exception:\n    if (needs_backtrace(rt->current_exception)\n",
        " exception:\n    if (JS_IsUninitialized(rt->current_exception))\n        JS_ThrowOutOfMemory(ctx);\n    if (needs_backtrace(rt->current_exception)\n",
        1,
    ),
    // A regular expression looks at the deadline about each tenth of a millisecond.
    (
        "libregexp.c",
        "#define INTERRUPT_COUNTER_INIT 10000",
        "#define INTERRUPT_COUNTER_INIT 256",
        1,
    ),
    (
        "libregexp.c",
        "lre_check_stack_overflow(s->opaque, 0)",
        "({ char room[512]; __asm__ volatile(\"\" : : \"r\"(room) : \"memory\"); lre_check_stack_overflow(s->opaque, 0); })",
        2,
    ),
];

/// What is compiled for: C, and Zig.
const TARGET: [&str; 3] = [
    "-target",
    "wasm32-wasi",
    "-mcpu=generic+bulk_memory+nontrapping_fptoint+sign_ext+mutable_globals",
];
/// How Zig is compiled.
const ZIG_FLAGS: [&str; 3] = ["-O", "ReleaseFast", "-fstrip"];
/// How C is compiled: every flag counts for the digest.
const FLAGS: [&str; 10] = [
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

    /// All that decides what is built, but for the sources given to [`QuickJs::build`].
    #[must_use]
    pub fn recipe() -> String {
        format!("{} {CARRIER:?} {TARGET:?} {ZIG_FLAGS:?} {FLAGS:?} {STACK} {CHANGES:?}", crate::ZIG)
    }

    /// Builds a module from a C source that includes `quickjs.c`, and from one in Zig if it has any.
    ///
    /// # Errors
    /// If the compiler is not there and cannot be installed, or fails.
    pub fn build(
        &self,
        tools: &Tools,
        source: &Path,
        zig_source: Option<&Path>,
        output: &Path,
    ) -> Result<()> {
        let changed = tempfile::tempdir()?;
        for file in CHANGED {
            fs::write(changed.path().join(file), self.changed(file)?)?;
        }
        let object = zig_source.map(|_| changed.path().join("zig.o"));
        if let Some((from, object)) = zig_source.zip(object.as_ref()) {
            let mut zig = tools.zig()?;
            zig.arg("build-obj").args(TARGET).args(ZIG_FLAGS).arg(from);
            run(zig.arg(format!("-femit-bin={}", object.display())))?;
        }
        let mut zig = tools.zig()?;
        zig.arg("cc")
            .args(TARGET)
            .args(FLAGS)
            .arg(format!("-DSTACK_BYTES={STACK}"))
            .arg(format!("-Wl,-z,stack-size={STACK}"))
            .arg("-I")
            .arg(changed.path())
            .arg("-I")
            .arg(&self.sources)
            .arg("-o")
            .args([output, source])
            .args(object)
            .args(CHANGED[1..].iter().map(|file| changed.path().join(file)))
            .arg(self.sources.join("libunicode.c"));
        run(&mut zig)
    }

    /// A file with what is changed in it.
    fn changed(&self, name: &str) -> Result<String> {
        let path = self.sources.join(name);
        let mut source = fs::read_to_string(&path)?;
        for (_, before, after, expected) in CHANGES.into_iter().filter(|(file, ..)| *file == name) {
            let times = source.matches(before).count();
            ensure!(times == expected, "{}: {before:?} is there {times} times", path.display());
            source = source.replace(before, after);
        }
        Ok(source)
    }
}
