// The part of Node.js's zlib that works on what is whole, on fflate; there is no Brotli.
const { deflateSync, gunzipSync, gzipSync, inflateSync, unzlibSync, zlibSync } = require("fflate");

const bytesOf = (data) =>
  typeof data === "string" ? Buffer.from(data) : ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);

const level = ({ level = -1 } = {}) => ({ level: level < 0 ? 6 : level });

// What is compressed may be a lot more than it is: `maxOutputLength` bounds it, as the run's memory does.
function decode(run, data, { maxOutputLength = Infinity } = {}) {
  let bytes;
  try {
    bytes = run(bytesOf(data));
  } catch (error) {
    throw Object.assign(new Error(error.message === "unexpected EOF" ? "unexpected end of file" : "incorrect header check"), {
      code: error.message === "unexpected EOF" ? "Z_BUF_ERROR" : "Z_DATA_ERROR",
    });
  }
  if (bytes.length > maxOutputLength)
    throw Object.assign(new RangeError(`Cannot create a Buffer larger than ${maxOutputLength} bytes`), { code: "ERR_BUFFER_TOO_LARGE" });
  return Buffer.from(bytes);
}

const sync = {
  // Without a time, the same bytes give the same.
  gzip: (data, options) => Buffer.from(gzipSync(bytesOf(data), { ...level(options), mtime: 0 })),
  gunzip: (data, options) => decode(gunzipSync, data, options),
  deflate: (data, options) => Buffer.from(zlibSync(bytesOf(data), level(options))),
  inflate: (data, options) => decode(unzlibSync, data, options),
  deflateRaw: (data, options) => Buffer.from(deflateSync(bytesOf(data), level(options))),
  inflateRaw: (data, options) => decode(inflateSync, data, options),
  unzip(data, options) {
    const bytes = bytesOf(data);
    return bytes[0] === 0x1f ? sync.gunzip(bytes, options) : sync.inflate(bytes, options);
  },
};

const missing = (name) => () => {
  throw new Error(`node:zlib has no ${name} in a sandbox: it has gzip, deflate and deflateRaw, and what undoes them, all at once`);
};
const MISSING = [
  "brotliCompress", "brotliCompressSync", "brotliDecompress", "brotliDecompressSync", "createBrotliCompress", "createBrotliDecompress",
  "createDeflate", "createDeflateRaw", "createGunzip", "createGzip", "createInflate", "createInflateRaw", "createUnzip",
];

let table;
function crc32(data, value = 0) {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let code = byte;
    for (let bit = 0; bit < 8; bit++) code = code & 1 ? (code >>> 1) ^ 0xedb88320 : code >>> 1;
    return code;
  });
  let crc = ~value;
  for (const byte of bytesOf(data)) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

module.exports = { constants: { Z_BEST_COMPRESSION: 9, Z_BEST_SPEED: 1, Z_DEFAULT_COMPRESSION: -1, Z_NO_COMPRESSION: 0, Z_FINISH: 4, Z_SYNC_FLUSH: 2 }, crc32 };
for (const [name, run] of Object.entries(sync)) {
  module.exports[`${name}Sync`] = run;
  module.exports[name] = (data, options, callback = options) =>
    queueMicrotask(() => {
      let result;
      try {
        result = run(data, typeof options === "function" ? {} : options);
      } catch (error) {
        callback(error);
        return;
      }
      callback(null, result);
    });
}
for (const name of MISSING) module.exports[name] = missing(name);
