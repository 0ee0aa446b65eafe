// DEFLATE (RFC 1951), of Zig's standard library: the data of Intl is kept so.

const std = @import("std");

// Inflates into a buffer that has the size of what comes out. False if that is not what these bytes are.
export fn inflate(from: [*]const u8, from_size: usize, to: [*]u8, to_size: usize) bool {
    var input: std.Io.Reader = .fixed(from[0..from_size]);
    var inflater: std.compress.flate.Decompress = .init(&input, .raw, &.{});
    var output: std.Io.Writer = .fixed(to[0..to_size]);
    const size = inflater.reader.streamRemaining(&output) catch return false;
    return size == to_size;
}
