/* SPDX-License-Identifier: MIT */
/* SHA-256: known answers of FIPS 180-4, every way to cut a message, floats as bytes. SPEC 3.6. */
#include <string.h>

#include "../nn/hash.h"
#include "test.h"

void t_hash(void);

enum { LENGTHS = 131 };

static void same_digest(const char *what, nn_digest digest, const char *want)
{
    char hex[NN_HEX_BYTES];
    nn_digest_hex(hex, &digest);
    test_same_text(what, hex, want);
}

static void known_answers(void)
{
    test_case("hash known answers");
    same_digest("empty", nn_sha256_of("", 0),
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    same_digest("abc", nn_sha256_of("abc", 3),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    same_digest("448 bits",
                nn_sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void million(void)
{
    test_case("hash a million times a");
    unsigned char some[1000];
    nn_sha256 sha;
    memset(some, 'a', sizeof some);
    nn_sha256_begin(&sha);
    for (int i = 0; i < 1000; i++)
        nn_sha256_bytes(&sha, some, sizeof some);
    same_digest("million a", nn_sha256_end(&sha),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void fill(unsigned char bytes[LENGTHS])
{
    for (size_t i = 0; i < LENGTHS; i++)
        bytes[i] = (unsigned char)((i * 7) & 255);
}

/* Bytes (7 i + n) mod 256 for every length n; the digests hashed together. The value is from
 * another implementation (Python's hashlib). */
static void lengths(void)
{
    test_case("hash every length up to 130");
    unsigned char bytes[LENGTHS];
    nn_sha256 all;
    nn_sha256_begin(&all);
    for (size_t n = 0; n < LENGTHS; n++) {
        fill(bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)((bytes[i] + n) & 255);
        nn_digest digest = nn_sha256_of(bytes, n);
        nn_sha256_bytes(&all, digest.byte, sizeof digest.byte);
    }
    same_digest("digest of digests", nn_sha256_end(&all),
                "969b9f993f9c27e8424a46288c5b7999eee502a7befa92cad6cfef1034d76c51");
}

static void cuts(void)
{
    test_case("hash cut at every place");
    unsigned char bytes[LENGTHS];
    fill(bytes);
    for (size_t n = 0; n < LENGTHS; n++) {
        nn_digest whole = nn_sha256_of(bytes, n);
        for (size_t cut = 0; cut <= n; cut++) {
            nn_sha256 sha;
            nn_sha256_begin(&sha);
            nn_sha256_bytes(&sha, bytes, cut);
            nn_sha256_bytes(&sha, bytes + cut, n - cut);
            nn_digest parts = nn_sha256_end(&sha);
            if (!test_same_bytes("digest", parts.byte, whole.byte, sizeof whole.byte))
                return;
        }
    }
}

/* 1, -0, a signalling NaN with a sign and the smallest subnormal. */
static void floats(void)
{
    static const unsigned char bytes[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x80,
                                          0, 0, 0xc0, 0x7f, 1, 0, 0, 0};
    test_case("hash floats little-endian with one NaN");
    const float values[] = {1.0f, -0.0f, nn_float_from_bits(0xff800001), 0x1p-149f};
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_floats(&sha, values, 4);
    nn_digest got = nn_sha256_end(&sha), want = nn_sha256_of(bytes, sizeof bytes);
    test_same_bytes("digest", got.byte, want.byte, sizeof want.byte);
}

/* Any number of floats, in one call, is the same as one call each. */
static void many_floats(void)
{
    test_case("hash any number of floats");
    float values[50];
    nn_sha256 one_by_one, rest;
    for (size_t i = 0; i < 50; i++)
        values[i] = (float)i - 3.5f;
    nn_sha256_begin(&one_by_one);
    for (size_t n = 0; n < 50; n++) {
        nn_sha256 whole;
        nn_sha256_begin(&whole);
        nn_sha256_floats(&whole, values, n);
        rest = one_by_one;
        nn_digest got = nn_sha256_end(&whole), want = nn_sha256_end(&rest);
        test_same_bytes("digest", got.byte, want.byte, sizeof want.byte);
        nn_sha256_floats(&one_by_one, values + n, 1);
    }
}

void t_hash(void)
{
    known_answers();
    million();
    lengths();
    cuts();
    floats();
    many_floats();
}
