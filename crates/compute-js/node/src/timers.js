const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
const setImmediate = (run, ...args) => setTimeout(run, 0, ...args);
const promises = {
  setTimeout: (delay, value) => new Promise((done) => setTimeout(done, delay, value)),
  setImmediate: (value) => new Promise((done) => setImmediate(done, value)),
};
module.exports = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate: clearTimeout, promises };
