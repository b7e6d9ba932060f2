/* SPDX-License-Identifier: MIT */
/* Finds the inputs whose exp or log is nearest to a rounding boundary, and their results by MPFR:
 * tests/golden/hard_expf.txt and hard_logf.txt. SPEC 3.5.
 *
 *   cc -std=c99 -O2 -ffp-contract=off tools/fmath_hard.c nn/base.c -lmpfr -lgmp -lm
 *   fmath_hard exp > tests/golden/hard_expf.txt
 *   fmath_hard log > tests/golden/hard_logf.txt
 *
 * The computations in double, which this file includes, only choose the candidates; distances and
 * results are MPFR's. */
#include "../nn/fmath.c"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <mpfr.h>

enum { WIDE = 240, KEEP = 1000, ROOM = 65536 };

/* A candidate is nearer than this to a boundary, relatively. */
static const double REACH = 0x1p-42;

typedef struct hard {
    double distance; /* |exact - boundary| / |exact| */
    uint32_t x, y;
} hard;

typedef struct search {
    const char *name;
    double (*estimate)(double x);
    int (*exact)(mpfr_t out, const mpfr_t x, mpfr_rnd_t mode);
    float first, last; /* the range of x whose results are neither special nor certain */
    size_t count;
    hard found[ROOM];
} search;

/* Measures the distance by MPFR and keeps the result. */
static void keep(search *s, float x, float low, float high)
{
    mpfr_t value, rest;
    mpfr_inits2(WIDE, value, rest, (mpfr_ptr)0);
    mpfr_set_flt(rest, x, MPFR_RNDN);
    s->exact(value, rest, MPFR_RNDN);
    mpfr_sub_d(rest, value, middle_of(low, high), MPFR_RNDN);
    bool above = mpfr_sgn(rest) > 0;
    mpfr_div(rest, rest, value, MPFR_RNDN);
    mpfr_abs(rest, rest, MPFR_RNDN);
    hard one = {mpfr_get_d(rest, MPFR_RNDN), nn_float_bits(x), nn_float_bits(above ? high : low)};
    mpfr_clears(value, rest, (mpfr_ptr)0);
    if (s->count < ROOM)
        s->found[s->count++] = one;
}

static void look_at(search *s, float x)
{
    if (!(x >= s->first && x <= s->last) || x == 0.0f)
        return;
    double value = s->estimate(x);
    double slack = (value < 0 ? -value : value) * REACH;
    float low = (float)(value - slack);
    float high = (float)(value + slack);
    if (low != high)
        keep(s, x, low, high);
}

static int by_distance(const void *left, const void *right)
{
    const hard *a = left, *b = right;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return (a->x > b->x) - (a->x < b->x);
}

/* How many of the kept ones nn/fmath.c settles by its exact comparison. */
static size_t count_settled(const search *s, size_t kept)
{
    size_t count = 0;
    for (size_t i = 0; i < kept; i++) {
        float low, high;
        enclose(&low, &high, s->estimate(nn_float_from_bits(s->found[i].x)));
        count += low != high;
    }
    return count;
}

static void print(const search *s)
{
    size_t kept = nn_min(s->count, KEEP);
    printf("# %sf: the %lu inputs of all 2^32 whose exact value is nearest to a rounding\n"
           "# boundary, nearest first, from 2^-53 * %.3f to 2^-53 * %.0f of the value; %lu of\n"
           "# them need the exact comparison of nn/fmath.c. Made by tools/fmath_hard, MPFR %s.\n"
           "# input expected\n",
           s->name, (unsigned long)kept, s->found[0].distance * 0x1p53,
           s->found[kept - 1].distance * 0x1p53, (unsigned long)count_settled(s, kept),
           mpfr_get_version());
    for (size_t i = 0; i < kept; i++)
        printf("%08" PRIx32 " %08" PRIx32 "\n", s->found[i].x, s->found[i].y);
}

static search exp_search = {.name = "exp", .estimate = exp_near, .exact = mpfr_exp};
static search log_search = {.name = "log", .estimate = log_near, .exact = mpfr_log};

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "exp") != 0 && strcmp(argv[1], "log") != 0)) {
        fprintf(stderr, "usage: fmath_hard exp|log\n");
        return 2;
    }
    search *s = strcmp(argv[1], "exp") == 0 ? &exp_search : &log_search;
    s->first = s == &exp_search ? EXP_FIRST : 0.0f;
    s->last = s == &exp_search ? EXP_LAST : 0x1.fffffep127f;
    for (uint64_t bits = 0; bits < 0x100000000; bits++)
        look_at(s, nn_float_from_bits((uint32_t)bits));
    if (s->count == ROOM || s->count == 0) {
        fprintf(stderr, "fmath_hard: change REACH\n");
        return 1;
    }
    qsort(s->found, s->count, sizeof *s->found, by_distance);
    print(s);
    mpfr_free_cache();
    return 0;
}
