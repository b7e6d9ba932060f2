/* SPDX-License-Identifier: MIT */
/* Philox4x32-10 as a counter-based generator: no hidden state, any draw can be had alone. SPEC 4.
 * key = seed; counter = (index, stream << 16 | epoch, round, client). */
#ifndef NN_RNG_H
#define NN_RNG_H

#include "base.h"

/* Streams (SPEC 4.3). A stream is never used for two purposes. */
typedef enum nn_stream {
    NN_STREAM_INIT_COMMON = 1,     /* round = slice number */
    NN_STREAM_INIT_EXPERT = 2,     /* round = slice number, client = expert */
    NN_STREAM_INIT_GATE = 3,       /* round = slice number */
    NN_STREAM_SYNTH_TRAIN = 4,     /* client = image index */
    NN_STREAM_SYNTH_TEST = 5,      /* client = image index */
    NN_STREAM_HOLDOUT = 6,         /* the 10 % of the train split kept apart */
    NN_STREAM_ANCHOR = 7,          /* anchor labels (client 0) and samples (client = id) */
    NN_STREAM_NORMAL = 8,          /* labels and samples of normal clients, client = id */
    NN_STREAM_UNSEEN = 9,          /* label sets of unseen clients, client = id */
    NN_STREAM_HOLDOUT_CLIENT = 10, /* label sets of held-out clients, client = id */
    NN_STREAM_DIRICHLET = 11,      /* round = class, epoch = draw number */
    NN_STREAM_IID = 12,
    NN_STREAM_PARTICIPANTS = 13, /* round = round; client 0 anchors, 1 normal, 2 uniform */
    NN_STREAM_PRETRAIN = 14,     /* epoch = epoch: order of the samples */
    NN_STREAM_SHUFFLE = 15,      /* round, client, epoch: order of the samples */
    NN_STREAM_AUGMENT = 16,      /* round, client, epoch: crops and flips */
    NN_STREAM_GATE_CHOICE = 17,  /* gate = random: round (0: evaluation), client */
    NN_STREAM_GATE_ROUTE = 18,   /* gate = random: client; epoch 1 for the samples of anchors */
    NN_STREAM_WRONG_ANCHOR = 19, /* round: experts of the anchors */
    NN_STREAM_SHARDS = 20,       /* order of the shards */
    NN_STREAM_QUANTITY = 21,     /* round 0: order of the samples; round 1: epoch = draw number */
    NN_STREAM_CLUSTER = 22,      /* the first centre */
    NN_STREAM_DROPOUT = 23,      /* round, client */
    NN_STREAM_STRAGGLER = 24,    /* round, client */
    NN_STREAM_COMMON_AGAIN = 25, /* round: order of the samples */
    NN_STREAM_THEOREM = 26,      /* tools/theorem.c: round = what, client = batch */
    NN_STREAM_TEST = 1024        /* tests draw from here and above */
} nn_stream;

/* One random function's next position. Copy it to fork it; it owns nothing. */
typedef struct nn_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t word[4];
    unsigned used; /* words of `word` already given out; 4 = draw the next counter */
} nn_rng;

void nn_philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* epoch < 65536. */
nn_rng nn_rng_at(uint64_t seed, nn_stream stream, uint32_t epoch, uint32_t round, uint32_t client);

/* Words in order: word 0..3 of index 0, then of index 1, ... */
uint32_t nn_rng_u32(nn_rng *rng);

/* 0 .. bound-1, by rejection; bound >= 1. */
uint32_t nn_rng_below(nn_rng *rng, uint32_t bound);

/* (x >> 8) * 2^-24, in [0, 1). */
float nn_rng_uniform(nn_rng *rng);

/* ((x >> 8) + 1) * 2^-24, in (0, 1]: fit for a logarithm. */
float nn_rng_uniform_positive(nn_rng *rng);

/* Standard normal by Marsaglia's polar method (SPEC 4.6): only nn_logf and nn_sqrtf. The second
 * value of each pair is dropped. */
float nn_rng_normal(nn_rng *rng);

/* Logarithm of a Gamma(alpha, 1) draw, alpha > 0 (Marsaglia and Tsang; SPEC 4.7). */
float nn_rng_log_gamma(nn_rng *rng, float alpha);

/* p ~ Dir_count(alpha), p >= 0 with sum about 1 (SPEC 4.8). */
void nn_rng_dirichlet(nn_rng *rng, double *p, size_t count, float alpha);

/* Fisher-Yates from high to low (SPEC 4.9); count < 2^32. */
void nn_rng_shuffle(nn_rng *rng, uint32_t *items, size_t count);

#endif
