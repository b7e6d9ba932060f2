/* SPDX-License-Identifier: MIT */
/* IDX files, byte by byte. */
#include "idx_fixture.h"

#include <stdio.h>

#include "../nn/os.h"

unsigned char idx_pixel(unsigned file, size_t r, size_t y, size_t x)
{
    return (unsigned char)(file * 31 + r * 57 + y * 13 + x * 7 + y * x / 16);
}

const char *idx_path(const char *folder, const char *stem, bool images)
{
    static char path[IDX_PATH];
    snprintf(path, sizeof path, "%s/%s/%s%s", test_dir(), folder, stem,
             images ? "-images-idx3-ubyte" : "-labels-idx1-ubyte");
    return path;
}

static unsigned char *put_word(unsigned char *at, size_t word)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char)(word >> shift & 255);
    return at;
}

unsigned char *idx_images(nn_arena *arena, const idx_made *made, size_t *size)
{
    *size = IDX_IMAGE_HEAD + made->records * IDX_IMAGE;
    unsigned char *bytes = nn_arena_alloc(arena, *size, 1);
    unsigned char *at = put_word(put_word(bytes, 0x803), made->records);
    at = put_word(put_word(at, 28), 28);
    for (size_t r = 0; r < made->records; r++)
        for (size_t i = 0; i < 28; i++)
            for (size_t k = 0; k < 28; k++)
                *at++ = made->transposed ? idx_pixel(made->file, r, k, i)
                                         : idx_pixel(made->file, r, i, k);
    return bytes;
}

unsigned char *idx_labels(nn_arena *arena, const idx_made *made, size_t *size)
{
    *size = IDX_LABEL_HEAD + made->records;
    unsigned char *bytes = nn_arena_alloc(arena, *size, 1);
    unsigned char *at = put_word(put_word(bytes, 0x801), made->records);
    for (size_t r = 0; r < made->records; r++)
        *at++ = (unsigned char)(made->first + (r + made->file) % made->count);
    return bytes;
}

void idx_write_bytes(const char *path, const void *bytes, size_t size)
{
    ddome_error error = {DDOME_OK, ""};
    test_status(path, nn_os_write_file(&error, path, bytes, size), DDOME_OK, &error, NULL);
}

void idx_write(const char *folder, const idx_made *made)
{
    nn_arena arena = {0};
    size_t size;
    const unsigned char *bytes = idx_images(&arena, made, &size);
    idx_write_bytes(idx_path(folder, made->stem, true), bytes, size);
    bytes = idx_labels(&arena, made, &size);
    idx_write_bytes(idx_path(folder, made->stem, false), bytes, size);
    nn_arena_free(&arena);
}

bool idx_make_folder(const char *name)
{
    char path[IDX_PATH];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return nn_os_make_dir(NULL, path) == DDOME_OK;
}
