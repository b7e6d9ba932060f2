/* SPDX-License-Identifier: MIT */
/* IDX files made by a test. SPEC 7.8. */
#ifndef IDX_FIXTURE_H
#define IDX_FIXTURE_H

#include "../nn/arena.h"
#include "test.h"

enum { IDX_IMAGE = 784, IDX_IMAGE_HEAD = 16, IDX_LABEL_HEAD = 8, IDX_PATH = 1024 };

/* What a file of images or labels says and has. */
typedef struct idx_made {
    const char *stem; /* "t10k-first1000" */
    unsigned file;    /* tells files apart */
    size_t records;
    unsigned first, count; /* label of record r: first + (r + file) % count */
    bool transposed;
} idx_made;

/* The pixel (y, x) of record r: tells file, record and place apart. */
unsigned char idx_pixel(unsigned file, size_t r, size_t y, size_t x);

/* The path of FOLDER/STEM-images-idx3-ubyte, or labels, under test_dir(); static until the next
 * call. */
const char *idx_path(const char *folder, const char *stem, bool images);

/* Bytes of the two files; in the arena. */
unsigned char *idx_images(nn_arena *arena, const idx_made *made, size_t *size);
unsigned char *idx_labels(nn_arena *arena, const idx_made *made, size_t *size);

/* Both files, written. */
void idx_write(const char *folder, const idx_made *made);

/* Writes bytes; a failure fails the case. */
void idx_write_bytes(const char *path, const void *bytes, size_t size);

/* test_dir()/NAME; false where folders cannot be made. */
bool idx_make_folder(const char *name);

#endif
