// JSON that is plain, read and written in one pass. Whatever is not (a mistake, a getter, a `toJSON`, a cycle, a key that is
// a number) is left to QuickJS from its beginning, which knows what to say and do about it: nothing here runs a script.
//
// QuickJS makes a string of each key and each number, and asks for `toJSON` and for each property by its name.

// ---- Reading ----

typedef struct {
    JSContext *ctx;
    const uint8_t *at, *start, *end;
} JsonReader;

// What could not be read here.
#define NOT_PLAIN JS_UNINITIALIZED

static uint8_t json_skip_space(JsonReader *in) {
    while (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')
        in->at++;
    return *in->at;
}

// Where the letters end that stand for themselves.
static const uint8_t *json_end_of_letters(const uint8_t *at) {
    // A NUL ends the text, at the latest.
    while (*at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

// A string, after its quote, that is not only letters.
static JSValue json_read_escaped(JsonReader *in) {
    JSParseState state;
    js_parse_init(in->ctx, &state, (const char *)in->start, in->end - in->start, "input", 1);
    state.token.val = TOK_EOF;
    if (json_parse_string(&state, &in->at)) {
        JS_FreeValue(in->ctx, JS_GetException(in->ctx));
        return NOT_PLAIN;
    }
    return state.token.u.str.str;
}

static JSValue json_read_string(JsonReader *in) {
    const uint8_t *from = ++in->at, *to = json_end_of_letters(from);
    if (*to != '"' || to >= in->end)
        return json_read_escaped(in);
    in->at = to + 1;
    return js_new_string8_len(in->ctx, (const char *)from, to - from);
}

static JSAtom json_read_key(JsonReader *in) {
    const uint8_t *from = in->at + 1, *to = json_end_of_letters(from);
    if (*to == '"' && to < in->end) {
        in->at = to + 1;
        return JS_NewAtomLen(in->ctx, (const char *)from, to - from);
    }
    JSValue key = json_read_string(in);
    if (JS_IsUninitialized(key) || JS_IsException(key))
        return JS_ATOM_NULL;
    JSAtom atom = JS_ValueToAtom(in->ctx, key);
    JS_FreeValue(in->ctx, key);
    return atom;
}

// A number of up to fifteen digits and its power of ten up to 22 are exact, and so is what they make.
static JSValue json_read_number(JsonReader *in) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *from = in->at, *at = from;
    bool negative = *at == '-';
    at += negative;
    uint64_t digits = 0;
    int count = 0, power = 0;
    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return NOT_PLAIN;
    for (; is_digit(*at); at++, count++)
        digits = digits * 10 + (*at - '0');
    if (*at == '.') {
        at++;
        if (!is_digit(*at))
            return NOT_PLAIN;
        for (; is_digit(*at); at++, count++, power--)
            digits = digits * 10 + (*at - '0');
    }
    bool has_exponent = *at == 'e' || *at == 'E';
    if (has_exponent) {
        at++;
        bool is_small = *at == '-';
        at += is_small || *at == '+';
        if (!is_digit(*at))
            return NOT_PLAIN;
        int exponent = 0;
        for (; is_digit(*at); at++)
            exponent = exponent < 10000 ? exponent * 10 + (*at - '0') : exponent;
        power += is_small ? -exponent : exponent;
    }
    in->at = at;
    if (power == 0 && count <= 9 && !has_exponent && !(negative && digits == 0))
        return js_int32(negative ? -(int32_t)digits : (int32_t)digits);
    double value;
    if (count <= 15 && power >= -22 && power <= 22)
        value = power < 0 ? (double)digits / powers[-power] : (double)digits * powers[power];
    else
        return js_float64(strtod((const char *)from, NULL));
    return js_float64(negative ? -value : value);
}

static JSValue json_read_value(JsonReader *in);

static JSValue json_read_array(JsonReader *in) {
    JSContext *ctx = in->ctx;
    JSValue array = JS_NewArray(ctx), value = NOT_PLAIN;
    if (JS_IsException(array))
        return array;
    JSObject *object = JS_VALUE_GET_OBJ(array);
    in->at++;
    if (json_skip_space(in) == ']') {
        in->at++;
        return array;
    }
    for (;;) {
        value = json_read_value(in);
        if (JS_IsUninitialized(value) || JS_IsException(value))
            break;
        if (add_fast_array_element(ctx, object, value, 0) < 0) {
            value = JS_EXCEPTION;
            break;
        }
        uint8_t next = json_skip_space(in);
        in->at++;
        if (next == ']')
            return array;
        if (next != ',') {
            value = NOT_PLAIN;
            break;
        }
    }
    JS_FreeValue(ctx, array);
    return value;
}

// Adds a property, or gives it another value.
static bool json_define(JSContext *ctx, JSObject *object, JSAtom key, JSValue value) {
    JSProperty *property;
    if (find_own_property(&property, object, key)) {
        set_value(ctx, &property->u.value, value);
        return true;
    }
    property = add_property(ctx, object, key, JS_PROP_C_W_E);
    if (!property) {
        JS_FreeValue(ctx, value);
        return false;
    }
    property->u.value = value;
    return true;
}

static JSValue json_read_object(JsonReader *in) {
    JSContext *ctx = in->ctx;
    JSValue made = JS_NewObject(ctx), value = NOT_PLAIN;
    if (JS_IsException(made))
        return made;
    JSObject *object = JS_VALUE_GET_OBJ(made);
    in->at++;
    if (json_skip_space(in) == '}') {
        in->at++;
        return made;
    }
    while (json_skip_space(in) == '"') {
        JSAtom key = json_read_key(in);
        if (key == JS_ATOM_NULL) {
            value = JS_HasException(ctx) ? JS_EXCEPTION : NOT_PLAIN;
            break;
        }
        value = NOT_PLAIN;
        if (json_skip_space(in) == ':') {
            in->at++;
            value = json_read_value(in);
        }
        if (!JS_IsUninitialized(value) && !JS_IsException(value) && !json_define(ctx, object, key, value))
            value = JS_EXCEPTION;
        JS_FreeAtom(ctx, key);
        if (JS_IsUninitialized(value) || JS_IsException(value))
            break;
        value = NOT_PLAIN;
        uint8_t next = json_skip_space(in);
        in->at++;
        if (next == '}')
            return made;
        if (next != ',')
            break;
    }
    JS_FreeValue(ctx, made);
    return value;
}

static bool json_take(JsonReader *in, const char *word) {
    size_t size = strlen(word);
    if (strncmp((const char *)in->at, word, size) != 0)
        return false;
    in->at += size;
    return true;
}

static JSValue json_read_value(JsonReader *in) {
    if (js_check_deep(in->ctx->rt))
        return NOT_PLAIN;
    switch (json_skip_space(in)) {
    case '{':
        return json_read_object(in);
    case '[':
        return json_read_array(in);
    case '"':
        return json_read_string(in);
    case 't':
        return json_take(in, "true") ? JS_TRUE : NOT_PLAIN;
    case 'f':
        return json_take(in, "false") ? JS_FALSE : NOT_PLAIN;
    case 'n':
        return json_take(in, "null") ? JS_NULL : NOT_PLAIN;
    default:
        return json_read_number(in);
    }
}

// Reads a text, after which a NUL stands.
static JSValue json_read(JSContext *ctx, const char *text, size_t size) {
    JsonReader in = {ctx, (const uint8_t *)text, (const uint8_t *)text, (const uint8_t *)text + size};
    JSValue value = json_read_value(&in);
    if (JS_IsUninitialized(value) || JS_IsException(value))
        return value;
    json_skip_space(&in);
    if (in.at == in.end)
        return value;
    JS_FreeValue(ctx, value);
    return NOT_PLAIN;
}

// ---- Writing ----

// The objects that a value is in.
typedef struct JsonPath {
    const JSObject *object;
    const struct JsonPath *above;
} JsonPath;

enum { JSON_FAILED = -1, JSON_WRITTEN, JSON_NOT_PLAIN };

// Writes a string in quotes.
static int json_quote(StringBuffer *out, JSString *string) {
    if (string_buffer_putc8(out, '"'))
        return JSON_FAILED;
    for (int at = 0; at < string->len;) {
        if (!string->is_wide_char) {
            const uint8_t *letters = str8(string) + at;
            int count = 0;
            while (at + count < string->len && letters[count] >= 0x20 && letters[count] != '"' && letters[count] != '\\')
                count++;
            if (count > 0 && string_buffer_write8(out, letters, count))
                return JSON_FAILED;
            at += count;
            if (at == string->len)
                break;
        }
        uint32_t letter = string_getc(string, &at);
        static const char escaped[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        const char *found = NULL;
        for (int pair = 0; letter < 0x80 && pair < 14 && !found; pair += 2)
            if ((uint32_t)escaped[pair] == letter)
                found = &escaped[pair + 1];
        char unicode[8];
        if (found ? string_buffer_putc8(out, '\\') || string_buffer_putc8(out, *found)
            : letter < 0x20 || is_surrogate(letter)
                ? (snprintf(unicode, sizeof unicode, "\\u%04x", letter), string_buffer_write8(out, (uint8_t *)unicode, 6))
                : string_buffer_putc(out, letter))
            return JSON_FAILED;
    }
    return string_buffer_putc8(out, '"') ? JSON_FAILED : JSON_WRITTEN;
}

static bool json_has_to_json(JSObject *object) {
    JSProperty *property;
    return find_own_property(&property, object, JS_ATOM_toJSON) != NULL;
}

// Whether an object inherits nothing that decides how it is written.
static bool json_inherits_nothing(JSContext *ctx, const JSObject *object) {
    for (JSObject *above = object->shape->proto; above; above = above->shape->proto)
        if ((above->is_exotic && above->class_id != JS_CLASS_ARRAY) || json_has_to_json(above))
            return false;
    return true;
}

static int json_write_value(StringBuffer *out, JSValueConst value, const JsonPath *above);

static int json_write_array(StringBuffer *out, JSObject *array, const JsonPath *path) {
    if (!array->fast_array || JS_VALUE_GET_TAG(array->prop[0].u.value) != JS_TAG_INT ||
        (uint32_t)JS_VALUE_GET_INT(array->prop[0].u.value) != array->u.array.count)
        return JSON_NOT_PLAIN;
    if (array->shape->prop_count > 1 && json_has_to_json(array))
        return JSON_NOT_PLAIN;
    if (string_buffer_putc8(out, '['))
        return JSON_FAILED;
    for (uint32_t at = 0; at < array->u.array.count; at++) {
        JSValueConst value = array->u.array.u.values[at];
        if (at > 0 && string_buffer_putc8(out, ','))
            return JSON_FAILED;
        int written = JS_IsUndefined(value) ? (string_buffer_write8(out, (const uint8_t *)"null", 4) ? JSON_FAILED : JSON_WRITTEN)
                                            : json_write_value(out, value, path);
        if (written != JSON_WRITTEN)
            return written;
    }
    return string_buffer_putc8(out, ']') ? JSON_FAILED : JSON_WRITTEN;
}

static int json_write_object(StringBuffer *out, JSObject *object, const JsonPath *path) {
    JSContext *ctx = out->ctx;
    JSShape *shape = object->shape;
    JSShapeProperty *properties = get_shape_prop(shape);
    bool is_first = true;
    if (string_buffer_putc8(out, '{'))
        return JSON_FAILED;
    for (int at = 0; at < shape->prop_count; at++) {
        JSAtom key = properties[at].atom;
        int flags = properties[at].flags;
        if (key == JS_ATOM_NULL)
            continue;
        // Numbers come first, by their size.
        if (__JS_AtomIsTaggedInt(key) || key == JS_ATOM_toJSON)
            return JSON_NOT_PLAIN;
        JSString *name = ctx->rt->atom_array[key];
        if (name->atom_type != JS_ATOM_TYPE_STRING || !(flags & JS_PROP_ENUMERABLE))
            continue;
        if ((flags & JS_PROP_TMASK) != JS_PROP_NORMAL || (name->len > 0 && !name->is_wide_char && is_digit(str8(name)[0])))
            return JSON_NOT_PLAIN;
        JSValueConst value = object->prop[at].u.value;
        if (JS_IsUndefined(value) || JS_IsSymbol(value))
            continue;
        if ((!is_first && string_buffer_putc8(out, ',')) || json_quote(out, name) != JSON_WRITTEN || string_buffer_putc8(out, ':'))
            return JSON_FAILED;
        is_first = false;
        int written = json_write_value(out, value, path);
        if (written != JSON_WRITTEN)
            return written;
    }
    return string_buffer_putc8(out, '}') ? JSON_FAILED : JSON_WRITTEN;
}

static int json_write_value(StringBuffer *out, JSValueConst value, const JsonPath *above) {
    char digits[128];
    int count;
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_STRING:
        return json_quote(out, JS_VALUE_GET_STRING(value));
    case JS_TAG_INT:
        count = i32toa(digits, JS_VALUE_GET_INT(value));
        break;
    case JS_TAG_BOOL:
        count = snprintf(digits, sizeof digits, JS_VALUE_GET_BOOL(value) ? "true" : "false");
        break;
    case JS_TAG_NULL:
        count = snprintf(digits, sizeof digits, "null");
        break;
    case JS_TAG_FLOAT64: {
        JSDTOATempMem memory;
        double number = JS_VALUE_GET_FLOAT64(value);
        count = isfinite(number) ? js_dtoa(digits, number, 10, 0, JS_DTOA_FORMAT_FREE, &memory)
                                 : snprintf(digits, sizeof digits, "null");
        break;
    }
    case JS_TAG_OBJECT: {
        JSObject *object = JS_VALUE_GET_OBJ(value);
        const JsonPath path = {object, above};
        bool is_array = object->class_id == JS_CLASS_ARRAY;
        if ((!is_array && (object->class_id != JS_CLASS_OBJECT || object->is_exotic)) || js_check_deep(out->ctx->rt) ||
            !json_inherits_nothing(out->ctx, object))
            return JSON_NOT_PLAIN;
        for (const JsonPath *at = above; at; at = at->above)
            if (at->object == object)
                return JSON_NOT_PLAIN;
        return is_array ? json_write_array(out, object, &path) : json_write_object(out, object, &path);
    }
    default:
        return JSON_NOT_PLAIN;
    }
    return string_buffer_write8(out, (uint8_t *)digits, count) ? JSON_FAILED : JSON_WRITTEN;
}

// A value as a string; not if it is not plain.
static JSValue json_write(JSContext *ctx, JSValueConst value) {
    StringBuffer out;
    if (!JS_IsObject(value))
        return NOT_PLAIN;
    if (string_buffer_init(ctx, &out, 0))
        return JS_EXCEPTION;
    int written = json_write_value(&out, value, NULL);
    if (written == JSON_WRITTEN)
        return string_buffer_end(&out);
    string_buffer_free(&out);
    return written == JSON_FAILED ? JS_EXCEPTION : NOT_PLAIN;
}
