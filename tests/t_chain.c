/* SPDX-License-Identifier: MIT */
/* nn_chain: appended and skipped products in any portions give the bits of one plain sum in which
 * skipped products are zeros, by every engine; the lists themselves; their capacity. SPEC 2.3,
 * 5.3. */
#include "fixture.h"
#include "oracle_bits.h"

#include "../nn/chain.h"

#include <string.h>

/* The same lists for other products. */
static void empty_chain(nn_chain *chain)
{
    chain->run_count = chain->block_count = chain->position = 0;
}

static nn_engine engines[TEST_ENGINES];
static size_t engine_count;

/* ---- random portions ---- */

enum { ROWS = 3, COLS = 5, MOST = 1100, TOTAL_ROW = COLS + 2 };

/* Operands of one random chain: a[ROWS][MOST] or, if turned, [MOST][ROWS]; b[MOST][NN_PANEL_MAX].
 * Product k takes the factors at[k]; MOST: it is skipped. */
typedef struct script {
    float *a, *b;
    bool turned;
    size_t at[MOST], length;
} script;

static script make_script(fill_pattern pattern, bool turned, test_random *random)
{
    script s = {test_floats(ROWS * MOST), test_floats(MOST * NN_PANEL_MAX), turned, {0}, 0};
    test_fill(s.a, ROWS * MOST, pattern, random);
    test_fill(s.b, MOST * NN_PANEL_MAX, pattern, random);
    return s;
}

static size_t a_step(const script *s)
{
    return s->turned ? ROWS : 1;
}

/* One portion of random length: mostly short, sometimes across several blocks. Factors go on where
 * the last portion ended or start elsewhere. */
static void run_portion(nn_chain *chain, script *s, size_t *next, test_random *random)
{
    size_t length = test_random_below(random, test_random_below(random, 4) == 0 ? 600 : 40);
    const bool present = test_random_below(random, 2) == 0;
    length = nn_min(length, MOST - s->length);
    if (*next + length > MOST || test_random_below(random, 2) == 0)
        *next = test_random_below(random, MOST - length + 1);
    if (present)
        nn_chain_add(chain, *next * a_step(s), *next, length);
    else
        nn_chain_skip(chain, length);
    for (size_t i = 0; i < length; i++)
        s->at[s->length++] = present ? (*next)++ : MOST;
}

/* The sum that starts at `before`. What is skipped is a product with +0 here: the same bits in both
 * profiles, whatever the sign of a zero chain (SPEC 2.3, 2.5.3). */
static float expected(const script *s, size_t row, size_t col, float before, bits_profile profile)
{
    bits_sum sum = bits_start();
    sum.total = before;
    for (size_t k = 0; k < s->length; k++) {
        const size_t at = s->at[k];
        if (at == MOST)
            bits_add_product(&sum, 0, 1, profile);
        else
            bits_add_product(&sum, s->a[s->turned ? at * ROWS + row : row * MOST + at],
                             s->b[at * NN_PANEL_MAX + col], profile);
    }
    return bits_end(&sum);
}

/* Rows of the result stand apart; what lies between them stays. A total that is not fresh is never
 * -0 (SPEC 2.3), so `before` is 1 then. */
static bool check_totals(const nn_chain *chain, const script *s, const nn_engine *engine,
                         const float *want, bool fresh)
{
    float got[ROWS * TOTAL_ROW];
    nn_tile tile = {.rows = ROWS,
                    .cols = COLS,
                    .total_row = TOTAL_ROW,
                    .a_row = s->turned ? 1 : MOST,
                    .b_step = NN_PANEL_MAX,
                    .fresh = fresh};
    for (size_t i = 0; i < ROWS * TOTAL_ROW; i++)
        got[i] = i % TOTAL_ROW < COLS && fresh ? nn_float_from_bits(0xffffffffu) : 1;
    nn_chain_total(chain, engine, got, s->a, s->b, &tile);
    return test_check(test_same_floats("totals", got, want, ROWS * TOTAL_ROW), __FILE__, __LINE__,
                      "kernels %s, %s", test_engine_name(engine), fresh ? "fresh" : "added");
}

static bool check_profile(const nn_chain *chain, const script *s, bits_profile profile, bool fresh)
{
    float want[ROWS * TOTAL_ROW];
    bool good = true;
    for (size_t i = 0; i < ROWS * TOTAL_ROW; i++)
        want[i] = i % TOTAL_ROW >= COLS
                      ? 1
                      : expected(s, i / TOTAL_ROW, i % TOTAL_ROW, fresh ? 0 : 1.0f, profile);
    for (size_t i = 0; i < engine_count && good; i++)
        if (test_profile(&engines[i]) == profile)
            good = check_totals(chain, s, &engines[i], want, fresh);
    return good;
}

