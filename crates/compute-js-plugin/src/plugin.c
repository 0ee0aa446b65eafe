// The JS plugin: QuickJS-NG and what joins it to the sandbox.
//
// Exports, which the engine's `op image` and an op's own module call (ARCHITECTURE.md):
//   prepare              compiles the prelude and the URL library from stdin to stdout
//   _initialize          makes the runtime and runs the prelude, whose bytecode is on stdin with that of the
//                        URL library; its memory afterwards is the base image
//   alloc(size)          room for an op's bytecode
//   load(at, size)       evaluates an op's module, and runs its warm-up; the memory afterwards is the op image
//   call()               one call: stdin holds the envelope, stdout takes the result; 0 when it worked
//   _start               the compiler: {"name","source"} on stdin, bytecode on stdout
//   interrupt_flag       where the host writes to end running JavaScript with a stack trace
//
// QuickJS is included and not linked: its stack limit is switched off for WASI, and what an image bakes in
// (the random state) must be set anew for each call. Both are private to it.

#include <stdint.h>

// Sends every allocation to the heap below: QuickJS would keep a page for each size of small object, and a
// call would touch all of them. This is the only effect that the name has in these sources.
#define __SANITIZE_ADDRESS__ 1
// Where the references to this are counted (heap.h). QuickJS's own definition is left out when there is one
// already (toolchains/src/quickjs.rs).
static inline int *reference_count(const void *block);
#define JS_REF_COUNT(p) (*reference_count(p))
// QuickJS's heap and JSON are those below, where it asks for them (toolchains/src/quickjs.rs).
#include <stddef.h>
static void *heap_alloc(size_t size);
static void heap_free(void *block);
static size_t js_heap_usable_size(const void *block);
#define HEAP_MALLOC(rt, size) heap_alloc(size)
#define HEAP_FREE(rt, block) heap_free(block)
#define HEAP_USABLE_SIZE(rt, block) js_heap_usable_size(block)
#define HAS_PLAIN_JSON 1
#include "quickjs.c"

#include <wasi/api.h>

#include "heap.h"
#include "json.h"
#include "timers.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("compute"), import_name(name)))

IMPORT("log") void host_log(int32_t level, const char *text, size_t size);
IMPORT("emit") void host_emit(const char *name, size_t name_size, const char *data, size_t data_size);
// How JavaScript failed: the name and message of what was thrown, and its stack.
IMPORT("fail") void host_fail(const char *name, size_t name_size, const char *message, size_t message_size,
                              const char *stack, size_t stack_size);

extern void _initialize(void);
// What is in zig/.
extern void hash_start(uint32_t kind, uint8_t *state);
extern void hash_update(uint32_t kind, uint8_t *state, const uint8_t *data, size_t size);
extern uint32_t hash_finish(uint32_t kind, const uint8_t *state, uint8_t *digest);
extern bool hash_pbkdf2(uint32_t kind, const uint8_t *password, size_t password_size, const uint8_t *salt, size_t salt_size,
                        uint32_t rounds, uint8_t *key, size_t key_size);
extern bool ec_public(uint32_t curve, const uint8_t *secret, uint8_t *point);
extern bool ec_decode(uint32_t curve, const uint8_t *bytes, size_t size, uint8_t *point);
extern bool ec_sign(uint32_t curve, const uint8_t *secret, const uint8_t *digest, size_t digest_size, uint8_t *signature);
extern bool ec_verify(uint32_t curve, const uint8_t *point, const uint8_t *digest, size_t digest_size,
                      const uint8_t *signature);
extern bool ed25519_public(const uint8_t *seed, uint8_t *key);
extern bool ed25519_sign(const uint8_t *seed, const uint8_t *data, size_t size, uint8_t *signature);
extern bool ed25519_verify(const uint8_t *key, const uint8_t *data, size_t size, const uint8_t *signature);
extern bool inflate(const uint8_t *from, size_t from_size, uint8_t *to, size_t to_size);
// Room for the state of a hash that is begun, and for the largest digest.
#define HASH_STATE 256
#define LONGEST_DIGEST 64
// How much of the linker's stack JavaScript may use; the rest is for C that it calls.
#define JS_STACK_BYTES (STACK_BYTES - 64 * 1024)
// How much input is read without asking the allocator.
#define SMALL_INPUT 16384
// Room for the prelude, the libraries and their data: the next multiple of 256 KiB.
#define PRELUDE_ROOM (1280 * 1024)
// How often a warm-up runs: after the first, the heap still changes from call to call.
#define WARMUP_RUNS 3
// How much a call may allocate before garbage is collected. Collecting writes to every object there is, so
// calls of the usual size go without; what is in no cycle is freed at once anyway.
#define GARBAGE_BYTES (8 * 1024 * 1024)
// The names of frames that no author wrote start with this.
#define PRELUDE_NAME "compute:prelude"

// The host writes 1 to `flag`, and 1 to what `countdown` points to, so that QuickJS looks at the flag at once.
volatile struct {
    int32_t flag;
    int *countdown;
} interrupt_flag;

static JSContext *context;
// What the prelude gives back: the functions that load an op, call it and say what went wrong.
static JSValue hook_load, hook_call, hook_where, hook_unhandled, hook_causes, hook_promise, hook_named, hook_libraries;
static bool only_compile;
static bool random_is_seeded;
// Promises that were rejected and that nobody handles, with the reasons, in the order in which they were rejected.
typedef struct {
    JSValue promise, reason;
} Rejection;
static Rejection *unhandled;
static size_t unhandled_count, unhandled_room;
// The bytecode of each library, until an op needs it: URLs, the web's other classes, keys, Intl, and encodings.
#define LIBRARIES 5
#define URLS 0
#define INTL 3
#define ENCODINGS 4
static struct {
    uint8_t *bytecode;
    size_t size;
} libraries[LIBRARIES];
// Data of the libraries: pieces that are deflated, behind a table of their names (prelude/data/pack.mjs); and whose they are, in
// the order in which they lie.
static uint8_t *pieces;
static const int piece_owners[] = {URLS, ENCODINGS, INTL};
#define PIECE_OWNERS (sizeof piece_owners / sizeof *piece_owners)
static size_t pieces_size;
// The bytecode of the op that is loaded.
static const uint8_t *op_bytecode;
static size_t op_size;

