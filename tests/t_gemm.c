/* SPDX-License-Identifier: MIT */
/* Matrix products: bit-equal to the bit oracle, within the derived bound of the double oracle, for
 * sizes around lanes, tiles and blocks, and for all pairs of patterns. SPEC 5.1. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/gemm.h"

typedef enum form { NN, TN, NT, LAYOUTS } form;

static const char *const layout_names[LAYOUTS] = {"nn", "tn", "nt"};

/* Operands and how at(i,k), at(k,j) are addressed in them. */
typedef struct problem {
    form layout;
    size_t m, n, k;
    float *a, *b, *c;
    size_t a_row, a_col, b_row, b_col;
} problem;

static problem make(form layout, size_t m, size_t n, size_t k)
{
    problem p = {layout, m, n, k, test_floats(m * k), test_floats(k * n), test_floats(m * n),
                 k,      1, n, 1};
    if (layout == TN) {
        p.a_row = 1;
        p.a_col = m;
    }
    if (layout == NT) {
        p.b_row = 1;
        p.b_col = k;
    }
    return p;
}

static ddome_status multiply(const problem *p)
{
    const nn_gemm_shape shape = {p->m, p->n, p->k};
    ddome_error error = {DDOME_OK, ""};
    ddome_status status = DDOME_OK;
    nn_arena scratch = {0};
    if (p->layout == NN)
        nn_gemm_nn(p->c, p->a, p->b, &shape);
    else if (p->layout == TN)
        nn_gemm_tn(p->c, p->a, p->b, &shape);
    else
        status = nn_gemm_nt(&error, &scratch, p->c, p->a, p->b, &shape);
    CHECK(scratch.used == 0);
    nn_arena_free(&scratch);
    return status;
}

static bool same_bits(const problem *p)
{
    float *want = test_floats(p->m * p->n);
    bits_gemm(want, p->a, p->a_row, p->a_col, p->b, p->b_row, p->b_col, p->m, p->n, p->k);
    return test_same_floats("product", p->c, want, p->m * p->n);
}

static bool near_double(const problem *p)
{
    const size_t count = p->m * p->n;
    double *want = test_doubles(count), *bound = test_doubles(count);
    oracle_gemm(want, test_widened(p->a, p->m * p->k), p->a_row, p->a_col,
                test_widened(p->b, p->k * p->n), p->b_row, p->b_col, p->m, p->n, p->k);
    oracle_gemm(bound, test_magnitudes(p->a, p->m * p->k), p->a_row, p->a_col,
                test_magnitudes(p->b, p->k * p->n), p->b_row, p->b_col, p->m, p->n, p->k);
    for (size_t i = 0; i < count; i++)
        bound[i] = oracle_sum_bound(p->k, bound[i]);
    return test_close("product against double", p->c, want, count, bound);
}

/* False once something differs; says which problem. */
static bool check_product(form layout, size_t m, size_t n, size_t k, fill_pattern fill_a,
                          fill_pattern fill_b, test_random *random)
{
    problem p = make(layout, m, n, k);
    test_fill(p.a, m * k, fill_a, random);
    test_fill(p.b, k * n, fill_b, random);
    bool good = CHECK(multiply(&p) == DDOME_OK) && same_bits(&p) && near_double(&p);
    test_release();
    return test_check(good, __FILE__, __LINE__, "%s m %lu n %lu k %lu, a %s, b %s",
                      layout_names[layout], (unsigned long)m, (unsigned long)n, (unsigned long)k,
                      test_fill_name(fill_a), test_fill_name(fill_b));
}

static const size_t lanes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
static const size_t borders[] = {0, 1, 3, 4, 5, 8, 9, 255, 256, 257, 260, 511, 512, 513};

enum { LANES = sizeof lanes / sizeof *lanes, BORDERS = sizeof borders / sizeof *borders };

