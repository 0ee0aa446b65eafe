// Timers, in virtual time: when nothing else is left to run, the clock moves on to the timer that is due first. Nothing waits.
//
// A timer has a place in a table, which its id names, and one in a binary heap: by when it is due, then in the order in which
// they were set.

// The longest delay, in milliseconds.
#define LONGEST_DELAY 2147483647.0
// The most timers at once: an id is a place in the table, and above its bits how often the place was taken.
#define PLACE_BITS 20
#define MAX_TIMERS (1u << PLACE_BITS)
// Where a timer is that is in no heap, and where a list of places ends.
#define NOWHERE UINT32_MAX

typedef struct {
    JSValue run;
    // The arguments, in an array; nothing if there are none.
    JSValue arguments;
    double due, wait;
    uint64_t turn;
    // In the heap; of a free place, the next free one.
    uint32_t at;
    uint32_t times;
    bool is_set, repeats, is_kept;
} Timer;

static struct {
    Timer *table;
    uint32_t *heap;
    uint32_t room, used, count, first_free;
    uint64_t turn;
    // Each call's clock starts at 0: what came before it counts for the timers that are left.
    double passed, seen;
} timers = {.first_free = NOWHERE};

// Milliseconds since the call began.
static double clock_now(void) {
    __wasi_timestamp_t now = 0;
    (void)!__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now);
    return (double)now / 1e6;
}

// Moves the sandbox's clocks on by so many milliseconds.
static void move_clock(double milliseconds) {
    __wasi_subscription_t subscription = {0};
    __wasi_event_t event;
    __wasi_size_t count;
    subscription.u.tag = __WASI_EVENTTYPE_CLOCK;
    subscription.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    subscription.u.u.clock.timeout = (uint64_t)(milliseconds * 1e6);
    (void)!__wasi_poll_oneoff(&subscription, &event, 1, &count);
}

static double timers_now(void) {
    return timers.passed + clock_now();
}

static bool is_before(uint32_t one, uint32_t other) {
    const Timer *a = &timers.table[one], *b = &timers.table[other];
    return a->due < b->due || (a->due == b->due && a->turn < b->turn);
}

static void put(uint32_t at, uint32_t place) {
    timers.heap[at] = place;
    timers.table[place].at = at;
}