// ---- The stack limit, and interruption ----

static void set_stack_limit(JSRuntime *runtime) {
    // The linker puts the stack first: it grows down to address 0.
    char here;
    uintptr_t top = (uintptr_t)&here;
    runtime->stack_top = top;
    runtime->stack_limit = top > JS_STACK_BYTES ? top - JS_STACK_BYTES : 1;
}

// ---- Failures ----

typedef struct {
    const char *text;
    size_t size;
} Text;

static Text text_of(JSValueConst value) {
    Text text;
    text.text = JS_ToCStringLen(context, &text.size, value);
    if (!text.text) {
        JS_FreeValue(context, JS_GetException(context));
        text.size = 0;
    }
    return text;
}

static Text text_of_property(JSValueConst object, const char *name) {
    Text text = {NULL, 0};
    JSValue value = JS_GetPropertyStr(context, object, name);
    if (JS_IsException(value))
        JS_FreeValue(context, JS_GetException(context));
    else if (JS_IsString(value))
        text = text_of(value);
    JS_FreeValue(context, value);
    return text;
}

static void free_text(Text text) {
    if (text.text)
        JS_FreeCString(context, text.text);
}

static bool was_interrupted;

// What a hook says as a text; nothing if it fails, or JavaScript must not go on.
static Text ask_hook(JSValueConst of, int argc, JSValueConst *argv) {
    Text text = {NULL, 0};
    static bool is_asking;
    if (interrupt_flag.flag || is_asking || !JS_IsFunction(context, of))
        return text;
    is_asking = true;
    JSValue told = JS_Call(context, of, JS_UNDEFINED, argc, argv);
    if (JS_IsString(told))
        text = text_of(told);
    else
        JS_FreeValue(context, JS_GetException(context));
    JS_FreeValue(context, told);
    is_asking = false;
    return text;
}

static void tell_failure(JSValueConst thrown) {
    if (JS_IsNull(thrown) && heap_was_full) {
        // Not even the error that would say so could be made.
        const char *message = "out of memory";
        host_fail("InternalError", 13, message, strlen(message), "", 0);
        return;
    }
    if (!JS_IsObject(thrown)) {
        Text shown = text_of(thrown);
        host_fail("", 0, shown.text, shown.size, "", 0);
        free_text(shown);
        return;
    }
    Text name = text_of_property(thrown, "name");
    Text message = text_of_property(thrown, "message");
    Text stack = text_of_property(thrown, "stack");
    if (!name.text && !message.text) {
        // An object that is no error: show it as JSON.
        free_text(stack);
        JSValue json = JS_JSONStringify(context, thrown, JS_UNDEFINED, JS_UNDEFINED);
        if (JS_IsException(json))
            JS_FreeValue(context, JS_GetException(context));
        Text shown = JS_IsString(json) ? text_of(json) : text_of(thrown);
        host_fail("", 0, shown.text, shown.size, "", 0);
        free_text(shown);
        JS_FreeValue(context, json);
        return;
    }
    if (stack.size == 0 && JS_IsError(thrown)) {
        // Made by the engine, in no code: the place is that of the handler.
        free_text(stack);
        stack = ask_hook(hook_where, 0, NULL);
    }
    Text causes = ask_hook(hook_causes, 1, &thrown);
    char *whole = causes.size > 0 ? malloc(message.size + causes.size) : NULL;
    if (whole) {
        memcpy(whole, message.text ? message.text : "", message.size);
        memcpy(whole + message.size, causes.text, causes.size);
        host_fail(name.text, name.size, whole, message.size + causes.size, stack.text, stack.size);
        free(whole);
    } else {
        host_fail(name.text, name.size, message.text, message.size, stack.text, stack.size);
    }
    free_text(name);
    free_text(message);
    free_text(stack);
    free_text(causes);
}

static void fail_with(JSValueConst thrown) {
    if (!was_interrupted)
        tell_failure(thrown);
}

// Tells where JavaScript is at once: the stack that QuickJS gives an interruption is that of the loop's
// beginning, while its frames know their last call.
static int on_interrupt(JSRuntime *runtime, void *opaque) {
    (void)runtime, (void)opaque;
    if (interrupt_flag.flag && !was_interrupted) {
        was_interrupted = true;
        // Reading the stack would be interrupted as well: the host sets this with the flag.
        context->interrupt_counter = JS_INTERRUPT_COUNTER_INIT;
        JSValue error = JS_MakeError2(context, JS_INTERNAL_ERROR, true, "interrupted");
        tell_failure(error);
        JS_FreeValue(context, error);
    }
    return interrupt_flag.flag;
}

static int fail_with_exception(void) {
    JSValue thrown = JS_GetException(context);
    fail_with(thrown);
    JS_FreeValue(context, thrown);
    return 1;
}

// A failure that the plugin finds itself; its place is that of the op's handler.
static int fail_at_handler(const char *message) {
    Text stack = ask_hook(hook_where, 0, NULL);
    host_fail("Error", 5, message, strlen(message), stack.text, stack.size);
    free_text(stack);
    return 1;
}

