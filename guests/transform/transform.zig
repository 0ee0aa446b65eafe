//! The transform job in Zig: see README.md.

const std = @import("std");

const Measured = struct { start: usize, stop: usize, keys: usize, depth: usize };

fn measure(text: []const u8, allocator: std.mem.Allocator) !Measured {
    var scanner = std.json.Scanner.initCompleteInput(allocator, text);
    defer scanner.deinit();
    var measured: Measured = .{ .start = 0, .stop = 0, .keys = 0, .depth = 0 };
    var tokens: usize = 0;
    if (try scanner.peekNextTokenType() != .object_begin) return error.NotAnObject;
    measured.start = scanner.cursor;
    while (true) {
        const before = scanner.stackHeight();
        switch (try scanner.next()) {
            .object_begin, .array_begin => {
                if (before == 1) tokens += 1;
                measured.depth = @max(measured.depth, before + 1);
            },
            .object_end, .array_end => if (before == 1) {
                measured.stop = scanner.cursor;
            },
            // A value that comes in parts ends with one of these.
            .string, .number, .true, .false, .null => if (before == 1) {
                tokens += 1;
            },
            .end_of_document => break,
            else => {},
        }
    }
    measured.keys = tokens / 2;
    return measured;
}

pub fn main(init: std.process.Init) !void {
    const allocator = init.gpa;
    var stdin = std.Io.File.stdin().readerStreaming(init.io, &.{});
    const text = try stdin.interface.allocRemaining(allocator, .unlimited);

    const measured = measure(text, allocator) catch {
        std.debug.print("transform: the input is not a JSON object\n", .{});
        std.process.exit(1);
    };
    const object = text[measured.start..measured.stop];
    const body = std.mem.trimEnd(u8, object[0 .. object.len - 1], " \t\r\n");
    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writerStreaming(init.io, &buffer);
    try stdout.interface.print(
        "{s}{s}\"computed\":true,\"keys\":{d},\"depth\":{d},\"bytes\":{d}}}",
        .{ body, if (measured.keys > 0) "," else "", measured.keys, measured.depth, object.len },
    );
    try stdout.interface.flush();
    std.debug.print("transform: {d} keys\n", .{measured.keys});
}
