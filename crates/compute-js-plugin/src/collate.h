// The order of texts in a language: the Unicode Collation Algorithm (UTS 10) on the tables of prelude/data/collation.mjs.
//
// A text becomes elements, each with a primary weight (the letter), a secondary (its marks) and a tertiary (its case and form).
// Texts are compared by all their primaries first, then by the others.

#define NO_PRIMARY 0
// The mark that a letter has which sorts as several: æ after ae.
#define JOINED 255
#define IS_UPPER 0x80
#define FIRST_HAN 0x4e00
#define HAN (0x9fff - 0x4e00 + 1)
#define FIRST_RARE_HAN 0x3400
#define RARE_HAN (0x4dbf - 0x3400 + 1)
#define IS_HAN(c) ((c) - FIRST_HAN < HAN || (c) - FIRST_RARE_HAN < RARE_HAN)
#define WEIGHT_PAGES 0x200

typedef struct {
    uint16_t primary;
    uint8_t secondary, tertiary;
} Weight;

typedef struct {
    uint32_t letter, count;
    const uint8_t *letters;
    bool is_joined, is_upper;
} Expansion;

typedef struct {
    uint32_t letter, mark;
    uint16_t primary;
    uint8_t tertiary;
} Composite;

static struct {
    Weight *pages[WEIGHT_PAGES];
    Expansion *expansions;
    uint32_t expansion_count, letters, punctuation, zero, one;
    bool is_ready;
} root;

// A language's own order: where each letter's primary is in it, and letters with marks that are letters of their own.
typedef struct {
    char name[12];
    uint16_t *order;
    Composite *composites;
    uint32_t composite_count;
    // Whether some of them have no mark that can be taken off: ł.
    bool has_single;
} Tailoring;

static Tailoring tailorings[8];

// The most letters with marks that a language has as letters of their own.
#define MOST_COMPOSITES 512

typedef struct {
    uint32_t primary;
    uint8_t secondary, tertiary;
} Element;

typedef struct {
    JSContext *ctx;
    const Tailoring *tailoring;
    bool is_numeric, ignores_punctuation;
    Element *elements;
    size_t count, room;
    bool failed;
} Elements;

enum { COLLATE_NUMERIC = 1, COLLATE_IGNORES_PUNCTUATION = 2, COLLATE_ACCENTS = 4, COLLATE_CASE = 8, COLLATE_FORMS = 16, COLLATE_UPPER_FIRST = 32, COLLATE_LOWER_FIRST = 64 };

