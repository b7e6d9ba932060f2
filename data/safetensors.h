/* SPDX-License-Identifier: MIT */
/* Strict reader and writer of safetensors files. SPEC 17.4. */
#ifndef DATA_SAFETENSORS_H
#define DATA_SAFETENSORS_H

#include "json.h"

/* One tensor of a file: bytes are little-endian and may sit at any address; NULL where they stay on
 * the disk. */
typedef struct data_safetensor {
    const char *name;
    const char *dtype;     /* "F32", "I64", ... */
    size_t rank;           /* the format has no limit */
    const uint64_t *shape; /* rank sizes */
    const unsigned char *bytes;
    size_t byte_count;
    uint64_t at; /* of its first byte in the file */
} data_safetensor;

typedef struct data_safetensors {
    const data_safetensor *tensor; /* sorted by offset */
    size_t count;
    const char *path; /* of a file that stays on the disk; else NULL */
} data_safetensors;

/* Parses a whole file in memory; the tensors' data point into bytes, names and shapes into the
 * arena. DDOME_ERR_DATA says which rule of SPEC 17.4 was broken. */
DDOME_MUST_CHECK ddome_status data_safetensors_parse(ddome_error *error, nn_arena *arena,
                                                     data_safetensors *out,
                                                     const unsigned char *bytes, size_t count);

/* The same of a file, which the error names. */
DDOME_MUST_CHECK ddome_status data_safetensors_read_file(ddome_error *error, nn_arena *arena,
                                                         data_safetensors *out, const char *path);

/* The same, but the data stay on the disk, so that a file may be larger than memory. path is the
 * caller's and lives as long as *out. */
DDOME_MUST_CHECK ddome_status data_safetensors_open_file(ddome_error *error, nn_arena *arena,
                                                         data_safetensors *out, const char *path);

/* bytes[count] of a tensor of the file from its byte `first` on, wherever they are;
 * first + count <= byte_count. */
DDOME_MUST_CHECK ddome_status data_safetensors_read(ddome_error *error,
                                                    const data_safetensors *file,
                                                    const data_safetensor *tensor, size_t first,
                                                    unsigned char *bytes, size_t count);

const data_safetensor *data_safetensors_find(const data_safetensors *file, const char *name);

/* The bytes of a file: names sorted by bytes, no metadata, header padded with spaces to a multiple
 * of 8. */
DDOME_MUST_CHECK ddome_status data_safetensors_format(ddome_error *error, nn_arena *arena,
                                                      unsigned char **bytes, size_t *count,
                                                      const data_safetensor *tensors,
                                                      size_t tensor_count);

/* The bytes before the data of such a file, for one that is written piece by piece: behind them
 * come the data of order[0 .. tensor_count - 1], the tensors by name. Their `bytes` are not looked
 * at, and nothing is checked: names are distinct, shapes fit byte_count. */
DDOME_MUST_CHECK ddome_status data_safetensors_head(ddome_error *error, nn_arena *arena,
                                                    unsigned char **bytes, size_t *count,
                                                    const data_safetensor *const **order,
                                                    const data_safetensor *tensors,
                                                    size_t tensor_count);

#endif
