// ECDSA on the curves of NIST, and Ed25519, of Zig's standard library.
//
// Each function says whether it could be done; what it writes has the size that its curve has.

const std = @import("std");
const sign = std.crypto.sign;
const Ed25519 = sign.Ed25519;

// By their numbers in prelude/keys/curves.js.
const curves = .{ sign.ecdsa.EcdsaP256Sha256, sign.ecdsa.EcdsaP384Sha384 };

// A digest of any size as these take it: its first bytes, or with zeros before it (FIPS 186-5, 6.4.1).
fn resize(comptime size: usize, digest: []const u8) [size]u8 {
    var resized: [size]u8 = @splat(0);
    if (digest.len >= size) {
        @memcpy(&resized, digest[0..size]);
    } else {
        @memcpy(resized[size - digest.len ..], digest);
    }
    return resized;
}

fn Keys(comptime Curve: type) type {
    const size = Curve.SecretKey.encoded_length;
    return struct {
        fn pair(secret: [*]const u8) !Curve.KeyPair {
            const bytes = secret[0..size].*;
            try Curve.Curve.scalar.rejectNonCanonical(bytes, .big);
            return Curve.KeyPair.fromSecretKey(try Curve.SecretKey.fromBytes(bytes));
        }

        fn public(secret: [*]const u8, point: [*]u8) !void {
            const bytes = (try pair(secret)).public_key.toUncompressedSec1();
            @memcpy(point[0..bytes.len], &bytes);
        }

        fn decode(bytes: []const u8, point: [*]u8) !void {
            const key = try Curve.PublicKey.fromSec1(bytes);
            try key.p.rejectIdentity();
            const whole = key.toUncompressedSec1();
            @memcpy(point[0..whole.len], &whole);
        }

        fn make(secret: [*]const u8, digest: []const u8, signature: [*]u8) !void {
            const made = try (try pair(secret)).signPrehashed(resize(Curve.Hash.digest_length, digest), null);
            const bytes = made.toBytes();
            @memcpy(signature[0..bytes.len], &bytes);
        }

        fn check(point: [*]const u8, digest: []const u8, signature: [*]const u8) !void {
            const key = try Curve.PublicKey.fromSec1(point[0..Curve.PublicKey.uncompressed_sec1_encoded_length]);
            const made = Curve.Signature.fromBytes(signature[0..Curve.Signature.encoded_length].*);
            try made.verifyPrehashed(resize(Curve.Hash.digest_length, digest), key);
        }
    };
}

fn worked(result: anytype) bool {
    result catch return false;
    return true;
}

// The public key that belongs to a private one, uncompressed.
export fn ec_public(curve: u32, secret: [*]const u8, point: [*]u8) bool {
    inline for (curves, 0..) |Curve, number| {
        if (curve == number) return worked(Keys(Curve).public(secret, point));
    }
    return false;
}

// A public key, compressed or not, as it is uncompressed.
export fn ec_decode(curve: u32, bytes: [*]const u8, size: usize, point: [*]u8) bool {
    inline for (curves, 0..) |Curve, number| {
        if (curve == number) return worked(Keys(Curve).decode(bytes[0..size], point));
    }
    return false;
}

export fn ec_sign(curve: u32, secret: [*]const u8, digest: [*]const u8, digest_size: usize, signature: [*]u8) bool {
    inline for (curves, 0..) |Curve, number| {
        if (curve == number) return worked(Keys(Curve).make(secret, digest[0..digest_size], signature));
    }
    return false;
}

export fn ec_verify(curve: u32, point: [*]const u8, digest: [*]const u8, digest_size: usize, signature: [*]const u8) bool {
    inline for (curves, 0..) |Curve, number| {
        if (curve == number) return worked(Keys(Curve).check(point, digest[0..digest_size], signature));
    }
    return false;
}

fn edPair(seed: [*]const u8) !Ed25519.KeyPair {
    return Ed25519.KeyPair.generateDeterministic(seed[0..32].*);
}

fn edPublic(seed: [*]const u8, key: [*]u8) !void {
    key[0..32].* = (try edPair(seed)).public_key.toBytes();
}

fn edSign(seed: [*]const u8, data: []const u8, signature: [*]u8) !void {
    signature[0..64].* = (try (try edPair(seed)).sign(data, null)).toBytes();
}

fn edVerify(key: [*]const u8, data: []const u8, signature: [*]const u8) !void {
    const made = Ed25519.Signature.fromBytes(signature[0..64].*);
    try made.verifyStrict(data, try Ed25519.PublicKey.fromBytes(key[0..32].*));
}

export fn ed25519_public(seed: [*]const u8, key: [*]u8) bool {
    return worked(edPublic(seed, key));
}

export fn ed25519_sign(seed: [*]const u8, data: [*]const u8, size: usize, signature: [*]u8) bool {
    return worked(edSign(seed, data[0..size], signature));
}

export fn ed25519_verify(key: [*]const u8, data: [*]const u8, size: usize, signature: [*]const u8) bool {
    return worked(edVerify(key, data[0..size], signature));
}
