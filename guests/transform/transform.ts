// The transform job in AssemblyScript: see README.md. It speaks WASI preview 1 directly.

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, buffers: usize, count: i32, size: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, buffers: usize, count: i32, size: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: i32): void;

const MAX_DEPTH = 1000;
const buffer = memory.data(8);
const size = memory.data(4);

let text = new Uint8Array(4096);
let end = 0;
let at = 0;
let keys = 0;
let deepest = 0;

function write(fd: i32, bytes: usize, length: usize): void {
  while (length > 0) {
    store<usize>(buffer, bytes);
    store<usize>(buffer, length, 4);
    if (fd_write(fd, buffer, 1, size) != 0) proc_exit(2);
    const written = load<usize>(size);
    bytes += written;
    length -= written;
  }
}

function print(fd: i32, line: string): void {
  const bytes = String.UTF8.encode(line);
  write(fd, changetype<usize>(bytes), bytes.byteLength);
}

function fail(): void {
  print(2, "transform: the input is not a JSON object\n");
  proc_exit(1);
}

/** The byte here, or 0 at the end; a 0 byte is no JSON either. */
function peek(): u8 {
  return at < end ? unchecked(text[at]) : 0;
}

function isSpace(byte: u8): bool {
  return byte == 0x20 || byte == 0x09 || byte == 0x0d || byte == 0x0a;
}

function space(): void {
  while (isSpace(peek())) at++;
}

function nextIs(byte: u8): bool {
  space();
  if (peek() != byte) return false;
  at++;
  return true;
}

function str(): void {
  if (!nextIs(0x22)) fail();
  for (;;) {
    const byte = peek();
    if (byte < 0x20) fail();
    at++;
    if (byte == 0x22) return;
    if (byte != 0x5c) continue;
    const escape = peek();
    at++;
    if (escape == 0x75) {
      for (let i = 0; i < 4; i++, at++) {
        const hex = peek() | 0x20;
        const digit = peek() >= 0x30 && peek() <= 0x39;
        if (!digit && (hex < 0x61 || hex > 0x66)) fail();
      }
    } else if (!"\"\\/bfnrt".includes(String.fromCharCode(escape))) {
      fail();
    }
  }
}

function digits(): void {
  if (peek() < 0x30 || peek() > 0x39) fail();
  while (peek() >= 0x30 && peek() <= 0x39) at++;
}

function number(): void {
  if (peek() == 0x2d) at++;
  if (peek() == 0x30) at++;
  else digits();
  if (peek() == 0x2e) {
    at++;
    digits();
  }
  if ((peek() | 0x20) == 0x65) {
    at++;
    if (peek() == 0x2b || peek() == 0x2d) at++;
    digits();
  }
}

function literal(word: string): void {
  for (let i = 0; i < word.length; i++, at++) {
    if (peek() != <u8>word.charCodeAt(i)) fail();
  }
}

function members(depth: i32, close: u8): void {
  if (depth > MAX_DEPTH) fail();
  deepest = max(deepest, depth);
  if (nextIs(close)) return;
  do {
    if (close == 0x7d) {
      space();
      str();
      if (!nextIs(0x3a)) fail();
      if (depth == 1) keys++;
    }
    value(depth);
  } while (nextIs(0x2c));
  if (!nextIs(close)) fail();
}

function value(depth: i32): void {
  space();
  switch (peek()) {
    case 0x7b: at++; members(depth + 1, 0x7d); break;
    case 0x5b: at++; members(depth + 1, 0x5d); break;
    case 0x22: str(); break;
    case 0x74: literal("true"); break;
    case 0x66: literal("false"); break;
    case 0x6e: literal("null"); break;
    default: number();
  }
}

function read(): void {
  for (;;) {
    if (end == text.length) {
      const larger = new Uint8Array(text.length * 2);
      larger.set(text);
      text = larger;
    }
    store<usize>(buffer, text.dataStart + end);
    store<usize>(buffer, text.length - end, 4);
    if (fd_read(0, buffer, 1, size) != 0) proc_exit(2);
    const got = load<i32>(size);
    if (got == 0) return;
    end += got;
  }
}

export function _start(): void {
  read();
  space();
  const start = at;
  if (!nextIs(0x7b)) fail();
  members(1, 0x7d);
  const stop = at;
  space();
  if (at != end) fail();

  let body = stop - 1;
  while (isSpace(text[body - 1])) body--;
  write(1, text.dataStart + start, body - start);
  const comma = keys > 0 ? "," : "";
  print(1, `${comma}"computed":true,"keys":${keys},"depth":${deepest},"bytes":${stop - start}}`);
  print(2, `transform: ${keys} keys\n`);
}
