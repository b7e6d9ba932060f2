/* SPDX-License-Identifier: MIT */
/* Matrix products by every engine: bit-equal to the bit oracle of their profile, which is within
 * the derived bound of the double oracle, for sizes around lanes, tiles and blocks, and for all
 * pairs of patterns. SPEC 5.1. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/gemm.h"

enum { FORMS = NN_GEMM_NT + 1 };

static const char *const form_names[FORMS] = {"nn", "tn", "nt"};

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;
static nn_arena scratch;

/* Operands and how at(i,k), at(k,j) are addressed in them. */
typedef struct problem {
    nn_gemm_form form;
    nn_gemm_shape s;
    float *a, *b;
    size_t a_row, a_col, b_row, b_col;
} problem;

static problem make(nn_gemm_form form, size_t m, size_t n, size_t k)
{
    problem p = {form, {m, n, k}, test_floats(m * k), test_floats(k * n), k, 1, n, 1};
    if (form == NN_GEMM_TN) {
        p.a_row = 1;
        p.a_col = m;
    }
    if (form == NN_GEMM_NT) {
        p.b_row = 1;
        p.b_col = k;
    }
    return p;
}

/* The bound counts a rounding per product and one per sum: profile fma has fewer. */
static bool near_double(const problem *p, const float *c)
{
    const size_t m = p->s.m, n = p->s.n, k = p->s.k, count = m * n;
    double *want = test_doubles(count), *bound = test_doubles(count);
    oracle_gemm(want, test_widened(p->a, m * k), p->a_row, p->a_col, test_widened(p->b, k * n),
                p->b_row, p->b_col, m, n, k);
    oracle_gemm(bound, test_magnitudes(p->a, m * k), p->a_row, p->a_col,
                test_magnitudes(p->b, k * n), p->b_row, p->b_col, m, n, k);
    for (size_t i = 0; i < count; i++)
        bound[i] = oracle_sum_bound(k, bound[i]);
    return test_close("product against double", c, want, count, bound);
}

static bool same_bits(const problem *p, const nn_engine *engine, const float *want)
{
    const size_t count = p->s.m * p->s.n, mark = test_mark();
    float *got = test_floats(count);
    ddome_error error = {DDOME_OK, ""};
    bool good =
        test_status("gemm", nn_gemm(engine, &error, &scratch, got, p->a, p->b, &p->s, p->form),
                    DDOME_OK, &error, NULL);
    good = CHECK(scratch.used == 0) && good && test_same_floats("product", got, want, count);
    test_rewind(mark);
    return test_check(good, __FILE__, __LINE__, "kernels %s", test_engine_name(engine));
}

/* False once something differs; says which problem. */
static bool check_product(nn_gemm_form form, const nn_gemm_shape *s, fill_pattern fill_a,
                          fill_pattern fill_b, test_random *random)
{
    problem p = make(form, s->m, s->n, s->k);
    float *want[BITS_PROFILES];
    bool good = true;
    test_fill(p.a, s->m * s->k, fill_a, random);
    test_fill(p.b, s->k * s->n, fill_b, random);
    for (int i = 0; i < BITS_PROFILES; i++) {
        want[i] = test_floats(s->m * s->n);
        bits_gemm(want[i], p.a, p.a_row, p.a_col, p.b, p.b_row, p.b_col, s->m, s->n, s->k,
                  (bits_profile)i);
        good = good && near_double(&p, want[i]);
    }
    for (size_t i = 0; i < engine_count && good; i++)
        good = same_bits(&p, &engines[i], want[test_profile(&engines[i])]);
    test_release();
    return test_check(good, __FILE__, __LINE__, "%s m %lu n %lu k %lu, a %s, b %s",
                      form_names[form], (unsigned long)s->m, (unsigned long)s->n,
                      (unsigned long)s->k, test_fill_name(fill_a), test_fill_name(fill_b));
}

static const size_t lanes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
static const size_t borders[] = {0, 1, 3, 4, 5, 8, 9, 255, 256, 257, 260, 511, 512, 513};

enum { LANES = sizeof lanes / sizeof *lanes, BORDERS = sizeof borders / sizeof *borders };

static void check_sizes(nn_gemm_form form)
{
    test_random random = test_random_start(1 + (uint64_t)form);
    test_case("gemm %s sizes around lanes and blocks", form_names[form]);
    for (size_t i = 0; i < LANES; i += 2)
        for (size_t j = 0; j < LANES; j++)
            for (size_t l = 0; l < BORDERS; l++) {
                const nn_gemm_shape s = {lanes[i], lanes[j], borders[l]};
                if (!check_product(form, &s, FILL_RANDOM, FILL_RANDOM, &random))
                    return;
            }
}

static void check_patterns(nn_gemm_form form)
{
    static const nn_gemm_shape s = {5, 9, 517};
    test_random random = test_random_start(11 + (uint64_t)form);
    test_case("gemm %s pairs of patterns", form_names[form]);
    for (int a = 0; a < FILL_COUNT; a++)
        for (int b = 0; b < FILL_COUNT; b++)
            if (!check_product(form, &s, (fill_pattern)a, (fill_pattern)b, &random))
                return;
}

