// JavaScript's heap, made for memory images.
//
// What a call writes to must be put back before the next, page by page, so a call should touch few pages,
// next to each other. While an image is made, what is freed is zeroed: pages of zeros cost an image
// nothing. When the image is done the heap is sealed: holes between its objects are never filled again,
// and calls take their memory from one fresh stretch.
//
// References to what is in a sealed image are not counted, for a count would be a write to its page each
// time that a call uses an object. So nothing of the image is ever freed; its memory goes with the call.
//
// Blocks up to MAX_SMALL come from lists of their size, refilled from the stretch; larger ones from malloc.

// A block is aligned to 8 bytes; its size stands in the 4 before it.
#define HEADER 4
#define MAX_SMALL (32768 - HEADER)
#define CLASSES 87
// What stands before a block that malloc gave, which keeps its alignment.
#define LARGE_HEADER 8
// What malloc is asked for at once: with the few bytes that it adds, a power of two.
#define PIECE(size) ((size) - 64)
#define STRETCH PIECE(256 * 1024)
#define PAGE 4096
// The stack is at the start of memory and grows down to its bottom; so much of it may be in use by what
// zeroes the rest.
#define STACK_BOTTOM 1024
#define STACK_RESERVE 512

typedef struct Block {
    struct Block *next;
} Block;

static Block *free_blocks[CLASSES];
static char *stretch, *stretch_end;
static bool making_image = true;
// What lies below is the image.
static uintptr_t image_end;
// Stands for the count of everything in the image: so large that no call makes it 0, or 1, which would say
// that an object has one owner.
static int image_count = 1 << 30;
// The end of the highest block that malloc gave.
static char *highest;

// Zeroes memory that is about to be freed: a compiler leaves a mere memset out.
static void wipe(void *start, size_t size) {
    memset(start, 0, size);
    __asm__ volatile("" : : "r"(start) : "memory");
}

// With their headers, blocks go up by 8 bytes to 512, then by a quarter of each power of two.
static int class_of(size_t size) {
    size_t whole = size + HEADER;
    if (whole <= 512)
        return whole <= 16 ? 0 : (int)((whole + 7) / 8) - 2;
    int log = 31 - __builtin_clz((uint32_t)(whole - 1));
    return 63 + (log - 9) * 4 + (int)((whole - 1) >> (log - 2)) - 4;
}

static size_t class_size(int class) {
    if (class < 63)
        return (size_t)(class + 2) * 8 - HEADER;
    int step = class - 63;
    return (((size_t)(5 + step % 4)) << (step / 4 + 7)) - HEADER;
}

static bool is_in_image(const void *block) {
    return (uintptr_t)block < image_end;
}

static inline int *reference_count(const void *block) {
    return is_in_image(block) ? &image_count : &js_rc(block)->ref_count;
}

// Whether there was ever no memory left.
static bool heap_was_full;

// malloc, for what JavaScript allocates. What is free within a sealed image stays so.
static char *take(size_t size) {
    char *taken;
    do
        taken = malloc(size);
    while (taken && is_in_image(taken));
    if (!taken)
        heap_was_full = true;
    else if (taken + size > highest)
        highest = taken + size;
    return taken;
}

static size_t *size_of(const void *block) {
    return (size_t *)((char *)block - HEADER);
}

static void *heap_alloc(size_t size) {
    if (size > MAX_SMALL) {
        if (size > SIZE_MAX - LARGE_HEADER)
            return NULL;
        char *large = take(size + LARGE_HEADER);
        if (!large)
            return NULL;
        large += LARGE_HEADER;
        *size_of(large) = size;
        return large;
    }
    int class = class_of(size);
    Block *block = free_blocks[class];
    if (block) {
        free_blocks[class] = block->next;
        return block;
    }
    size_t whole = class_size(class) + HEADER;
    if ((size_t)(stretch_end - stretch) < whole) {
        char *more = take(STRETCH);
        if (!more)
            return NULL;
        // So that what follows a header is aligned.
        stretch = more + HEADER;
        stretch_end = more + STRETCH;
    }
    char *start = stretch + HEADER;
    stretch += whole;
    *size_of(start) = class_size(class);
    return start;
}