static bool check_script(fill_pattern pattern, bool turned, test_random *random)
{
    script s = make_script(pattern, turned, random);
    nn_arena arena = {0};
    nn_chain chain;
    size_t next = 0;
    bool good = CHECK(nn_chain_begin(&chain, &arena, MOST, MOST, a_step(&s)));
    while (s.length < MOST)
        run_portion(&chain, &s, &next, random);
    good = good && CHECK(chain.position == MOST);
    for (int profile = 0; profile < BITS_PROFILES; profile++)
        good = good && check_profile(&chain, &s, (bits_profile)profile, true) &&
               check_profile(&chain, &s, (bits_profile)profile, false);
    nn_arena_free(&arena);
    test_release();
    return good;
}

static void check_scripts(void)
{
    test_random random = test_random_start(41);
    test_case("chain: random portions of products and gaps");
    for (int p = 0; p < FILL_COUNT; p++)
        for (int i = 0; i < 24; i++)
            if (!test_check(check_script((fill_pattern)p, i % 2 == 1, &random), __FILE__, __LINE__,
                            "script %d, %s", i, test_fill_name((fill_pattern)p)))
                return;
}

/* ---- lists ---- */

enum { LISTED = 8 };

/* The runs and where the blocks end. */
static void expect_list(const char *what, const nn_chain *chain, const nn_run *runs, size_t count,
                        const size_t *ends, size_t blocks)
{
    bool good = test_same_u64("runs", chain->run_count, count) &&
                test_same_u64("blocks", chain->block_count, blocks);
    for (size_t i = 0; i < count && good; i++)
        good = test_same_u64("a", chain->runs[i].a, runs[i].a) &&
               test_same_u64("b", chain->runs[i].b, runs[i].b) &&
               test_same_u64("count", chain->runs[i].count, runs[i].count);
    for (size_t i = 0; i < blocks && good; i++)
        good = test_same_u64("end", chain->ends[i], ends[i]);
    test_check(good, __FILE__, __LINE__, "%s", what);
}

static void check_cuts(nn_chain *chain)
{
    test_case("chain: runs are cut at blocks of 256");
    nn_chain_add(chain, 7, 3, 600);
    expect_list("one portion", chain,
                (nn_run[]){{7, 3, 256}, {7 + 256, 3 + 256, 256}, {7 + 512, 3 + 512, 88}}, 3,
                (size_t[]){1, 2, 3}, 3);
    empty_chain(chain);
    nn_chain_add(chain, 0, 0, 256);
    nn_chain_add(chain, 256, 256, 4);
    expect_list("a border between portions", chain, (nn_run[]){{0, 0, 256}, {256, 256, 4}}, 2,
                (size_t[]){1, 2}, 2);
    empty_chain(chain);
    expect_list("cleared", chain, NULL, 0, NULL, 0);
    test_same_u64("position", chain->position, 0);
}

static void check_skips(nn_chain *chain)
{
    test_case("chain: skipped products count for the borders of the blocks");
    empty_chain(chain);
    nn_chain_add(chain, 0, 0, 100);
    nn_chain_skip(chain, 100);
    nn_chain_add(chain, 500, 200, 100);
    expect_list("a gap", chain, (nn_run[]){{0, 0, 100}, {500, 200, 56}, {556, 256, 44}}, 3,
                (size_t[]){2, 3}, 2);
    empty_chain(chain);
    nn_chain_skip(chain, 300);
    nn_chain_add(chain, 0, 0, 10);
    nn_chain_skip(chain, 700);
    nn_chain_add(chain, 10, 10, 10);
    nn_chain_skip(chain, 2);
    expect_list("blocks without products", chain, (nn_run[]){{0, 0, 10}, {10, 10, 10}}, 2,
                (size_t[]){1, 2}, 2);
    test_same_u64("position", chain->position, 1022);
}

static void check_merging(nn_chain *chain)
{
    test_case("chain: a portion that goes on where the last ended prolongs its run");
    empty_chain(chain);
    nn_chain_add(chain, 0, 0, 10);
    nn_chain_add(chain, 10, 10, 5);
    nn_chain_add(chain, 15, 15, 0);
    nn_chain_skip(chain, 20);
    nn_chain_add(chain, 15, 15, 1);
    expect_list("prolonged", chain, (nn_run[]){{0, 0, 16}}, 1, (size_t[]){1}, 1);
    nn_chain_add(chain, 17, 16, 1);
    nn_chain_add(chain, 18, 18, 1);
    nn_chain_add(chain, 19, 18, 1);
    expect_list("elsewhere", chain, (nn_run[]){{0, 0, 16}, {17, 16, 1}, {18, 18, 1}, {19, 18, 1}},
                4, (size_t[]){4}, 1);
}