static uint32_t take_varint(const uint8_t **at) {
    uint32_t value = 0;
    for (int shift = 0; shift < 32; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

static int32_t take_signed(const uint8_t **at) {
    uint32_t value = take_varint(at);
    return value & 1 ? -(int32_t)(value >> 1) - 1 : (int32_t)(value >> 1);
}

static Weight *weight_of(JSContext *ctx, uint32_t letter) {
    Weight **page = &root.pages[letter >> 8];
    if (!*page)
        *page = js_mallocz(ctx, 256 * sizeof(Weight));
    return *page ? *page + (letter & 255) : NULL;
}

// What has no weight counts for nothing, or stands behind all that have one.
#define UNKNOWN_PRIMARY 0xffff

// Reads the table of all languages. False if there is no memory for it.
static bool collate_prepare(JSContext *ctx) {
    if (root.is_ready)
        return true;
    size_t size;
    const uint8_t *at = piece_of(ctx, "collation.root", &size);
    if (!at)
        return false;
    root.letters = take_varint(&at);
    root.punctuation = take_varint(&at);
    root.zero = take_varint(&at);
    root.one = take_varint(&at);
    uint32_t letter = 0;
    int32_t primary = 0;
    for (uint32_t left = take_varint(&at); left > 0; left--) {
        letter += take_varint(&at);
        primary += take_signed(&at);
        Weight *weight = letter >> 8 < WEIGHT_PAGES ? weight_of(ctx, letter) : NULL;
        if (!weight)
            return false;
        *weight = (Weight){primary, at[0], at[1]};
        at += 2;
    }
    root.expansion_count = take_varint(&at);
    root.expansions = js_mallocz(ctx, root.expansion_count * sizeof *root.expansions);
    if (!root.expansions)
        return false;
    letter = 0;
    for (uint32_t index = 0; index < root.expansion_count; index++) {
        letter += take_varint(&at);
        uint8_t count = *at++;
        root.expansions[index] = (Expansion){letter, count & 63, at, count & 64, count & 128};
        for (int left = count & 63; left > 0; left--)
            take_varint(&at);
    }
    letter = 0;
    for (uint32_t left = take_varint(&at); left > 0; left--) {
        letter += take_varint(&at);
        uint32_t count = take_varint(&at);
        for (uint32_t one = letter; one < letter + count; one++) {
            Weight *weight = one >> 8 < WEIGHT_PAGES ? weight_of(ctx, one) : NULL;
            if (!weight)
                return false;
            // No weight at all, and known.
            *weight = (Weight){NO_PRIMARY, 0, IS_UPPER};
        }
    }
    root.is_ready = true;
    return true;
}

// A language's own order: NULL if it has none, or there is no memory for it.
static const Tailoring *tailoring_of(JSContext *ctx, const char *name) {
    char chunk[32];
    Tailoring *tailoring = NULL;
    for (size_t index = 0; index < countof(tailorings) && !tailoring; index++)
        if (strcmp(tailorings[index].name, name) == 0 || !tailorings[index].name[0])
            tailoring = &tailorings[index];
    if (!tailoring || strlen(name) >= sizeof tailoring->name || strcmp(tailoring->name, name) == 0)
        return tailoring && tailoring->name[0] ? tailoring : NULL;
    snprintf(chunk, sizeof chunk, "collation.%s", name);
    size_t size;
    const uint8_t *at = piece_of(ctx, chunk, &size);
    if (!at)
        return NULL;
    uint32_t count = take_varint(&at), all = root.letters + 1 + HAN + RARE_HAN;
    Composite *composites = js_mallocz(ctx, (count + 1) * sizeof *composites);
    uint16_t *order = js_mallocz(ctx, all * sizeof *order);
    if (!composites || !order)
        return NULL;
    for (uint32_t index = 0; index < count; index++) {
        composites[index].letter = take_varint(&at);
        composites[index].mark = take_varint(&at);
        composites[index].primary = take_varint(&at);
        composites[index].tertiary = *at++;
    }
    uint16_t next = 1, own[MOST_COMPOSITES] = {0};
    int32_t end = 0;
    for (uint32_t left = take_varint(&at); left > 0; left--) {
        uint32_t length = take_varint(&at);
        if (length == 0) {
            own[take_varint(&at) % countof(own)] = next++;
            continue;
        }
        for (end += take_signed(&at); length > 0 && (uint32_t)end < all; length--)
            order[end++] = next++;
    }
    for (uint32_t one = 1; one < all; one++)
        if (!order[one])
            order[one] = next++;
    bool has_single = false;
    for (uint32_t index = 0; index < count; index++) {
        composites[index].primary = own[composites[index].primary % countof(own)];
        has_single = has_single || !composites[index].mark;
    }
    *tailoring = (Tailoring){.order = order, .composites = composites, .composite_count = count, .has_single = has_single};
    strcpy(tailoring->name, name);
    return tailoring;
}

// ---- Elements ----

static void add_element(Elements *to, uint32_t primary, uint8_t secondary, uint8_t tertiary) {
    if (to->count == to->room) {
        size_t room = to->room ? 2 * to->room : 32;
        Element *larger = js_realloc(to->ctx, to->elements, room * sizeof *larger);
        if (!larger) {
            to->failed = true;
            return;
        }
        to->elements = larger;
        to->room = room;
    }
    to->elements[to->count++] = (Element){primary, secondary, tertiary};
}

static const Expansion *expansion_of(uint32_t letter) {
    uint32_t low = 0, high = root.expansion_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (root.expansions[middle].letter == letter)
            return &root.expansions[middle];
        if (root.expansions[middle].letter < letter)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static uint32_t in_order(const Elements *to, uint32_t primary) {
    return to->tailoring ? to->tailoring->order[primary] : primary;
}

static void add_letter(Elements *to, uint32_t letter, uint8_t form) {
    if (IS_HAN(letter)) {
        uint32_t han = letter - FIRST_HAN < HAN ? letter - FIRST_HAN : HAN + letter - FIRST_RARE_HAN;
        add_element(to, in_order(to, root.letters + 1 + han), 0, form);
        return;
    }
    const Weight *page = letter >> 8 < WEIGHT_PAGES ? root.pages[letter >> 8] : NULL;
    const Weight *weight = page ? page + (letter & 255) : NULL;
    if (weight && (weight->primary || weight->secondary || weight->tertiary)) {
        if (!weight->primary && !weight->secondary)
            return;
        if (to->ignores_punctuation && weight->primary && weight->primary <= root.punctuation)
            return;
        add_element(to, weight->primary ? in_order(to, weight->primary) : NO_PRIMARY, weight->secondary, weight->tertiary + form);
        return;
    }
    const Expansion *expansion = expansion_of(letter);
    if (!expansion) {
        // Behind all that are known, in the order of their numbers.
        add_element(to, 0x10000 + letter, 0, form);
        return;
    }
    const uint8_t *at = expansion->letters;
    uint8_t inner = form + 1 + expansion->is_upper;
    for (uint32_t index = 0; index < expansion->count; index++) {
        size_t before = to->count;
        add_letter(to, take_varint(&at), inner);
        if (expansion->is_upper && to->count > before)
            to->elements[before].tertiary |= IS_UPPER;
        if (index == 0 && expansion->is_joined)
            add_element(to, NO_PRIMARY, JOINED, 0);
    }
}

static bool is_ascii_digit(uint32_t letter) {
    return letter - '0' < 10;
}

// The number that digits are, from `at`: how many they are, then each. Gives where they end.
static size_t add_number(Elements *to, const uint32_t *letters, size_t count, size_t at) {
    while (at < count && letters[at] == '0')
        at++;
    size_t end = at;
    while (end < count && is_ascii_digit(letters[end]))
        end++;
    // Among the digits: behind what is no letter, and before the letters.
    add_element(to, in_order(to, root.one), 0, 0);
    add_element(to, 1 + (end - at), 0, 0);
    for (; at < end; at++)
        add_element(to, 1 + letters[at] - '0', 0, 0);
    return end;
}

static const Composite *composite_of(const Tailoring *tailoring, uint32_t letter, uint32_t mark) {
    for (uint32_t index = 0; tailoring && index < tailoring->composite_count; index++)
        if (tailoring->composites[index].letter == letter && tailoring->composites[index].mark == mark)
            return &tailoring->composites[index];
    return NULL;
}

static void *collate_realloc(void *ctx, void *block, size_t size) {
    return js_realloc_rt(JS_GetRuntime(ctx), block, size);
}

// The elements of a text. False if there is no memory for them.
static bool add_text(Elements *to, JSString *text) {
    JSContext *ctx = to->ctx;
    size_t count = 0;
    uint32_t *letters = js_malloc(ctx, (text->len + 1) * sizeof *letters), *decomposed = letters;
    if (!letters)
        return false;
    bool is_plain = true;
    for (int at = 0; at < text->len;) {
        uint32_t letter = string_getc(text, &at);
        letters[count++] = letter;
        is_plain = is_plain && letter < 0xc0;
    }
    if (!is_plain) {
        int decomposed_count = unicode_normalize(&decomposed, letters, count, UNICODE_NFD, ctx, collate_realloc);
        js_free(ctx, letters);
        if (decomposed_count < 0)
            return false;
        count = decomposed_count;
    }
    for (size_t at = 0; at < count && !to->failed;) {
        uint32_t letter = decomposed[at];
        bool is_marked = at + 1 < count && decomposed[at + 1] >= 0x300;
        const Composite *composite = is_marked ? composite_of(to->tailoring, letter, decomposed[at + 1]) : NULL;
        if (!composite && letter >= 0xc0 && to->tailoring && to->tailoring->has_single)
            composite = composite_of(to->tailoring, letter, 0);
        if (composite) {
            add_element(to, composite->primary, 0, composite->tertiary);
            at += composite->mark ? 2 : 1;
        } else if (to->is_numeric && is_ascii_digit(letter)) {
            at = add_number(to, decomposed, count, at);
        } else {
            add_letter(to, letter, 0);
            at++;
        }
    }
    js_free(ctx, decomposed);
    return !to->failed;
}

// ---- Comparison ----

enum { PRIMARIES, SECONDARIES, CASES, FORMS };

// What an element has on a level, one more than it is; 0 if nothing.
static uint32_t on_level(const Element *element, int level, bool upper_first) {
    switch (level) {
    case PRIMARIES:
        return element->primary;
    case SECONDARIES:
        // A letter's own comes before all marks.
        return 1 + element->secondary + (element->primary ? 0 : 256);
    case CASES:
        return element->primary ? 1 + (!(element->tertiary & IS_UPPER) == upper_first) : 0;
    default:
        return 1 + (element->tertiary & ~IS_UPPER);
    }
}

static int compare_level(const Elements *a, const Elements *b, int level, bool upper_first) {
    for (size_t i = 0, j = 0;;) {
        uint32_t one = 0, other = 0;
        while (i < a->count && !(one = on_level(&a->elements[i++], level, upper_first)))
            ;
        while (j < b->count && !(other = on_level(&b->elements[j++], level, upper_first)))
            ;
        if (one != other)
            return one < other ? -1 : 1;
        if (!one)
            return 0;
    }
}

// -1, 0 or 1; 2 if there is no memory to say.
static int collate(JSContext *ctx, const char *language, int flags, JSString *one, JSString *other) {
    if (!collate_prepare(ctx))
        return 2;
    const Tailoring *tailoring = tailoring_of(ctx, language);
    if (JS_HasException(ctx))
        return 2;
    Elements a = {ctx, tailoring, flags & COLLATE_NUMERIC, flags & COLLATE_IGNORES_PUNCTUATION}, b = a;
    int result = 2;
    if (add_text(&a, one) && add_text(&b, other)) {
        bool upper_first = flags & COLLATE_UPPER_FIRST;
        result = compare_level(&a, &b, PRIMARIES, false);
        if (result == 0 && flags & COLLATE_ACCENTS)
            result = compare_level(&a, &b, SECONDARIES, false);
        if (result == 0 && (flags & (COLLATE_CASE | COLLATE_UPPER_FIRST | COLLATE_LOWER_FIRST)))
            result = compare_level(&a, &b, CASES, upper_first);
        if (result == 0 && flags & COLLATE_FORMS)
            result = compare_level(&a, &b, FORMS, false);
    }
    js_free(ctx, a.elements);
    js_free(ctx, b.elements);
    return result;
}
