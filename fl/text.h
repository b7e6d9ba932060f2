/* SPDX-License-Identifier: MIT */
/* Growing text in an arena, for hashed files: integers, strings and six-place decimals, never
 * printf of a float. SPEC 2.8. */
#ifndef FL_TEXT_H
#define FL_TEXT_H

#include "../nn/arena.h"
#include "../nn/hash.h"

/* Zero-initialise with the arena set. A failure sticks: later calls do nothing, fl_text_status
 * tells. */
typedef struct fl_text {
    nn_arena *arena;
    char *data; /* NUL-terminated once anything was added */
    size_t length, capacity;
    bool failed;
} fl_text;

/* For %s, %u, %llu, %d and the like; a float format is forbidden. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void fl_text_add(fl_text *text, const char *format, ...);

/* 0 <= value < 2^40, exactly rounded to six places, ties to even; anything else is written as
 * "nan". */
void fl_text_fixed6(fl_text *text, double value);

/* The 8 hex digits of a float. */
void fl_text_float(fl_text *text, float value);

/* As C's %a, but the same everywhere: 0x1.8p+1, one digit before the point, none behind it that
 * ends in zeros, subnormals normalised; 0x0p+0, inf, nan; each but nan with a minus where there is
 * one (SPEC 19.3.1). */
void fl_text_hex_float(fl_text *text, float value);

/* 64 hex digits. */
void fl_text_digest(fl_text *text, const nn_digest *digest);

/* Levenshtein distance, to name the nearest word; words over 64 letters count as all different. */
size_t fl_text_distance(const char *a, const char *b);

DDOME_MUST_CHECK ddome_status fl_text_status(ddome_error *error, const fl_text *text);

#endif