static void check_lists(void)
{
    nn_arena arena = {0};
    nn_chain chain;
    CHECK(nn_chain_begin(&chain, &arena, LISTED, 1100, 1));
    check_cuts(&chain);
    check_skips(&chain);
    check_merging(&chain);
    empty_chain(&chain);
    chain.a_step = 3;
    nn_chain_add(&chain, 0, 0, 10);
    nn_chain_add(&chain, 30, 10, 250);
    nn_chain_add(&chain, 30 + 251, 260, 1);
    expect_list("factors of a that stand apart", &chain,
                (nn_run[]){{0, 0, 256}, {3 * 256, 256, 4}, {281, 260, 1}}, 3, (size_t[]){1, 3}, 2);
    nn_arena_free(&arena);
}

/* ---- capacity ---- */

/* `portions` portions of `each` products, no two of which touch: what chain.h promises room for. A
 * guard lies right behind the lists, whose room ends at a multiple of 64 bytes. */
static void check_room(size_t portions, size_t each)
{
    const size_t length = portions * each;
    size_t borders = 0, found = 0;
    nn_arena arena = {0};
    nn_chain chain;
    unsigned char untouched[64];
    if (!CHECK(nn_chain_begin(&chain, &arena, portions, length, 1)))
        return;
    unsigned char *guard = nn_arena_alloc(&arena, 1, sizeof untouched);
    memset(guard, 0xa5, sizeof untouched);
    memset(untouched, 0xa5, sizeof untouched);
    for (size_t i = 0; i < portions; i++)
        nn_chain_add(&chain, 2 * i * each, i * each, each);
    for (size_t k = 256; k < length; k += 256)
        borders += k % each != 0; /* each cuts a portion in two */
    test_same_u64("runs", chain.run_count, portions + borders);
    test_same_u64("blocks", chain.block_count, (length + 255) / 256);
    CHECK(chain.run_count <= portions + length / 256 + 1 && chain.block_count <= length / 256 + 1);
    for (size_t i = 0; i < chain.run_count; i++)
        found += chain.runs[i].count;
    test_same_u64("products", found, length);
    if (length != 0)
        test_same_u64("last end", chain.ends[chain.block_count - 1], chain.run_count);
    test_same_bytes("behind the lists", guard, untouched, sizeof untouched);
    nn_arena_free(&arena);
}

static void check_capacity(void)
{
    static const size_t each[] = {1, 2, 3, 5, 255, 256, 257, 300, 511, 512, 513, 1000};
    test_case("chain: room for every portion as a run of its own, cut at every border");
    for (size_t portions = 1; portions < 40; portions++)
        for (size_t i = 0; i < sizeof each / sizeof *each; i++)
            check_room(portions, each[i]);
    check_room(256, 1);
    check_room(257, 1);
    check_room(2048, 1);
    check_room(0, 0);
}

static void check_memory(void)
{
    nn_chain chain;
    test_case("chain without memory");
    for (size_t after = 1; after < 3; after++) {
        nn_arena poor = {.fail_after = after};
        CHECK(!nn_chain_begin(&chain, &poor, 3, 300, 1));
        nn_arena_free(&poor);
    }
}

/* ---- no products ---- */

/* +0 for a fresh total, which a tile of several blocks would leave as it is. */
static void check_empty(void)
{
    const float zero[4] = {0, 0, 0, 0}, kept[4] = {5, -0.0f, 7, 8};
    float b[NN_PANEL_MAX] = {0}, a[2] = {1, 1};
    nn_arena arena = {0};
    nn_chain chain;
    test_case("chain without products is +0");
    CHECK(nn_chain_begin(&chain, &arena, 1, 1000, 1));
    nn_chain_skip(&chain, 1000);
    for (size_t i = 0; i < engine_count; i++) {
        nn_tile tile = {
            .rows = 2, .cols = 2, .total_row = 2, .a_row = 1, .b_step = 1, .fresh = true};
        float total[4] = {5, -0.0f, 7, 8};
        nn_chain_total(&chain, &engines[i], total, a, b, &tile);
        test_same_floats("fresh", total, zero, 4);
        memcpy(total, kept, sizeof total);
        tile.fresh = false;
        nn_chain_total(&chain, &engines[i], total, a, b, &tile);
        test_same_floats("as they were", total, kept, 4);
    }
    nn_arena_free(&arena);
}

void t_chain(void);

void t_chain(void)
{
    engine_count = test_engines(engines);
    check_scripts();
    check_lists();
    check_capacity();
    check_memory();
    check_empty();
}
