/* SPDX-License-Identifier: MIT */
/* SHA-256 written from FIPS 180-4, byte by byte, so that the host's byte order never enters.
 * SPEC 3.6. */
#include "hash.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, FLOAT_BYTES = 4 };

/* The first 32 bits of the fractional parts of the square roots of the first 8 primes
 * (FIPS 180-4, 5.3.3). A wrong digit here or below would spoil every known answer. */
static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* The same of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static uint32_t load_big(const unsigned char *byte)
{
    return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static void store_big(unsigned char *byte, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        byte[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* W of FIPS 180-4, 6.2.2 step 1. */
static void expand(uint32_t w[64], const unsigned char *block)
{
    for (size_t t = 0; t < 16; t++)
        w[t] = load_big(block + 4 * t);
    for (size_t t = 16; t < 64; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];
        uint32_t s0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3;
        uint32_t s1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
}

/* One of the 64 rounds (FIPS 180-4, 6.2.2 step 3). What it would move from a to b, b to c and so on
 * stays where it is; the caller names the variables anew instead. */
static inline void one_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e,
                             uint32_t f, uint32_t g, uint32_t *h, uint32_t word_and_constant)
{
    uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    uint32_t choose = (e & f) ^ (~e & g);
    uint32_t t1 = *h + sum1 + choose + word_and_constant;
    uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    *d += t1;
    *h = t1 + sum0 + majority;
}

/* After eight rounds every variable has its name back. */
static void eight_rounds(uint32_t v[8], const uint32_t *w, const uint32_t *k)
{
    uint32_t a = v[0], b = v[1], c = v[2], d = v[3], e = v[4], f = v[5], g = v[6], h = v[7];
    one_round(a, b, c, &d, e, f, g, &h, w[0] + k[0]);
    one_round(h, a, b, &c, d, e, f, &g, w[1] + k[1]);
    one_round(g, h, a, &b, c, d, e, &f, w[2] + k[2]);
    one_round(f, g, h, &a, b, c, d, &e, w[3] + k[3]);
    one_round(e, f, g, &h, a, b, c, &d, w[4] + k[4]);
    one_round(d, e, f, &g, h, a, b, &c, w[5] + k[5]);
    one_round(c, d, e, &f, g, h, a, &b, w[6] + k[6]);
    one_round(b, c, d, &e, f, g, h, &a, w[7] + k[7]);
    const uint32_t after[8] = {a, b, c, d, e, f, g, h};
    memcpy(v, after, sizeof after);
}

static void compress(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64], v[8];
    expand(w, block);
    memcpy(v, state, sizeof v);
    for (size_t t = 0; t < 64; t += 8)
        eight_rounds(v, w + t, round_constant + t);
    for (size_t i = 0; i < 8; i++)
        state[i] += v[i];
}

void nn_sha256_begin(nn_sha256 *sha)
{
    memset(sha, 0, sizeof *sha);
    memcpy(sha->state, initial, sizeof initial);
}

void nn_sha256_bytes(nn_sha256 *sha, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;
    size_t held = (size_t)(sha->length % BLOCK_BYTES);
    sha->length += count;
    while (count != 0) {
        size_t take = nn_min(count, BLOCK_BYTES - held);
        memcpy(sha->buffer + held, next, take);
        next += take;
        count -= take;
        held += take;
        if (held == BLOCK_BYTES) {
            compress(sha->state, sha->buffer);
            held = 0;
        }
    }
}

static void store_float(unsigned char *byte, float value)
{
    uint32_t bits = nn_float_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        bits = 0x7fc00000;
    for (unsigned i = 0; i < FLOAT_BYTES; i++)
        byte[i] = (unsigned char)(bits >> (8 * i) & 0xff);
}

void nn_sha256_floats(nn_sha256 *sha, const float *values, size_t count)
{
    unsigned char chunk[BLOCK_BYTES];
    while (count != 0) {
        size_t take = nn_min(count, BLOCK_BYTES / FLOAT_BYTES);
        for (size_t i = 0; i < take; i++)
            store_float(chunk + FLOAT_BYTES * i, values[i]);
        nn_sha256_bytes(sha, chunk, FLOAT_BYTES * take);
        values += take;
        count -= take;
    }
}

/* The message is followed by a one bit, zeros and its length in bits as 64 bits, big-endian. */
nn_digest nn_sha256_end(nn_sha256 *sha)
{
    static const unsigned char padding[BLOCK_BYTES] = {0x80};
    uint64_t bits = sha->length * 8;
    size_t held = (size_t)(sha->length % BLOCK_BYTES);
    size_t room = BLOCK_BYTES - LENGTH_BYTES;
    size_t pad = held < room ? room - held : BLOCK_BYTES + room - held;
    unsigned char length[LENGTH_BYTES];
    store_big(length, (uint32_t)(bits >> 32));
    store_big(length + 4, (uint32_t)(bits & 0xffffffff));
    nn_sha256_bytes(sha, padding, pad);
    nn_sha256_bytes(sha, length, sizeof length);
    nn_digest digest;
    for (size_t i = 0; i < 8; i++)
        store_big(digest.byte + 4 * i, sha->state[i]);
    return digest;
}

nn_digest nn_sha256_of(const void *bytes, size_t count)
{
    nn_sha256 sha;
    nn_sha256_begin(&sha);
    nn_sha256_bytes(&sha, bytes, count);
    return nn_sha256_end(&sha);
}

void nn_digest_hex(char out[NN_HEX_BYTES], const nn_digest *digest)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest->byte; i++) {
        out[2 * i] = digits[digest->byte[i] >> 4];
        out[2 * i + 1] = digits[digest->byte[i] & 15];
    }
    out[NN_HEX_BYTES - 1] = '\0';
}
