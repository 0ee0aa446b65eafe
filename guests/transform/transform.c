// The transform job in C: see README.md.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 1000 };

static const char *at, *end;
static int keys, deepest;

static void fail(void) {
    fputs("transform: the input is not a JSON object\n", stderr);
    exit(1);
}

static void space(void) {
    while (at < end && memchr(" \t\r\n", *at, 4)) at++;
}

static int next_is(char c) {
    space();
    if (at == end || *at != c) return 0;
    at++;
    return 1;
}

static void string(void) {
    if (!next_is('"')) fail();
    while (at < end && *at != '"') {
        if ((unsigned char)*at < ' ') fail();
        if (*at++ != '\\') continue;
        if (at == end || !strchr("\"\\/bfnrtu", *at)) fail();
        if (*at++ != 'u') continue;
        for (int i = 0; i < 4; i++, at++)
            if (at == end || !strchr("0123456789abcdefABCDEF", *at)) fail();
    }
    if (at++ == end) fail();
}

static void digits(void) {
    if (at == end || *at < '0' || *at > '9') fail();
    while (at < end && *at >= '0' && *at <= '9') at++;
}

static void number(void) {
    if (*at == '-') at++;
    if (at < end && *at == '0') at++;
    else digits();
    if (at < end && *at == '.') at++, digits();
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        digits();
    }
}

static void literal(const char *word) {
    size_t length = strlen(word);
    if ((size_t)(end - at) < length || memcmp(at, word, length)) fail();
    at += length;
}

static void value(int depth);

static void members(int depth, char close, int named) {
    if (depth > MAX_DEPTH) fail();
    if (depth > deepest) deepest = depth;
    if (next_is(close)) return;
    do {
        if (named) {
            space();
            string();
            if (!next_is(':')) fail();
            if (depth == 1) keys++;
        }
        value(depth);
    } while (next_is(','));
    if (!next_is(close)) fail();
}

static void value(int depth) {
    space();
    if (at == end) fail();
    switch (*at) {
    case '{': at++; members(depth + 1, '}', 1); break;
    case '[': at++; members(depth + 1, ']', 0); break;
    case '"': string(); break;
    case 't': literal("true"); break;
    case 'f': literal("false"); break;
    case 'n': literal("null"); break;
    default: number();
    }
}

int main(void) {
    size_t length = 0, room = 4096;
    char *text = malloc(room);
    for (size_t got; text && (got = fread(text + length, 1, room - length, stdin)) > 0;) {
        length += got;
        if (length == room) text = realloc(text, room *= 2);
    }
    if (!text) return 2;

    at = text;
    end = text + length;
    space();
    const char *start = at;
    if (!next_is('{')) fail();
    members(1, '}', 1);
    const char *stop = at;
    space();
    if (at != end) fail();

    const char *body = stop - 1;
    while (memchr(" \t\r\n", body[-1], 4)) body--;
    fwrite(start, 1, body - start, stdout);
    printf("%s\"computed\":true,\"keys\":%d,\"depth\":%d,\"bytes\":%d}",
           keys ? "," : "", keys, deepest, (int)(stop - start));
    fprintf(stderr, "transform: %d keys\n", keys);
}