static void move_up(uint32_t at, uint32_t place) {
    while (at > 0 && is_before(place, timers.heap[(at - 1) / 2])) {
        put(at, timers.heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(at, place);
}

static void move_down(uint32_t at, uint32_t place) {
    for (uint32_t below; (below = 2 * at + 1) < timers.count; at = below) {
        if (below + 1 < timers.count && is_before(timers.heap[below + 1], timers.heap[below]))
            below++;
        if (!is_before(timers.heap[below], place))
            break;
        put(at, timers.heap[below]);
    }
    put(at, place);
}

static void add_to_heap(uint32_t place) {
    timers.table[place].turn = ++timers.turn;
    move_up(timers.count++, place);
}

static void take_from_heap(uint32_t place) {
    uint32_t at = timers.table[place].at, last = timers.heap[--timers.count];
    timers.table[place].at = NOWHERE;
    if (last == place)
        return;
    if (at > 0 && is_before(last, timers.heap[(at - 1) / 2]))
        move_up(at, last);
    else
        move_down(at, last);
}

// A free place in the table, or NOWHERE.
static uint32_t take_place(JSRuntime *runtime) {
    if (timers.first_free != NOWHERE) {
        uint32_t place = timers.first_free;
        timers.first_free = timers.table[place].at;
        return place;
    }
    if (timers.used == timers.room) {
        uint32_t room = timers.room ? 2 * timers.room : 16;
        if (room > MAX_TIMERS)
            return NOWHERE;
        Timer *table = js_realloc_rt(runtime, timers.table, room * sizeof *table);
        if (table)
            timers.table = table;
        uint32_t *heap = js_realloc_rt(runtime, timers.heap, room * sizeof *heap);
        if (heap)
            timers.heap = heap;
        if (!table || !heap)
            return NOWHERE;
        timers.room = room;
    }
    timers.table[timers.used] = (Timer){0};
    return timers.used++;
}

// Gives back a timer's place. What it held is the caller's to free.
static void free_place(uint32_t place) {
    Timer *timer = &timers.table[place];
    timer->is_set = false;
    timer->at = timers.first_free;
    timers.first_free = place;
}

static void clear_timer(JSContext *ctx, uint32_t place) {
    Timer *timer = &timers.table[place];
    JSValue run = timer->run, arguments = timer->arguments;
    if (timer->at != NOWHERE)
        take_from_heap(place);
    free_place(place);
    JS_FreeValue(ctx, run);
    JS_FreeValue(ctx, arguments);
}

enum { TIMER_ONCE, TIMER_REPEATS, TIMER_AT_ONCE };

// setTimeout, setInterval, setImmediate.
static JSValue js_set_timer(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int kind) {
    double wait = 0;
    if (argc < 1 || !JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "a timer takes a function");
    int given = kind == TIMER_AT_ONCE ? 1 : 2;
    if (kind != TIMER_AT_ONCE && argc > 1 && JS_ToFloat64(ctx, &wait, argv[1]))
        return JS_EXCEPTION;
    // As in Node.js: whole milliseconds, at least 1; what is no number, or longer than there is time for, is as short as can be.
    if (kind != TIMER_AT_ONCE)
        wait = wait >= 1 && wait <= LONGEST_DELAY ? trunc(wait) : 1;
    JSValue arguments = JS_UNDEFINED;
    if (argc > given) {
        arguments = js_create_array(ctx, argc - given, argv + given);
        if (JS_IsException(arguments))
            return JS_EXCEPTION;
    }
    uint32_t place = take_place(JS_GetRuntime(ctx));
    if (place == NOWHERE) {
        JS_FreeValue(ctx, arguments);
        if (timers.used >= MAX_TIMERS)
            return JS_ThrowRangeError(ctx, "more than %u timers at once", MAX_TIMERS);
        return JS_ThrowOutOfMemory(ctx);
    }
    Timer *timer = &timers.table[place];
    *timer = (Timer){.run = JS_DupValue(ctx, argv[0]),
                     .arguments = arguments,
                     .due = floor(timers_now()) + wait,
                     .wait = wait,
                     .times = timer->times + 1,
                     .is_set = true,
                     .repeats = kind == TIMER_REPEATS};
    add_to_heap(place);
    return JS_NewFloat64(ctx, (double)timer->times * MAX_TIMERS + place);
}

// clearTimeout, clearInterval, clearImmediate.
static JSValue js_clear_timer(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv) {
    double id;
    if (argc < 1 || JS_IsUndefined(argv[0]) || JS_IsNull(argv[0]) || JS_IsObject(argv[0]))
        return JS_UNDEFINED;
    if (JS_ToFloat64(ctx, &id, argv[0]))
        return JS_EXCEPTION;
    if (!(id >= MAX_TIMERS && id < 9007199254740992.0))
        return JS_UNDEFINED;
    uint32_t place = (uint64_t)id % MAX_TIMERS;
    if (place < timers.used && timers.table[place].is_set && timers.table[place].times == (uint64_t)id / MAX_TIMERS)
        clear_timer(ctx, place);
    return JS_UNDEFINED;
}

// Runs the timer that is due first. 1 if there was one, 0 if there is none, -1 if it threw.
static int run_timer(JSContext *ctx) {
    if (timers.count == 0)
        return 0;
    uint32_t place = timers.heap[0];
    Timer *timer = &timers.table[place];
    double left = timer->due - timers_now();
    if (left > 0)
        move_clock(left);
    take_from_heap(place);
    JSValue run = timer->run, arguments = timer->arguments;
    if (timer->repeats) {
        JS_DupValue(ctx, run);
        JS_DupValue(ctx, arguments);
        timer->due += timer->wait;
        add_to_heap(place);
    } else {
        free_place(place);
    }
    JSValue result;
    if (JS_IsUndefined(arguments)) {
        result = JS_Call(ctx, run, JS_UNDEFINED, 0, NULL);
    } else {
        uint32_t count;
        JSValue *list = build_arg_list(ctx, &count, arguments);
        result = list ? JS_Call(ctx, run, JS_UNDEFINED, count, vc(list)) : JS_EXCEPTION;
        if (list)
            free_arg_list(ctx, list, count);
    }
    JS_FreeValue(ctx, run);
    JS_FreeValue(ctx, arguments);
    bool threw = JS_IsException(result);
    JS_FreeValue(ctx, result);
    return threw ? -1 : 1;
}

// Those that are set now were set by the op's top level, and go on in its calls.
static void keep_timers(void) {
    for (uint32_t place = 0; place < timers.used; place++)
        timers.table[place].is_kept = timers.table[place].is_set;
}

// Forgets those that an earlier call left.
static void start_timers(JSContext *ctx) {
    if (timers.count == 0)
        return;
    for (uint32_t place = 0; place < timers.used; place++)
        if (timers.table[place].is_set && !timers.table[place].is_kept)
            clear_timer(ctx, place);
    double clock = clock_now();
    if (clock < timers.seen)
        timers.passed += timers.seen;
    timers.seen = clock;
}

static const JSCFunctionListEntry timer_functions[] = {
    JS_CFUNC_MAGIC_DEF("setTimeout", 1, js_set_timer, TIMER_ONCE),
    JS_CFUNC_MAGIC_DEF("setInterval", 1, js_set_timer, TIMER_REPEATS),
    JS_CFUNC_MAGIC_DEF("setImmediate", 1, js_set_timer, TIMER_AT_ONCE),
    JS_CFUNC_DEF("clearTimeout", 1, js_clear_timer),
    JS_CFUNC_DEF("clearInterval", 1, js_clear_timer),
    JS_CFUNC_DEF("clearImmediate", 1, js_clear_timer),
};
