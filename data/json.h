/* SPDX-License-Identifier: MIT */
/* A strict JSON reader (RFC 8259) over bytes in memory: a tree of values in
 * the arena. */
#ifndef DATA_JSON_H
#define DATA_JSON_H

#include "../nn/arena.h"

enum { DATA_JSON_MAX_DEPTH = 64 };

typedef struct data_json_value data_json_value;

typedef enum data_json_kind {
    DATA_JSON_NULL,
    DATA_JSON_BOOL,
    DATA_JSON_NUMBER, /* text kept as written */
    DATA_JSON_STRING, /* decoded UTF-8; length may include NUL bytes from \u0000 */
    DATA_JSON_ARRAY,
    DATA_JSON_OBJECT
} data_json_kind;

struct data_json_value {
    data_json_kind kind;
    bool boolean;
    const char *text; /* NUMBER, STRING */
    size_t length;    /* bytes of text; elements of an ARRAY or OBJECT */
    const char
        *name; /* member name when the parent is an object, NUL-terminated, and its true length */
    size_t name_length;
    const data_json_value *child; /* first element or member */
    const data_json_value *next;  /* next sibling */
};

/* Parses exactly one value that fills all bytes but white space. DDOME_ERR_DATA names the byte
 * offset: bad UTF-8, lone surrogates, duplicate member names, depth over DATA_JSON_MAX_DEPTH,
 * anything RFC 8259 does not allow. */
DDOME_MUST_CHECK ddome_status data_json_parse(ddome_error *error, nn_arena *arena,
                                              const data_json_value **value, const char *bytes,
                                              size_t count);

const data_json_value *data_json_member(const data_json_value *object, const char *name);

/* True and *out set for a NUMBER that is a plain non-negative integer (no sign, dot, exponent,
 * leading zero) <= 2^64-1. */
bool data_json_u64(uint64_t *out, const data_json_value *value);

#endif
