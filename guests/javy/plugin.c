// A plugin with the interface of Javy's (version 3 of its namespace), on the same QuickJS as ours: for tests of
// modules that link to a plugin by a name. Javy's own plugin is a file that an operator supplies.
//
// The interface is that of javy-plugin-api: `initialize-runtime`, `compile-src`, `invoke`, `cabi_realloc` and
// `memory`, with lists and results as the component model's canonical ABI lays them out.

#include "quickjs.c"

#include <wasi/api.h>

#define EXPORT(name) __attribute__((export_name(name)))

volatile int32_t interrupt_flag;
static JSContext *context;

static JSValue io(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int writing) {
    int32_t fd;
    size_t size;
    __wasi_size_t done = 0;
    uint8_t *bytes = JS_GetUint8Array(ctx, &size, argv[1]);
    if (!bytes || JS_ToInt32(ctx, &fd, argv[0]))
        return JS_EXCEPTION;
    if (writing) {
        __wasi_ciovec_t from = {bytes, size};
        (void)!__wasi_fd_write(fd, &from, 1, &done);
    } else {
        __wasi_iovec_t into = {bytes, size};
        (void)!__wasi_fd_read(fd, &into, 1, &done);
    }
    return JS_NewInt32(ctx, done);
}

static JSValue read_sync(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    return io(ctx, this, argc, argv, 0);
}

static JSValue write_sync(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    return io(ctx, this, argc, argv, 1);
}

// Its settings arrive on stdin; without an event loop it would leave promises alone.
EXPORT("initialize-runtime") void initialize_runtime(void) {
    static char settings[256];
    __wasi_iovec_t into = {(uint8_t *)settings, sizeof settings - 1};
    __wasi_size_t got = 0;
    (void)!__wasi_fd_read(0, &into, 1, &got);
    context = JS_NewContext(JS_NewRuntime());
    JSValue global = JS_GetGlobalObject(context), javy = JS_NewObject(context), io = JS_NewObject(context);
    JS_SetPropertyStr(context, io, "readSync", JS_NewCFunction(context, read_sync, "readSync", 2));
    JS_SetPropertyStr(context, io, "writeSync", JS_NewCFunction(context, write_sync, "writeSync", 2));
    JS_SetPropertyStr(context, javy, "IO", io);
    JS_SetPropertyStr(context, javy, "settings", JS_NewStringLen(context, settings, got));
    JS_SetPropertyStr(context, global, "Javy", javy);
    JS_FreeValue(context, global);
}

EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size, (void)align;
    return realloc(old, size);
}

// result<list<u8>, string>
EXPORT("compile-src") uint32_t *compile_src(const char *source, size_t size) {
    static uint32_t result[3];
    char *text = malloc(size + 1);
    memcpy(text, source, size);
    text[size] = 0;
    size_t length = 0;
    JSValue module = JS_Eval(context, text, size, "function.mjs", JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    result[0] = JS_IsException(module);
    result[1] = result[0] ? 0 : (uint32_t)JS_WriteObject(context, &length, module, JS_WRITE_OBJ_BYTECODE);
    result[2] = length;
    return result;
}

// (list<u8>, option<string>): the function's name is not used here.
EXPORT("invoke") void invoke(const uint8_t *bytecode, size_t size, int32_t named, const char *name, size_t name_size) {
    (void)named, (void)name, (void)name_size;
    JSValue module = JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE);
    JSContext *of;
    if (JS_IsException(module) || JS_ResolveModule(context, module) < 0)
        abort();
    JSValue result = JS_EvalFunction(context, module);
    while (JS_ExecutePendingJob(JS_GetRuntime(context), &of) > 0)
        ;
    if (JS_IsException(result) || JS_PromiseState(context, result) == JS_PROMISE_REJECTED) {
        const char *text = JS_ToCString(context, JS_PromiseResult(context, result));
        __wasi_ciovec_t from = {(const uint8_t *)text, text ? strlen(text) : 0};
        __wasi_size_t done;
        (void)!__wasi_fd_write(2, &from, 1, &done);
        abort();
    }
}
