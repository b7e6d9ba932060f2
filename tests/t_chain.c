/* SPDX-License-Identifier: MIT */
/* nn_chain: appended and skipped products in any portions give the bits of one plain sum in which
 * skipped products are zeros. SPEC 2.3, 5.3. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/chain.h"

enum { ROWS = 3, COLS = 5, MOST = 1100 };

/* Operands of one random chain: a[ROWS][MOST], b[MOST][COLS]; k is present or skipped. */
typedef struct script {
    float *a, *b;
    bool present[MOST];
    size_t length;
} script;

static script make_script(fill_pattern pattern, test_random *random)
{
    script s = {test_floats(ROWS * MOST), test_floats(MOST * COLS), {false}, 0};
    test_fill(s.a, ROWS * MOST, pattern, random);
    test_fill(s.b, MOST * COLS, pattern, random);
    return s;
}

/* One portion of random length: mostly short, sometimes across several blocks. */
static void run_portion(nn_chain *chain, script *s, test_random *random)
{
    size_t length = test_random_below(random, test_random_below(random, 4) == 0 ? 600 : 40);
    bool present = test_random_below(random, 2) == 0;
    length = nn_min(length, MOST - s->length);
    if (present)
        nn_chain_add(chain, s->a + s->length, MOST, 1, s->b + s->length * COLS, COLS, length);
    else
        nn_chain_skip(chain, length);
    for (size_t i = 0; i < length; i++)
        s->present[s->length + i] = present;
    s->length += length;
}

static float expected(const script *s, size_t row, size_t col)
{
    bits_sum sum = bits_start();
    for (size_t k = 0; k < s->length; k++)
        bits_add_product(&sum, s->present[k] ? s->a[row * MOST + k] : 0.0f, s->b[k * COLS + col]);
    return bits_end(&sum);
}

static bool check_script(nn_chain *chain, fill_pattern pattern, test_random *random)
{
    script s = make_script(pattern, random);
    const size_t total_row = COLS + 2; /* rows of the result stand apart */
    float *got = test_floats(ROWS * total_row);
    nn_chain_begin(chain, got, total_row, ROWS, COLS);
    while (s.length < MOST)
        run_portion(chain, &s, random);
    nn_chain_end(chain);
    bool good = CHECK(chain->position == MOST);
    for (size_t i = 0; i < ROWS && good; i++)
        for (size_t j = 0; j < COLS && good; j++) {
            const float want = expected(&s, i, j);
            good = test_same_floats("chain", &got[i * total_row + j], &want, 1);
        }
    good = good && CHECK(nn_float_bits(got[COLS]) == 0xffffffffu);
    test_release();
    return good;
}

static void check_scripts(void)
{
    static nn_chain chain;
    test_random random = test_random_start(41);
    test_case("chain: random portions of products and gaps");
    for (int p = 0; p < FILL_COUNT; p++)
        for (int i = 0; i < 25; i++)
            if (!test_check(check_script(&chain, (fill_pattern)p, &random), __FILE__, __LINE__,
                            "script %d, %s", i, test_fill_name((fill_pattern)p)))
                return;
}

static void check_empty(void)
{
    static nn_chain chain;
    const float zero[4] = {0, 0, 0, 0};
    float total[4] = {5, -0.0f, 7, 8};
    test_case("chain without products is +0");
    nn_chain_begin(&chain, total, 2, 2, 2);
    nn_chain_skip(&chain, 1000);
    nn_chain_end(&chain);
    test_same_floats("totals", total, zero, 4);
}

/* Strides of a: rows 1 apart and products a_step apart, as the weight gradient asks for. */
static void check_strides(void)
{
    static nn_chain chain;
    const float a[6] = {1, 2, 3, 4, 5, 6}, b[4] = {1, 10, 100, 1000},
                want[4] = {301, 3010, 402, 4020};
    float got[4];
    test_case("chain: strides");
    nn_chain_begin(&chain, got, 2, 2, 2);
    nn_chain_add(&chain, a, 1, 2, b, 2, 2);
    nn_chain_end(&chain);
    test_same_floats("totals", got, want, 4);
}

static void check_rows(void)
{
    test_case("chain: rows of a tile");
    test_same_u64("few", nn_chain_rows(3, 8), 3);
    test_same_u64("many", nn_chain_rows(100000, 8), NN_CHAIN_FLOATS / 8);
    test_same_u64("widest", nn_chain_rows(9, NN_CHAIN_FLOATS), 1);
    test_same_u64("no column", nn_chain_rows(5, 0), 5);
}

void t_chain(void);

void t_chain(void)
{
    check_scripts();
    check_empty();
    check_strides();
    check_rows();
}