// QuickJS's runtime and context, which every call writes to: beside the heap's own state, so that they share
// its pages. Their sizes are theirs alone.
static void *alloc_beside(size_t size) {
    static struct {
        _Alignas(8) char padding[8 - HEADER];
        char header[HEADER];
        char block[sizeof(JSRuntime)];
    } runtime;
    static struct {
        _Alignas(8) char padding[8 - HEADER];
        char header[HEADER];
        char block[sizeof(JSMallocBlockHeader) + sizeof(JSContext)];
    } context;
    char *block;
    if (size == sizeof runtime.block)
        block = runtime.block;
    else if (size == sizeof context.block)
        block = context.block;
    else
        return NULL;
    if (*size_of(block) != 0)
        return NULL;
    *size_of(block) = size;
    return block;
}

static void heap_free(void *block) {
    if (!block || is_in_image(block))
        return;
    size_t size = *size_of(block);
    if (making_image)
        wipe(block, size);
    if (size > MAX_SMALL) {
        free((char *)block - LARGE_HEADER);
        return;
    }
    int class = class_of(size);
    ((Block *)block)->next = free_blocks[class];
    free_blocks[class] = block;
}

static void *heap_realloc(void *block, size_t size) {
    if (!block)
        return heap_alloc(size);
    size_t old = *size_of(block);
    if (size <= old && (old <= MAX_SMALL ? class_of(size) == class_of(old) : size > old / 2))
        return block;
    bool both_large = size > MAX_SMALL && old > MAX_SMALL;
    if (both_large && !making_image && !is_in_image(block) && size <= SIZE_MAX - LARGE_HEADER) {
        char *moved = realloc((char *)block - LARGE_HEADER, size + LARGE_HEADER);
        if (!moved)
            return NULL;
        moved += LARGE_HEADER;
        *size_of(moved) = size;
        return moved;
    }
    void *moved = heap_alloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, block, old < size ? old : size);
    heap_free(block);
    return moved;
}

// What is free between objects stays so: what comes now is to lie together, so that a call which changes some of it writes to
// few pages.
static void leave_holes(void) {
    for (int class = 0; class < CLASSES; class++) {
        for (Block *block = free_blocks[class]; block;) {
            Block *next = block->next;
            block->next = NULL;
            *size_of(block) = 0;
            block = next;
        }
        free_blocks[class] = NULL;
    }
}

// Ends the making of an image. False if there is no memory left that a call could take.
static bool heap_seal(void) {
    leave_holes();
    // Above all that there is.
    image_end = (uintptr_t)highest;
    char *fresh = take(STRETCH);
    if (!fresh)
        return false;
    // From a page's start, so that no page holds both old and new.
    image_end = ((uintptr_t)fresh + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    stretch = (char *)image_end + HEADER;
    stretch_end = fresh + STRETCH;
    making_image = false;
    // What calls before left on the stack, below this one.
    char here;
    memset((char *)STACK_BOTTOM, 0, (size_t)&here - STACK_BOTTOM - STACK_RESERVE);
    return true;
}

static void *js_heap_calloc(void *opaque, size_t count, size_t size) {
    (void)opaque;
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *block = making_image ? alloc_beside(count * size) : NULL;
    if (block)
        return block;
    block = heap_alloc(count * size);
    if (block)
        memset(block, 0, count * size);
    return block;
}

static void *js_heap_malloc(void *opaque, size_t size) {
    (void)opaque;
    return heap_alloc(size);
}

static void js_heap_free(void *opaque, void *block) {
    (void)opaque;
    heap_free(block);
}

static void *js_heap_realloc(void *opaque, void *block, size_t size) {
    (void)opaque;
    if (size == 0) {
        heap_free(block);
        return NULL;
    }
    return heap_realloc(block, size);
}

static size_t js_heap_usable_size(const void *block) {
    return block ? *size_of(block) : 0;
}

static const JSMallocFunctions heap_functions = {
    js_heap_calloc, js_heap_malloc, js_heap_free, js_heap_realloc, js_heap_usable_size,
};
