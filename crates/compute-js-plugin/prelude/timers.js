// Timers, in virtual time: when nothing else is left to run, the clock moves on to the timer that is due
// first. Nothing waits.

import { define } from "./globals.js";

// The longest delay, in milliseconds.
const LONGEST = 2 ** 31 - 1;

export function defineTimers(host) {
  // A binary heap: by when they are due, then in the order they were set.
  let heap = [];
  const set = new Map();
  let last = 0;
  // Those of the op's top level go on in its calls: up to this id.
  let kept = Infinity;
  // Each call's clock starts at 0; what came before it counts for the timers that are left.
  let passed = 0;
  let seen = 0;

  const now = () => passed + host.monotonic();
  const isBefore = (a, b) => a.due < b.due || (a.due === b.due && a.turn < b.turn);

  function push(timer) {
    timer.turn = ++last;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(timer, heap[above])) break;
      heap[at] = heap[above];
      at = above;
    }
    heap[at] = timer;
  }

  function pop() {
    const first = heap[0];
    const moved = heap.pop();
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1], heap[below])) below++;
      if (!isBefore(heap[below], moved)) break;
      heap[at] = heap[below];
      at = below;
    }
    heap[at] = moved;
    return first;
  }

  function add(run, delay, args, every) {
    if (typeof run !== "function") throw new TypeError("a timer takes a function");
    const asked = Number(delay) || 0;
    // What is longer than there is time for is as short as can be, as it is elsewhere.
    const wait = asked > LONGEST ? 1 : Math.max(every ? 1 : 0, asked);
    const timer = { id: 0, turn: 0, due: now() + wait, wait, run, args, every };
    push(timer);
    timer.id = timer.turn;
    set.set(timer.id, timer);
    return timer.id;
  }

  // Those that were cleared stay in the heap until there are many of them, or they would be due.
  function clear(id) {
    set.delete(id);
    if (heap.length > 64 && heap.length > 4 * set.size) sweep();
  }

  function sweep() {
    const left = heap.filter((timer) => set.get(timer.id) === timer);
    left.sort((a, b) => (isBefore(a, b) ? -1 : 1));
    heap = left;
  }

  define(globalThis, {
    setTimeout: (run, delay, ...args) => add(run, delay, args, false),
    setInterval: (run, delay, ...args) => add(run, delay, args, true),
    setImmediate: (run, ...args) => add(run, 0, args, false),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  });

  return {
    // Runs the timer that is due first. Says whether there was one.
    run() {
      while (heap.length > 0) {
        const timer = pop();
        if (set.get(timer.id) !== timer) continue;
        host.sleep(timer.due - now());
        if (timer.every) {
          timer.due += timer.wait;
          push(timer);
        } else {
          set.delete(timer.id);
        }
        timer.run(...timer.args);
        return true;
      }
      return false;
    },
    keep() {
      kept = last;
    },
    start() {
      if (heap.length === 0) return;
      for (const id of set.keys()) if (id > kept) set.delete(id);
      sweep();
      const clock = host.monotonic();
      if (clock < seen) passed += seen;
      seen = clock;
    },
  };
}
