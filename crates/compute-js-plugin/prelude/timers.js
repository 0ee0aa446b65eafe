// Timers, in virtual time: when nothing else is left to run, the clock moves on to the timer that is due
// first. Nothing waits.

import { define } from "./globals.js";

export function defineTimers(host) {
  // By when they are due, then in the order they were set.
  let timers = [];
  let last = 0;

  function set(run, delay, args, every) {
    if (typeof run !== "function") throw new TypeError("a timer takes a function");
    const wait = Math.max(every ? 1 : 0, Number(delay) || 0);
    const timer = { id: ++last, due: host.monotonic() + wait, wait, run, args, every };
    insert(timer);
    return timer.id;
  }

  function insert(timer) {
    const at = timers.findIndex((other) => other.due > timer.due);
    if (at < 0) timers.push(timer);
    else timers.splice(at, 0, timer);
  }

  function clear(id) {
    timers = timers.filter((timer) => timer.id !== id);
  }

  define(globalThis, {
    setTimeout: (run, delay, ...args) => set(run, delay, args, false),
    setInterval: (run, delay, ...args) => set(run, delay, args, true),
    setImmediate: (run, ...args) => set(run, 0, args, false),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear,
  });

  // Runs the timer that is due first. Says whether there was one.
  function runTimer() {
    const timer = timers.shift();
    if (timer === undefined) return false;
    host.sleep(timer.due - host.monotonic());
    if (timer.every) {
      timer.due += timer.wait;
      insert(timer);
    }
    timer.run(...timer.args);
    return true;
  }
  runTimer.clear = () => {
    if (timers.length > 0) timers = [];
  };
  return runTimer;
}