static void check_sizes(form layout)
{
    test_random random = test_random_start(1 + (uint64_t)layout);
    test_case("gemm %s sizes around lanes and blocks", layout_names[layout]);
    for (size_t i = 0; i < LANES; i += 2)
        for (size_t j = 0; j < LANES; j++)
            for (size_t l = 0; l < BORDERS; l++)
                if (!check_product(layout, lanes[i], lanes[j], borders[l], FILL_RANDOM, FILL_RANDOM,
                                   &random))
                    return;
}

static void check_patterns(form layout)
{
    test_random random = test_random_start(11 + (uint64_t)layout);
    test_case("gemm %s pairs of patterns", layout_names[layout]);
    for (int a = 0; a < FILL_COUNT; a++)
        for (int b = 0; b < FILL_COUNT; b++)
            if (!check_product(layout, 5, 9, 517, (fill_pattern)a, (fill_pattern)b, &random))
                return;
}

/* Tiles are cut at 512 columns and at 4096 accumulators; none of it may show. */
static void check_tiles(form layout)
{
    static const size_t shapes[][3] = {{9, 511, 3},  {9, 512, 5},    {17, 513, 257}, {8, 1025, 2},
                                       {4097, 1, 2}, {1, 1030, 300}, {1366, 3, 9},   {300, 17, 33}};
    test_random random = test_random_start(21 + (uint64_t)layout);
    test_case("gemm %s sizes around tiles", layout_names[layout]);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!check_product(layout, shapes[i][0], shapes[i][1], shapes[i][2], FILL_RANDOM,
                           FILL_CANCEL, &random))
            return;
}

/* A probe that shows the order: 2^24 at k = 0 swallows the ones of its own block and no others. */
static void check_probe(void)
{
    float a[770], b[770], got = 0;
    const nn_gemm_shape shape = {1, 1, 770};
    test_case("gemm order probe");
    for (size_t k = 0; k < 770; k++)
        a[k] = b[k] = 1;
    a[0] = 16777216.0f;
    a[769] = -16777216.0f;
    nn_gemm_nn(&got, a, b, &shape);
    /* block 0: 2^24 (its 255 ones are lost one by one); blocks 1, 2: 256 each, exact in the total;
     * block 3: 1 - 2^24 exactly; the total is 256 + 256 + 1 */
    const float want = 513;
    test_same_floats("probe", &got, &want, 1);
}

static void check_negative_zero(void)
{
    const float a = -1, b = 0, want = 0;
    float got = 1;
    const nn_gemm_shape one = {1, 1, 1}, none = {1, 1, 0};
    test_case("gemm: a product of -0 and an empty sum give +0");
    nn_gemm_nn(&got, &a, &b, &one);
    test_same_floats("-1 * +0", &got, &want, 1);
    got = 1;
    nn_gemm_nn(&got, &a, &b, &none);
    test_same_floats("no product", &got, &want, 1);
}

static void check_memory(void)
{
    const float a = 1, b = 1;
    float got = 7;
    const float kept = 7;
    const nn_gemm_shape shape = {1, 1, 1};
    nn_arena scratch = {0};
    ddome_error error = {DDOME_OK, ""};
    test_case("gemm without memory");
    scratch.fail_after = 1;
    test_status("nt", nn_gemm_nt(&error, &scratch, &got, &a, &b, &shape), DDOME_ERR_MEMORY, &error,
                "out of memory");
    test_same_floats("output untouched", &got, &kept, 1);
    nn_arena_free(&scratch);
}

static void check_transpose(void)
{
    const float in[6] = {1, 2, 3, 4, 5, 6}, want[6] = {1, 4, 2, 5, 3, 6};
    float out[6];
    test_case("transpose");
    nn_transpose(out, in, 2, 3);
    test_same_floats("2x3", out, want, 6);
}

void t_gemm(void);

void t_gemm(void)
{
    for (int i = 0; i < LAYOUTS; i++) {
        check_sizes((form)i);
        check_patterns((form)i);
        check_tiles((form)i);
    }
    check_probe();
    check_negative_zero();
    check_memory();
    check_transpose();
}