/* One row and column less and more than every table's tiles and panels hold. */
static void check_tables(nn_gemm_form form)
{
    test_random random = test_random_start(21 + (uint64_t)form);
    test_case("gemm %s sizes around the tiles of every table", form_names[form]);
    for (size_t t = 0; t < engine_count; t += NN_ARITH_COUNT) {
        for (size_t i = 0; i < TEST_TILES; i++) {
            nn_gemm_shape s = {.k = i % 2 == 0 ? 259 : 6};
            test_tile(&s.m, &s.n, engines[t].kernels, i);
            if (!check_product(form, &s, FILL_RANDOM, FILL_CANCEL, &random))
                return;
        }
    }
}

static void check_long(nn_gemm_form form)
{
    static const nn_gemm_shape shapes[] = {{1030, 1, 3},  {1, 1030, 300}, {366, 3, 9},
                                           {300, 17, 33}, {3, 130, 257},  {2, 3, 4097}};
    test_random random = test_random_start(26 + (uint64_t)form);
    test_case("gemm %s long sides", form_names[form]);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!check_product(form, &shapes[i], FILL_RANDOM, FILL_CANCEL, &random))
            return;
}

/* ---- single values ---- */

/* a and b of one product by every engine. */
static void expect(const char *what, const float *a, const float *b, size_t k, float ma, float fma)
{
    const nn_gemm_shape s = {1, 1, k};
    for (size_t i = 0; i < engine_count; i++) {
        const float want = engines[i].arith == NN_ARITH_FMA ? fma : ma;
        float got = 1;
        CHECK(nn_gemm(&engines[i], NULL, &scratch, &got, a, b, &s, NN_GEMM_NN) == DDOME_OK);
        if (!test_same_floats(what, &got, &want, 1))
            test_check(false, __FILE__, __LINE__, "kernels %s", test_engine_name(&engines[i]));
    }
}

/* A probe that shows the order: 2^24 at k = 0 swallows the ones of its own block and no others. */
static void check_probe(void)
{
    float a[770], b[770];
    test_case("gemm order probe");
    for (size_t k = 0; k < 770; k++)
        a[k] = b[k] = 1;
    a[0] = 16777216.0f;
    a[769] = -16777216.0f;
    /* block 0: 2^24 (its 255 ones are lost one by one); blocks 1, 2: 256 each, exact in the total;
     * block 3: 1 - 2^24 exactly; the total is 256 + 256 + 1 */
    expect("probe", a, b, 770, 513, 513);
}

/* (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24 loses its last bit when it is rounded on its own. */
static void check_profiles(void)
{
    const float near_one = 1.0f + 0x1p-12f, a[2] = {-1.0f - 0x1p-11f, near_one};
    const float b[2] = {1, near_one};
    test_case("gemm: the profiles differ where they must");
    expect("-(1 + 2^-11) + (1 + 2^-12)^2", a, b, 2, 0, 0x1p-24f);
}

static void check_negative_zero(void)
{
    const float a = -1, b = 0;
    test_case("gemm: a product of -0 and an empty sum give +0");
    expect("-1 * +0", &a, &b, 1, 0, 0);
    expect("no product", &a, &b, 0, 0, 0);
}

static void check_memory(void)
{
    static const nn_gemm_shape shape = {1, 1, 1};
    const float a = 1, b = 1, kept = 7;
    test_case("gemm without memory, at each allocation");
    for (size_t after = 1; after < 4; after++) {
        float got = 7;
        nn_arena poor = {.fail_after = after};
        ddome_error error = {DDOME_OK, ""};
        test_status("nt", nn_gemm(test_engine(), &error, &poor, &got, &a, &b, &shape, NN_GEMM_NT),
                    DDOME_ERR_MEMORY, &error, "out of memory");
        test_same_floats("output untouched", &got, &kept, 1);
        nn_arena_free(&poor);
    }
}

/* [k, panel] floats that are more than SIZE_MAX bytes: refused before anything is read. By the
 * first of these sizes the product would come out as 0. */
static void check_overflow(nn_gemm_form form)
{
    const float one = 1, kept = 7;
    test_case("gemm %s of more products than memory has bytes", form_names[form]);
    for (size_t i = 0; i < engine_count; i++) {
        const size_t least = SIZE_MAX / (engines[i].kernels->panel * sizeof(float)) + 1;
        const size_t sizes[] = {least, nn_max(least, SIZE_MAX / 64), SIZE_MAX};
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            const nn_gemm_shape s = {1, 1, sizes[j]};
            float c = kept;
            ddome_error error = {DDOME_OK, ""};
            test_status(test_engine_name(&engines[i]),
                        nn_gemm(&engines[i], &error, &scratch, &c, &one, &one, &s, form),
                        DDOME_ERR_MEMORY, &error, "out of memory");
            test_same_floats("output untouched", &c, &kept, 1);
        }
    }
}

void t_gemm(void);

void t_gemm(void)
{
    engine_count = test_engines(engines);
    for (int i = 0; i < FORMS; i++) {
        check_sizes((nn_gemm_form)i);
        check_patterns((nn_gemm_form)i);
        check_tables((nn_gemm_form)i);
        check_long((nn_gemm_form)i);
        check_overflow((nn_gemm_form)i);
    }
    check_probe();
    check_profiles();
    check_negative_zero();
    check_memory();
    nn_arena_free(&scratch);
}