// What the handler returned cannot be JSON: a BigInt, a cycle. Unless code of the op's failed there, the place is that of
// its handler.
static int fail_with_result(void) {
    JSValue thrown = JS_GetException(context);
    Text stack = {NULL, 0};
    if (JS_IsError(thrown))
        stack = text_of_property(thrown, "stack");
    if (!stack.text || stack.size > 0) {
        free_text(stack);
        fail_with(thrown);
        JS_FreeValue(context, thrown);
        return 1;
    }
    free_text(stack);
    Text reason = text_of_property(thrown, "message");
    char message[200];
    snprintf(message, sizeof message, "the handler's result cannot be written as JSON: %.120s", reason.text ? reason.text : "");
    free_text(reason);
    JS_FreeValue(context, thrown);
    return fail_at_handler(message);
}

// The op's top level has taken all there is. Nothing can be allocated to say so.
static int fail_with_full_heap(void) {
    static char message[160];
    snprintf(message, sizeof message,
             "the op's top level leaves less than %u bytes of the %zu bytes of its memory, and calls need as much",
             (unsigned)STRETCH, __builtin_wasm_memory_size(0) * 65536);
    host_fail("Error", 5, message, strlen(message), "", 0);
    return 1;
}

static void on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool is_handled, void *opaque) {
    (void)opaque;
    if (is_handled) {
        // Most are handled soon.
        for (size_t at = unhandled_count; at-- > 0;) {
            if (JS_VALUE_GET_PTR(unhandled[at].promise) != JS_VALUE_GET_PTR(promise))
                continue;
            JS_FreeValue(ctx, unhandled[at].promise);
            JS_FreeValue(ctx, unhandled[at].reason);
            unhandled_count--;
            memmove(unhandled + at, unhandled + at + 1, (unhandled_count - at) * sizeof *unhandled);
            return;
        }
        return;
    }
    if (unhandled_count == unhandled_room) {
        size_t room = unhandled_room ? 2 * unhandled_room : 8;
        Rejection *larger = realloc(unhandled, room * sizeof *larger);
        if (!larger)
            return;
        unhandled = larger;
        unhandled_room = room;
    }
    unhandled[unhandled_count++] = (Rejection){JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
}

// ---- Functions that the prelude is given ----

static JSValue js_log(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    int32_t level;
    size_t size;
    if (JS_ToInt32(ctx, &level, argv[0]))
        return JS_EXCEPTION;
    const char *text = JS_ToCStringLen(ctx, &size, argv[1]);
    if (!text)
        return JS_EXCEPTION;
    host_log(level, text, size);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

static JSValue js_emit(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t name_size, data_size;
    const char *name = JS_ToCStringLen(ctx, &name_size, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    const char *data = JS_ToCStringLen(ctx, &data_size, argv[1]);
    if (!data) {
        JS_FreeCString(ctx, name);
        return JS_EXCEPTION;
    }
    host_emit(name, name_size, data, data_size);
    JS_FreeCString(ctx, data);
    JS_FreeCString(ctx, name);
    return JS_UNDEFINED;
}

static JSValue js_monotonic(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    return JS_NewFloat64(ctx, clock_now());
}

static JSValue js_fill_random(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t size;
    uint8_t *bytes = JS_GetUint8Array(ctx, &size, argv[0]);
    if (!bytes)
        return JS_EXCEPTION;
    (void)!__wasi_random_get(bytes, size);
    return JS_UNDEFINED;
}

// Tells the host that the op looks at what its request is called: a draw of no bytes, which changes nothing.
static JSValue js_note_request(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    (void)!__wasi_random_get(NULL, 0);
    return JS_UNDEFINED;
}

// Says that it does so.
EXPORT("notes_request") void notes_request(void) {
}

// Math.random, from the call's own seed.
static JSValue js_random(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    if (!random_is_seeded) {
        uint64_t state = 0;
        (void)!__wasi_random_get((uint8_t *)&state, sizeof state);
        ctx->random_state = state ? state : 1;
        random_is_seeded = true;
    }
    return js_math_random(ctx, this, argc, argv);
}

static JSValue js_utf8_encode(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t size;
    const char *text = JS_ToCStringLen(ctx, &size, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, size);
    JS_FreeCString(ctx, text);
    return bytes;
}

// How many bytes from `at` are one well-formed UTF-8 sequence; if none are, minus the length of the
// longest well-formed beginning, which is at least 1 (Unicode, table 3-7: what one U+FFFD stands for).
static int utf8_sequence(const uint8_t *bytes, size_t size, size_t at) {
    uint8_t first = bytes[at], low = 0x80, high = 0xbf;
    int more;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf) {
        more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
        more = 2;
        if (first == 0xe0) low = 0xa0;
        if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
        more = 3;
        if (first == 0xf0) low = 0x90;
        if (first == 0xf4) high = 0x8f;
    } else {
        return -1;
    }
    for (int i = 1; i <= more; i++) {
        if (at + i >= size || bytes[at + i] < low || bytes[at + i] > high)
            return -i;
        low = 0x80, high = 0xbf;
    }
    return more + 1;
}

// Bytes as a string; null if they are not UTF-8 and `fatal` is true.
static JSValue js_utf8_decode(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t size, at = 0, used = 0;
    uint8_t *bytes = JS_GetUint8Array(ctx, &size, argv[0]);
    bool fatal = JS_ToBool(ctx, argv[1]);
    if (!bytes)
        return JS_EXCEPTION;
    while (at < size) {
        int step = utf8_sequence(bytes, size, at);
        if (step < 0)
            break;
        at += step;
    }
    if (at == size)
        return JS_NewStringLen(ctx, (const char *)bytes, size);
    if (fatal)
        return JS_NULL;
    uint8_t *mended = js_malloc(ctx, at + (size - at) * 3);
    if (!mended)
        return JS_EXCEPTION;
    for (at = 0; at < size;) {
        int step = utf8_sequence(bytes, size, at);
        if (step > 0) {
            memcpy(mended + used, bytes + at, step);
            used += step;
            at += step;
        } else {
            memcpy(mended + used, "\xef\xbf\xbd", 3);
            used += 3;
            at += -step;
        }
    }
    JSValue text = JS_NewStringLen(ctx, (const char *)mended, used);
    js_free(ctx, mended);
    return text;
}

// The state of a hash that a function was given as its second argument.
static uint8_t *hash_state(JSContext *ctx, JSValueConst given) {
    size_t size;
    uint8_t *state = JS_GetUint8Array(ctx, &size, given);
    if (state && size != HASH_STATE) {
        JS_ThrowTypeError(ctx, "this is no state of a hash");
        return NULL;
    }
    return state;
}

// The state of a hash of this kind, with nothing in it.
static JSValue js_hash_start(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    uint8_t state[HASH_STATE] = {0};
    uint32_t kind;
    if (JS_ToUint32(ctx, &kind, argv[0]))
        return JS_EXCEPTION;
    hash_start(kind, state);
    return JS_NewUint8ArrayCopy(ctx, state, sizeof state);
}

static JSValue js_hash_update(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    uint32_t kind;
    size_t size;
    if (JS_ToUint32(ctx, &kind, argv[0]))
        return JS_EXCEPTION;
    uint8_t *state = hash_state(ctx, argv[1]);
    if (!state)
        return JS_EXCEPTION;
    uint8_t *data = JS_GetUint8Array(ctx, &size, argv[2]);
    if (!data)
        return JS_EXCEPTION;
    hash_update(kind, state, data, size);
    return JS_UNDEFINED;
}

static JSValue js_hash_finish(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    uint8_t digest[LONGEST_DIGEST];
    uint32_t kind;
    if (JS_ToUint32(ctx, &kind, argv[0]))
        return JS_EXCEPTION;
    uint8_t *state = hash_state(ctx, argv[1]);
    if (!state)
        return JS_EXCEPTION;
    return JS_NewUint8ArrayCopy(ctx, digest, hash_finish(kind, state, digest));
}

// Fills an array with a key from a password: kind, password, salt, rounds, key.
static JSValue js_pbkdf2(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    uint32_t kind, rounds;
    size_t password_size, salt_size, key_size;
    if (JS_ToUint32(ctx, &kind, argv[0]) || JS_ToUint32(ctx, &rounds, argv[3]))
        return JS_EXCEPTION;
    uint8_t *password = JS_GetUint8Array(ctx, &password_size, argv[1]);
    if (!password)
        return JS_EXCEPTION;
    uint8_t *salt = JS_GetUint8Array(ctx, &salt_size, argv[2]);
    if (!salt)
        return JS_EXCEPTION;
    uint8_t *key = JS_GetUint8Array(ctx, &key_size, argv[4]);
    if (!key)
        return JS_EXCEPTION;
    if (!hash_pbkdf2(kind, password, password_size, salt, salt_size, rounds, key, key_size))
        return JS_ThrowRangeError(ctx, "no key of this length can be derived");
    return JS_UNDEFINED;
}

// Bytes of a private key, a public key and a signature of P-256, P-384 and Ed25519.
static const struct {
    size_t secret, point, signature;
} curve_sizes[] = {{32, 65, 64}, {48, 97, 96}, {32, 32, 64}};
#define ED25519 2
enum { CURVE_PUBLIC, CURVE_DECODE, CURVE_SIGN, CURVE_VERIFY };

// What is done with a key of a curve. Takes the curve and two or three arrays, fills the last unless it verifies, and says
// whether it could:
//   public   private key; public key
//   decode   public key as it was given; public key
//   sign     private key, digest (Ed25519: what is signed); signature
//   verify   public key, digest (Ed25519: what is signed), signature
static JSValue js_curve(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int what) {
    struct {
        uint8_t *bytes;
        size_t size;
    } given[3] = {0};
    uint32_t curve;
    if (JS_ToUint32(ctx, &curve, argv[0]))
        return JS_EXCEPTION;
    if (curve >= countof(curve_sizes))
        return JS_ThrowRangeError(ctx, "there is no such curve");
    for (int at = 0; at < (what < CURVE_SIGN ? 2 : 3); at++) {
        given[at].bytes = JS_GetUint8Array(ctx, &given[at].size, argv[1 + at]);
        if (!given[at].bytes)
            return JS_EXCEPTION;
    }
    size_t secret = curve_sizes[curve].secret, point = curve_sizes[curve].point;
    size_t key = what == CURVE_PUBLIC || what == CURVE_SIGN ? secret : what == CURVE_VERIFY ? point : given[0].size;
    size_t other = what < CURVE_SIGN ? given[1].size : given[2].size;
    if (given[0].size != key || other != (what < CURVE_SIGN ? point : curve_sizes[curve].signature))
        return JS_FALSE;
    bool is_ed = curve == ED25519, worked = false;
    switch (what) {
    case CURVE_PUBLIC:
        worked = is_ed ? ed25519_public(given[0].bytes, given[1].bytes) : ec_public(curve, given[0].bytes, given[1].bytes);
        break;
    case CURVE_DECODE:
        worked = !is_ed && ec_decode(curve, given[0].bytes, given[0].size, given[1].bytes);
        break;
    case CURVE_SIGN:
        worked = is_ed ? ed25519_sign(given[0].bytes, given[1].bytes, given[1].size, given[2].bytes)
                       : ec_sign(curve, given[0].bytes, given[1].bytes, given[1].size, given[2].bytes);
        break;
    case CURVE_VERIFY:
        worked = is_ed ? ed25519_verify(given[0].bytes, given[1].bytes, given[1].size, given[2].bytes)
                       : ec_verify(curve, given[0].bytes, given[1].bytes, given[1].size, given[2].bytes);
        break;
    }
    return JS_NewBool(ctx, worked);
}

static uint32_t read_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

// A piece of the data, inflated, with a NUL after it: the caller's to free. NULL if there is none of the name, or no memory.
static uint8_t *piece_of(JSContext *ctx, const char *name, size_t *size) {
    if (!pieces)
        return NULL;
    // How many there are, and where those of each library begin.
    const uint8_t *at = pieces + 4 + 4 * PIECE_OWNERS;
    size_t name_size = strlen(name);
    for (uint32_t left = read_u32(pieces); left > 0; left--) {
        uint8_t length = *at;
        const uint8_t *place = at + 1 + length;
        if (length != name_size || memcmp(at + 1, name, length) != 0) {
            at = place + 12;
            continue;
        }
        *size = read_u32(place + 8);
        uint8_t *data = js_malloc(ctx, *size + 1);
        if (!data)
            return NULL;
        data[*size] = 0;
        if (inflate(pieces + read_u32(place), read_u32(place + 4), data, *size))
            return data;
        js_free(ctx, data);
        return NULL;
    }
    return NULL;
}

#include "collate.h"

// A piece of the data, which is JSON; undefined if there is none of the name.
static JSValue js_data(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t size;
    const char *name = JS_ToCString(ctx, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    uint8_t *data = piece_of(ctx, name, &size);
    JS_FreeCString(ctx, name);
    if (!data)
        return JS_HasException(ctx) ? JS_EXCEPTION : JS_UNDEFINED;
    JSValue value = JS_ParseJSON(ctx, (const char *)data, size, "data");
    js_free(ctx, data);
    return value;
}

// Compares two texts: the language whose order it is, the flags of collate.h, and the texts.
static JSValue js_collate(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    int32_t flags;
    if (JS_ToInt32(ctx, &flags, argv[1]))
        return JS_EXCEPTION;
    JSValue one = JS_ToString(ctx, argv[2]), other = JS_EXCEPTION;
    const char *language = NULL;
    int result = 2;
    if (!JS_IsException(one))
        other = JS_ToString(ctx, argv[3]);
    if (!JS_IsException(other))
        language = JS_ToCString(ctx, argv[0]);
    if (language)
        result = collate(ctx, language, flags, JS_VALUE_GET_STRING(one), JS_VALUE_GET_STRING(other));
    JS_FreeCString(ctx, language);
    JS_FreeValue(ctx, one);
    JS_FreeValue(ctx, other);
    if (result == 2)
        return JS_HasException(ctx) ? JS_EXCEPTION : JS_ThrowOutOfMemory(ctx);
    return JS_NewInt32(ctx, result);
}

static void forget_library(int index) {
    wipe(libraries[index].bytecode, libraries[index].size);
    libraries[index].bytecode = NULL;
    libraries[index].size = 0;
}

// Loads a library, if it was not forgotten.
static JSValue js_load_library(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    int32_t index;
    if (JS_ToInt32(ctx, &index, argv[0]))
        return JS_EXCEPTION;
    if (index < 0 || index >= LIBRARIES || !libraries[index].bytecode)
        return JS_UNDEFINED;
    JSValue library = JS_ReadObject(ctx, libraries[index].bytecode, libraries[index].size, JS_READ_OBJ_BYTECODE);
    forget_library(index);
    return JS_IsException(library) ? library : JS_EvalFunction(ctx, library);
}

// Whether the code of the op that is loaded has this as a name or a text: there, its length stands before it, times two.
static JSValue js_mentions(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    size_t size;
    const char *name = JS_ToCStringLen(ctx, &size, argv[0]);
    if (!name)
        return JS_EXCEPTION;
    const uint8_t *at = op_bytecode, *end = op_bytecode + op_size;
    bool found = false;
    while (!found && at && at < end && (at = memmem(at, end - at, name, size))) {
        found = at > op_bytecode && at[-1] == size * 2;
        at++;
    }
    // A name that the engine knows itself is written as its number, after what is done with it.
    JSAtom atom = JS_NewAtomLen(ctx, name, size);
    for (at = op_bytecode; !found && atom < JS_ATOM_END && at && at < end && (at = memmem(at, end - at, &atom, sizeof atom)); at++)
        found = at > op_bytecode && (at[-1] == OP_get_field || at[-1] == OP_get_field2 || at[-1] == OP_push_atom_value);
    JS_FreeAtom(ctx, atom);
    JS_FreeCString(ctx, name);
    return JS_NewBool(ctx, found);
}

static const JSCFunctionListEntry host_functions[] = {
    JS_CFUNC_DEF("log", 2, js_log),
    JS_CFUNC_DEF("emit", 2, js_emit),
    JS_CFUNC_DEF("monotonic", 0, js_monotonic),
    JS_CFUNC_DEF("fillRandom", 1, js_fill_random),
    JS_CFUNC_DEF("noteRequest", 0, js_note_request),
    JS_CFUNC_DEF("random", 0, js_random),
    JS_CFUNC_DEF("utf8Encode", 1, js_utf8_encode),
    JS_CFUNC_DEF("utf8Decode", 2, js_utf8_decode),
    JS_CFUNC_DEF("hashStart", 1, js_hash_start),
    JS_CFUNC_DEF("hashUpdate", 3, js_hash_update),
    JS_CFUNC_DEF("hashFinish", 2, js_hash_finish),
    JS_CFUNC_DEF("pbkdf2", 5, js_pbkdf2),
    JS_CFUNC_MAGIC_DEF("curvePublic", 3, js_curve, CURVE_PUBLIC),
    JS_CFUNC_MAGIC_DEF("curveDecode", 3, js_curve, CURVE_DECODE),
    JS_CFUNC_MAGIC_DEF("curveSign", 4, js_curve, CURVE_SIGN),
    JS_CFUNC_MAGIC_DEF("curveVerify", 4, js_curve, CURVE_VERIFY),
    JS_CFUNC_DEF("data", 1, js_data),
    JS_CFUNC_DEF("collate", 4, js_collate),
    JS_CFUNC_DEF("loadLibrary", 1, js_load_library),
    JS_CFUNC_DEF("mentions", 1, js_mentions),
};

// ---- Input and output ----

static char small_input[SMALL_INPUT];

static void free_input(char *input, size_t size) {
    wipe(input, size);
    if (input != small_input)
        free(input);
}

// All of stdin, with a NUL after it. What is more than a small input has so much room, or twice that, and so on.
static char *read_input(size_t *size, size_t room_at_first) {
    char *buffer = small_input;
    size_t room = sizeof small_input, used = 0;
    for (size_t larger_room = room_at_first;; larger_room *= 2) {
        __wasi_iovec_t into = {(uint8_t *)buffer + used, room - used - 1};
        __wasi_size_t got = 0;
        if (__wasi_fd_read(0, &into, 1, &got) != 0)
            return NULL;
        used += got;
        if (used < room - 1)
            break;
        char *larger = malloc(PIECE(larger_room));
        if (!larger)
            return NULL;
        memcpy(larger, buffer, used);
        free_input(buffer, used);
        buffer = larger;
        room = PIECE(larger_room);
    }
    buffer[used] = 0;
    *size = used;
    return buffer;
}

static void write_output(const char *bytes, size_t size) {
    __wasi_ciovec_t from = {(const uint8_t *)bytes, size};
    __wasi_size_t written;
    (void)!__wasi_fd_write(1, &from, 1, &written);
}

// ---- The runtime ----

// Makes a runtime and its context.
static void open_context(void) {
    JSRuntime *runtime = JS_NewRuntime2(&heap_functions, NULL);
    if (!runtime)
        abort();
    set_stack_limit(runtime);
    context = JS_NewContext(runtime);
    if (!context)
        abort();
    JS_SetInterruptHandler(runtime, on_interrupt, NULL);
    interrupt_flag.countdown = &context->interrupt_counter;
}

static JSValue hook(JSValueConst hooks, const char *name) {
    JSValue function = JS_GetPropertyStr(context, hooks, name);
    if (!JS_IsFunction(context, function))
        abort();
    return function;
}

// Takes the next bytecode from what `prepare` wrote, and says how much that was.
static const uint8_t *next_bytecode(const uint8_t **input, const uint8_t *end, size_t *size) {
    uint32_t written;
    if ((size_t)(end - *input) < sizeof written)
        abort();
    memcpy(&written, *input, sizeof written);
    const uint8_t *bytecode = *input + sizeof written;
    if (written > (size_t)(end - bytecode))
        abort();
    *size = written;
    *input = bytecode + written;
    return bytecode;
}

// Runs the prelude, whose bytecode is on stdin, and keeps that of the libraries, which follows it.
static void run_prelude(void) {
    size_t size, prelude_size;
    char *input = read_input(&size, PRELUDE_ROOM);
    if (!input)
        abort();
    const uint8_t *at = (uint8_t *)input, *end = at + size;
    const uint8_t *bytecode = next_bytecode(&at, end, &prelude_size);
    for (int index = 0; index < LIBRARIES; index++) {
        libraries[index].bytecode = (uint8_t *)next_bytecode(&at, end, &libraries[index].size);
    }
    pieces = (uint8_t *)next_bytecode(&at, end, &pieces_size);
    JSValue prelude = JS_ReadObject(context, bytecode, prelude_size, JS_READ_OBJ_BYTECODE);
    // What follows stays where it is: a copy would be in every image.
    wipe((uint8_t *)bytecode, prelude_size);
    if (!JS_IsException(prelude))
        prelude = JS_EvalFunction(context, prelude);
    if (JS_IsException(prelude)) {
        fail_with_exception();
        abort();
    }
    JSValue host = JS_NewObject(context);
    JS_SetPropertyFunctionList(context, host, host_functions, countof(host_functions));
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyFunctionList(context, global, timer_functions, countof(timer_functions));
    JS_FreeValue(context, global);
    JSValue hooks = JS_Call(context, prelude, JS_UNDEFINED, 1, &host);
    if (JS_IsException(hooks)) {
        fail_with_exception();
        abort();
    }
    hook_load = hook(hooks, "load");
    hook_call = hook(hooks, "call");
    hook_where = hook(hooks, "where");
    hook_unhandled = hook(hooks, "unhandled");
    hook_causes = hook(hooks, "causes");
    hook_promise = hook(hooks, "promise");
    hook_named = hook(hooks, "named");
    hook_libraries = hook(hooks, "libraries");
    JS_FreeValue(context, hooks);
    JS_FreeValue(context, host);
    JS_FreeValue(context, prelude);
}

__attribute__((constructor)) static void make_runtime(void) {
    making_image = !only_compile;
    open_context();
    if (only_compile)
        return;
    JS_SetHostPromiseRejectionTracker(JS_GetRuntime(context), on_rejection, NULL);
    run_prelude();
    JS_RunGC(JS_GetRuntime(context));
}

// Runs jobs and timers until the promise is settled, and takes its place. Returns whether it failed.
static int settle(JSValue *value) {
    JSRuntime *runtime = JS_GetRuntime(context);
    for (;;) {
        JSContext *of;
        int ran;
        while ((ran = JS_ExecutePendingJob(runtime, &of)) > 0)
            if (interrupt_flag.flag)
                break;
        if (ran < 0)
            return fail_with_exception();
        switch (JS_PromiseState(context, *value)) {
        case JS_PROMISE_FULFILLED: {
            JSValue result = JS_PromiseResult(context, *value);
            JS_FreeValue(context, *value);
            *value = result;
            return 0;
        }
        case JS_PROMISE_REJECTED: {
            JSValue reason = JS_PromiseResult(context, *value);
            fail_with(reason);
            JS_FreeValue(context, reason);
            return 1;
        }
        case JS_PROMISE_PENDING:
            break;
        default:
            return 0;
        }
        int timer = run_timer(context);
        if (timer < 0)
            return fail_with_exception();
        if (timer == 0) {
            if (unhandled_count > 0) {
                fail_with(unhandled[0].reason);
                return 1;
            }
            return -1;
        }
    }
}

static void start_call(void) {
    random_is_seeded = false;
    // What has run since the image was made must not decide when the next interruption comes.
    context->interrupt_counter = JS_INTERRUPT_COUNTER_INIT;
    JSRuntime *runtime = JS_GetRuntime(context);
    JS_SetGCThreshold(runtime, runtime->malloc_state.malloc_size + GARBAGE_BYTES);
    start_timers(context);
}

// How many promises the log says of that they were rejected.
#define MAX_UNHANDLED 10

static void warn_of_unhandled(void) {
    for (size_t at = 0; at < unhandled_count && at < MAX_UNHANDLED; at++) {
        JSValue told = JS_Call(context, hook_unhandled, JS_UNDEFINED, 1, (JSValueConst *)&unhandled[at].reason);
        if (JS_IsException(told))
            JS_FreeValue(context, JS_GetException(context));
    }
}

// Calls the op's handler and turns its result into JSON. Returns whether it failed.
static int run_handler(JSValueConst envelope, JSValue *json) {
    JSValue result = JS_Call(context, hook_call, JS_UNDEFINED, 1, &envelope);
    if (JS_IsException(result))
        return fail_with_exception();
    int failed = settle(&result);
    if (failed < 0)
        return fail_at_handler("the handler's promise never settled: nothing is left that could settle it");
    if (failed)
        return failed;
    if (JS_IsUndefined(result))
        return fail_at_handler("the handler returned nothing; return a JSON value, or null");
    is_result = true, has_promise = false;
    *json = JS_JSONStringify(context, result, JS_UNDEFINED, JS_UNDEFINED);
    is_result = false;
    if (JS_IsException(*json) && has_promise) {
        JS_FreeValue(context, JS_GetException(context));
        Text told = ask_hook(hook_promise, 1, (JSValueConst *)&result);
        return fail_at_handler(told.text ? told.text : "the handler's result has a promise in it: await it");
    }
    if (JS_IsException(*json))
        return fail_with_result();
    if (JS_IsUndefined(*json))
        return fail_at_handler(JS_IsFunction(context, result)
                                   ? "the handler returned a function, which JSON cannot hold"
                                   : "the handler returned a symbol, which JSON cannot hold");
    JS_FreeValue(context, result);
    return 0;
}

EXPORT("alloc") void *plugin_alloc(size_t size) {
    return malloc(size);
}

// Which libraries an op's code names, a bit each.
static int32_t named_libraries(const uint8_t *bytecode, size_t size) {
    op_bytecode = bytecode;
    op_size = size;
    JSValue bits = JS_Call(context, hook_named, JS_UNDEFINED, 0, NULL);
    op_bytecode = NULL;
    op_size = 0;
    int32_t named = 0;
    if (JS_IsException(bits) || JS_ToInt32(context, &named, bits))
        JS_FreeValue(context, JS_GetException(context));
    JS_FreeValue(context, bits);
    return named;
}

// Forgets the data of all libraries but these.
static void forget_pieces(int32_t named) {
    bool any = false;
    for (size_t place = 0; place < PIECE_OWNERS; place++) {
        size_t start = read_u32(pieces + 4 + 4 * place);
        size_t end = place + 1 < PIECE_OWNERS ? read_u32(pieces + 8 + 4 * place) : pieces_size;
        if (named & 1 << piece_owners[place])
            any = true;
        else
            wipe(pieces + start, end - start);
    }
    if (any)
        return;
    // The table of their names as well.
    wipe(pieces, read_u32(pieces + 4));
    pieces = NULL;
}

// Has the prelude load these now, so that no call does. Code that makes up its names as it runs may ask for URLs; the rest
// would be in every image for it.
static void load_libraries(int32_t named) {
    for (int index = 0; index < LIBRARIES; index++)
        if (index != URLS && !(named & 1 << index) && libraries[index].bytecode)
            forget_library(index);
    forget_pieces(named);
    JSValue bits = JS_NewInt32(context, named);
    JSValue loaded = JS_Call(context, hook_libraries, JS_UNDEFINED, 1, &bits);
    if (JS_IsException(loaded))
        JS_FreeValue(context, JS_GetException(context));
    JS_FreeValue(context, loaded);
}

// Room for a call's own shapes and names: a table that is full is sorted anew, which writes to all that is in it.
static void make_room_in_tables(JSRuntime *runtime) {
    if (3 * runtime->shape_hash_count > runtime->shape_hash_size)
        resize_shape_hash(runtime, runtime->shape_hash_bits + 1);
    if (4 * runtime->atom_count > 3 * runtime->atom_count_resize)
        JS_ResizeAtomHash(runtime, runtime->atom_hash_size * 2);
}

EXPORT("load") int32_t plugin_load(const uint8_t *bytecode, size_t size) {
    JSRuntime *runtime = JS_GetRuntime(context);
    set_stack_limit(runtime);
    leave_holes();
    start_call();
    JSValue module = JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE);
    int32_t named = named_libraries(bytecode, size);
    free_input((char *)bytecode, size);
    if (JS_IsException(module))
        return fail_with_exception();
    load_libraries(named);
    if (JS_ResolveModule(context, module) < 0)
        return fail_with_exception();
    JSModuleDef *definition = JS_VALUE_GET_PTR(module);
    JSValue evaluated = JS_EvalFunction(context, module);
    if (JS_IsException(evaluated))
        return fail_with_exception();
    int failed = settle(&evaluated);
    if (failed < 0)
        return fail_at_handler("the module's top-level await never settled: nothing is left that could settle it");
    if (failed)
        return failed;
    JS_FreeValue(context, evaluated);
    keep_timers();
    JSValue names = JS_GetModuleNamespace(context, definition);
    JSValue warmup = JS_Call(context, hook_load, JS_UNDEFINED, 1, &names);
    JS_FreeValue(context, names);
    if (JS_IsException(warmup))
        return fail_with_exception();
    // Several times: after the first, the heap's layout still changes from call to call.
    for (int i = 0; i < WARMUP_RUNS && !JS_IsUndefined(warmup); i++) {
        start_call();
        JSValue json;
        JSValue copy = JS_DupValue(context, warmup);
        failed = run_handler(copy, &json);
        JS_FreeValue(context, copy);
        if (failed)
            return failed;
        JS_FreeValue(context, json);
    }
    JS_FreeValue(context, warmup);
    start_call();
    JS_RunGC(runtime);
    make_room_in_tables(runtime);
    if (!heap_seal())
        return fail_with_full_heap();
    // New objects are linked to the one before: the first is to find that outside the image.
    JS_NewObject(context);
    return 0;
}

EXPORT("call") int32_t plugin_call(void) {
    set_stack_limit(JS_GetRuntime(context));
    start_call();
    size_t size;
    char *input = read_input(&size, 4 * SMALL_INPUT);
    if (!input) {
        JS_ThrowOutOfMemory(context);
        return fail_with_exception();
    }
    JSValue envelope = JS_ParseJSON(context, input, size, "input");
    if (JS_IsException(envelope))
        return fail_with_exception();
    JSValue json;
    if (run_handler(envelope, &json))
        return 1;
    Text output = text_of(json);
    if (!output.text) {
        JS_ThrowOutOfMemory(context);
        return fail_with_exception();
    }
    warn_of_unhandled();
    write_output(output.text, output.size);
    return 0;
}

// ---- The compiler ----

static void open_compiler(void) {
    only_compile = true;
    _initialize();
    set_stack_limit(JS_GetRuntime(context));
}

// The bytecode of this source; ends the process if there is none.
static uint8_t *compile(const char *source, size_t size, const char *name, int flags, size_t *bytecode_size) {
    JSValue compiled = JS_Eval(context, source, size, name, flags | JS_EVAL_FLAG_COMPILE_ONLY);
    uint8_t *bytecode = NULL;
    if (!JS_IsException(compiled)) {
        int strip = JS_WRITE_OBJ_STRIP_SOURCE;
        if (!(flags & JS_EVAL_TYPE_MODULE))
            strip |= JS_WRITE_OBJ_STRIP_DEBUG;
        bytecode = JS_WriteObject(context, bytecode_size, compiled, JS_WRITE_OBJ_BYTECODE | strip);
    }
    if (!bytecode) {
        fail_with_exception();
        __wasi_proc_exit(1);
    }
    return bytecode;
}

// Compiles the prelude and the libraries, whose sources are on stdin with a NUL between them, in a memory
// of its own: the base image is made from what this writes, and has nothing of the compiler's in it. It
// writes the size of each bytecode, in 4 bytes, and that bytecode; then, so, the data that follows the sources.
EXPORT("prepare") void plugin_prepare(void) {
    open_compiler();
    size_t size;
    char *sources = read_input(&size, 4 * SMALL_INPUT);
    if (!sources)
        abort();
    const char *at = sources, *end = sources + size;
    for (int script = 0; script <= LIBRARIES; script++) {
        const char *next = memchr(at, 0, end - at);
        if (!next)
            next = end;
        size_t bytecode_size;
        uint8_t *bytecode = compile(at, next - at, PRELUDE_NAME, JS_EVAL_TYPE_GLOBAL, &bytecode_size);
        uint32_t written = bytecode_size;
        write_output((const char *)&written, sizeof written);
        write_output((const char *)bytecode, bytecode_size);
        at = next < end ? next + 1 : end;
    }
    // What follows the last is data, as it is.
    uint32_t written = end - at;
    write_output((const char *)&written, sizeof written);
    write_output(at, written);
}

EXPORT("_start") void plugin_compile(void) {
    open_compiler();
    size_t size, name_size, source_size, bytecode_size;
    char *input = read_input(&size, 4 * SMALL_INPUT);
    if (!input)
        abort();
    JSValue request = JS_ParseJSON(context, input, size, "input");
    if (!JS_IsException(request)) {
        JSValue name = JS_GetPropertyStr(context, request, "name");
        JSValue source = JS_GetPropertyStr(context, request, "source");
        const char *name_text = JS_ToCStringLen(context, &name_size, name);
        const char *source_text = JS_ToCStringLen(context, &source_size, source);
        if (name_text && source_text) {
            uint8_t *bytecode = compile(source_text, source_size, name_text, JS_EVAL_TYPE_MODULE, &bytecode_size);
            write_output((const char *)bytecode, bytecode_size);
            return;
        }
    }
    fail_with_exception();
    __wasi_proc_exit(1);
}
