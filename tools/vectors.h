/* SPDX-License-Identifier: MIT */
/* The maker of tests/vectors: each vectors_LEVEL.c file makes a group of levels out of inputs it
 * draws and of what the functions that runs use answer. SPEC 19.2. */
#ifndef VECTORS_H
#define VECTORS_H

#include "../data/safetensors.h"
#include "../data/vectors.h"
#include "../fl/text.h"
#include "../nn/variant.h"

/* VECTORS_SHORT: a value of more elements stands in the safetensors file of its level. */
enum { VECTORS_ATTRIBUTES = 12, VECTORS_FLAGS = 64, VECTORS_SHORT = 64, VECTORS_FILES = 80 };

typedef struct vectors_shape {
    size_t rank, size[NN_VALUE_RANK];
} vectors_shape;

/* Of one element, of a row, ... */
vectors_shape vectors_0(void);
vectors_shape vectors_1(size_t a);
vectors_shape vectors_2(size_t a, size_t b);
vectors_shape vectors_4(size_t a, size_t b, size_t c, size_t d);
size_t vectors_count(vectors_shape shape);

typedef struct vectors_list {
    nn_value *value;
    size_t count, capacity;
} vectors_list;

/* A vector in the making. */
typedef struct vectors_case {
    const char *op;
    nn_attribute attribute[VECTORS_ATTRIBUTES];
    size_t attribute_count;
    vectors_list inputs, outputs;
    const data_vector_key *config;
    size_t config_count;
} vectors_case;

typedef struct vectors_about {
    const char *id, *clause, *comment;
    bool any_order; /* every partial sum is exact: proved by trying */
} vectors_about;

typedef struct vectors_file {
    const char *name;
    size_t bytes;
    nn_digest sha256;
} vectors_file;

typedef struct vectors_maker {
    ddome_error error;
    nn_arena arena; /* of the level at hand */
    nn_arena kept;  /* of all levels */
    nn_arena scratch;
    const char *dir;
    const nn_kernels *kernels;
    const char *level; /* "conv"; its files are NN_conv.json and NN_conv.safetensors */
    char stem[64];     /* "08_conv" */
    size_t levels, vectors;
    fl_text text;            /* of the level file */
    data_safetensor *tensor; /* of its companion */
    nn_digest *tensor_hash;
    size_t tensor_count, tensor_capacity;
    uint32_t draws; /* inputs drawn in this level so far */
    vectors_file file[VECTORS_FILES];
    size_t files;
    size_t caught[NN_DEVIATE_COUNT][NN_DEVIATION_CHOICES]; /* by how many vectors */
} vectors_maker;

/* Ends the program when status is not DDOME_OK, with the line of m->error. */
void vectors_must(vectors_maker *m, ddome_status status);

/* Ends it unless ok. */
void vectors_check(vectors_maker *m, bool ok, const char *what, const char *id);

/* Never NULL. */
void *vectors_alloc(vectors_maker *m, size_t count, size_t size);

/* ---- inputs: vectors_fill.c ---- */

typedef enum vectors_fill {
    VECTORS_GRID,   /* whole numbers of -8..8 times 1/4: sums of their products are exact */
    VECTORS_MIXED,  /* 24 random bits, exponents of -8..7: each order of a sum shows */
    VECTORS_SIGNED, /* 24 random bits in [-1, 1) */
    VECTORS_WIDE,   /* in [-8, 8): logits */
    VECTORS_TINY    /* 2^-90 .. 2^-60: products and their sums are subnormal or lost */
} vectors_fill;

/* Drawn from stream TEST, epoch = number of the level, round = number of the input in it. */
float *vectors_draw(vectors_maker *m, vectors_fill fill, size_t count);

/* From bit patterns. */
float *vectors_bits(vectors_maker *m, const uint32_t *bits, size_t count);

vectors_case vectors_begin(const char *op);
void vectors_attribute_set(vectors_case *c, const char *name, uint64_t value);
void vectors_f32(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                 const float *elements);
void vectors_u32(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                 const uint32_t *elements);

/* One element. */
void vectors_number(vectors_maker *m, vectors_list *list, const char *name, float value);

/* A value of which only the hash is written; name is copied. */
void vectors_hash_only(vectors_maker *m, vectors_list *list, const char *name, vectors_shape shape,
                       const float *elements);

/* Input `name` drawn. */
void vectors_drawn(vectors_maker *m, vectors_case *c, const char *name, vectors_shape shape,
                   vectors_fill fill);

/* A formatted name in the arena of the level. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
char *
vectors_name(vectors_maker *m, const char *format, ...);

/* ---- writing: vectors_level.c, vectors_write.c ---- */

void vectors_open(vectors_maker *m, const char *level);
void vectors_close(vectors_maker *m);

/* manifest.json; the root into hex. */
void vectors_manifest(vectors_maker *m, char hex[NN_HEX_BYTES]);

/* The outputs are done by vectors_run in both profiles: one vector of profile `any` when they
 * agree, else two, ID.ma and ID.fma; the deviations are tried on each. */
void vectors_op_add(vectors_maker *m, const vectors_case *c, const vectors_about *about);

/* A larger computation, whose outputs are there already; no deviation is tried. */
void vectors_add(vectors_maker *m, const vectors_case *c, const vectors_about *about,
                 data_profile profile);

/* "name": {"dtype":..,"shape":..,"words":..}. */
void vectors_words(fl_text *text, const nn_value *value);

/* ---- deviations: vectors_flags.c ---- */

/* The words of the single deviations that change an output; ends the program when the rules
 * themselves, done plainly, give other outputs than `work` has, or about->any_order does not
 * hold. */
size_t vectors_flags(vectors_maker *m, const char *words[VECTORS_FLAGS], const nn_case *work,
                     const vectors_about *about);

/* Deviations that no vector catches, one line each on stderr; ends the program when there is one.
 */
void vectors_report(vectors_maker *m);

/* ---- the levels, from small to large ---- */

void vectors_levels_draw(vectors_maker *m);       /* rng, distributions */
void vectors_levels_elementary(vectors_maker *m); /* elementary, hash */
void vectors_levels_sums(vectors_maker *m);       /* sum, matmul, linear */
void vectors_levels_conv(vectors_maker *m);
void vectors_levels_layers(vectors_maker *m);            /* norm, pool, activation */
void vectors_levels_loss(vectors_maker *m);              /* loss, mixture, optimiser */
void vectors_levels_gate(vectors_maker *m);              /* gate, aggregation */
void vectors_levels_data(vectors_maker *m);              /* data, partition */
void vectors_levels_model(vectors_maker *m, bool large); /* block, train_step */
void vectors_levels_federation(vectors_maker *m);        /* common, client, round, evaluation */

#endif
