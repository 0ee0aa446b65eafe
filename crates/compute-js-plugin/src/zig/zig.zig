// What the plugin has of Zig's standard library: it is quick, and kept.

comptime {
    _ = @import("hashes.zig");
    _ = @import("curves.zig");
    _ = @import("inflate.zig");
}
