// Hashes, and keys from passwords, of Zig's standard library: what is hashed may be large, and a key from a password is
// hundreds of thousands of hashes.
//
// A hash that is begun is its state's bytes, which JavaScript holds in a Uint8Array of STATE bytes.

const std = @import("std");
const hash = std.crypto.hash;

// By their numbers in prelude/hashes.js.
const kinds = .{
    hash.Md5,
    hash.Sha1,
    hash.sha2.Sha224,
    hash.sha2.Sha256,
    hash.sha2.Sha384,
    hash.sha2.Sha512,
    hash.sha2.Sha512_256,
};

// Room for the state of each: plugin.c has the same number.
const STATE = 256;

comptime {
    for (kinds) |Hash| std.debug.assert(@sizeOf(Hash) <= STATE);
}

fn load(comptime Hash: type, state: [*]const u8) Hash {
    var loaded: Hash = undefined;
    @memcpy(std.mem.asBytes(&loaded), state[0..@sizeOf(Hash)]);
    return loaded;
}

fn store(comptime Hash: type, state: [*]u8, value: *const Hash) void {
    @memcpy(state[0..@sizeOf(Hash)], std.mem.asBytes(value));
}

export fn hash_start(kind: u32, state: [*]u8) void {
    inline for (kinds, 0..) |Hash, number| {
        if (kind == number) store(Hash, state, &Hash.init(.{}));
    }
}

export fn hash_update(kind: u32, state: [*]u8, data: [*]const u8, size: usize) void {
    inline for (kinds, 0..) |Hash, number| {
        if (kind == number) {
            var value = load(Hash, state);
            value.update(data[0..size]);
            store(Hash, state, &value);
        }
    }
}

// Writes the digest, and says how many bytes it has.
export fn hash_finish(kind: u32, state: [*]const u8, digest: [*]u8) u32 {
    inline for (kinds, 0..) |Hash, number| {
        if (kind == number) {
            var value = load(Hash, state);
            value.final(digest[0..Hash.digest_length]);
            return Hash.digest_length;
        }
    }
    return 0;
}

// PBKDF2 with HMAC. False if it cannot be derived.
export fn hash_pbkdf2(
    kind: u32,
    password: [*]const u8,
    password_size: usize,
    salt: [*]const u8,
    salt_size: usize,
    rounds: u32,
    key: [*]u8,
    key_size: usize,
) bool {
    inline for (kinds, 0..) |Hash, number| {
        if (kind == number) {
            const Mac = std.crypto.auth.hmac.Hmac(Hash);
            std.crypto.pwhash.pbkdf2(key[0..key_size], password[0..password_size], salt[0..salt_size], rounds, Mac) catch return false;
            return true;
        }
    }
    return false;
}
