/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4) of bytes and of floats as little-endian binary32. SPEC 3.6. */
#ifndef NN_HASH_H
#define NN_HASH_H

#include "base.h"

typedef struct nn_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes taken so far */
    unsigned char buffer[64];
} nn_sha256;

typedef struct nn_digest {
    unsigned char byte[32];
} nn_digest;

enum { NN_HEX_BYTES = 65 }; /* 64 lower-case digits and the NUL */

void nn_sha256_begin(nn_sha256 *sha);
void nn_sha256_bytes(nn_sha256 *sha, const void *bytes, size_t count);

/* Little-endian bytes of each float; every NaN is hashed as 0x7fc00000. */
void nn_sha256_floats(nn_sha256 *sha, const float *values, size_t count);
nn_digest nn_sha256_end(nn_sha256 *sha);

nn_digest nn_sha256_of(const void *bytes, size_t count);
void nn_digest_hex(char out[NN_HEX_BYTES], const nn_digest *digest);

#endif
