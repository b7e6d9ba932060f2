/* SPDX-License-Identifier: MIT */
/* The block kernel on vectors of LANES floats, for every instruction set the same: rows x 1 or 2
 * vectors of chains stay in registers from the first product of a block to its last; a lane is a
 * column, so no chain is touched. Order of every sum: products of the runs ascending, then the
 * total. SPEC 2.3.
 *
 * The including file defines before: LANES; WIDE_ROWS and NARROW_ROWS, the most rows of a tile of
 * two vectors and of one, chosen so that chains, factors of b and one product fit the registers;
 * WIDE_CASES and NARROW_CASES, the CASES_ of these numbers; vec, a vector of LANES floats (GCC
 * and clang know its + and *); and
 *     vec fused(vec sum, float a, vec b)     sum + a*b rounded once. */
#include <string.h>

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { VECS = 2, PANEL = VECS * LANES };

/* Rows are addressed from one pointer a band: with one for all, their distances would not fit the
 * registers and cost a load each. */
enum { BAND = 6, BANDS = (NARROW_ROWS + BAND - 1) / BAND };

ALWAYS_INLINE vec load(const float *from)
{
    vec to;
    memcpy(&to, from, sizeof to);
    return to;
}

/* total[0..count) = total + sum; a fresh total is +0. `count` is a literal, or a tail of any length
 * copied by a call. */
ALWAYS_INLINE void add_part(float *total, vec sum, size_t count, bool fresh)
{
    vec old = {0};
    if (!fresh)
        memcpy(&old, total, count * sizeof *total);
    sum = old + sum;
    memcpy(total, &sum, count * sizeof *total);
}

/* Half a vector is what the narrowest networks have. */
ALWAYS_INLINE void add_total(float *total, vec sum, size_t count, bool fresh)
{
    if (count >= LANES)
        add_part(total, sum, LANES, fresh);
    else if (count == LANES / 2)
        add_part(total, sum, LANES / 2, fresh);
    else
        add_part(total, sum, count, fresh);
}

/* rows, vecs, a_row or a_step, and fuse are literals where this is called, so that the compiler
 * unrolls all but the loops over runs and products and keeps sum[][] in registers. */
ALWAYS_INLINE void tile_block(float *total, const float *a, const float *b, const nn_tile *tile,
                              const nn_run *runs, size_t run_count, size_t rows, size_t vecs,
                              size_t a_row, size_t a_step, bool fuse)
{
    vec sum[NARROW_ROWS][VECS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            sum[i][v] = (vec){0};
    }
    for (; run_count != 0; run_count--, runs++) {
        const float *bk = b + runs->b * tile->b_step, *band[BANDS];
        UNROLL
        for (size_t i = 0; i < rows; i += BAND)
            band[i / BAND] = a + runs->a + i * a_row;
        for (size_t k = runs->count; k != 0; k--) {
            vec bv[VECS];
            UNROLL
            for (size_t v = 0; v < vecs; v++)
                bv[v] = load(bk + v * LANES);
            UNROLL
            for (size_t i = 0; i < rows; i++) {
                const float ai = band[i / BAND][i % BAND * a_row];
                UNROLL
                for (size_t v = 0; v < vecs; v++)
                    sum[i][v] = fuse ? fused(sum[i][v], ai, bv[v]) : sum[i][v] + ai * bv[v];
            }
            UNROLL
            for (size_t i = 0; i < rows; i += BAND)
                band[i / BAND] += a_step;
            bk += tile->b_step; /* behind the last product it points nowhere and is not read */
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            add_total(total + i * tile->total_row + v * LANES, sum[i][v], tile->cols - v * LANES,
                      tile->fresh);
    }
}

/* Brings lines of 64 bytes nearer. */
static void fetch(const float *from, size_t count)
{
    for (size_t i = 0; i < count; i += 16)
        __builtin_prefetch(from + i, 0, 2);
}

#define CASES_6(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define CASES_12(X) CASES_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#define CASES_14(X) CASES_12(X) X(13) X(14)
#define CASES_24(X) CASES_14(X) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24)
#define CASES_30(X) CASES_24(X) X(25) X(26) X(27) X(28) X(29) X(30)

/* One height of tile: factors of a along a row or along k. A function each, because compilers take
 * much longer for one with all of them. */
#define TILE_KERNEL(NAME, ROWS, VECTORS, FUSE)                                                     \
    static void NAME##_##ROWS(float *total, const float *a, const float *b, const nn_tile *tile,   \
                              const nn_run *runs, size_t count)                                    \
    {                                                                                              \
        if (tile->a_step == 1)                                                                     \
            tile_block(total, a, b, tile, runs, count, ROWS, VECTORS, tile->a_row, 1, FUSE);       \
        else                                                                                       \
            tile_block(total, a, b, tile, runs, count, ROWS, VECTORS, 1, tile->a_step, FUSE);      \
    }
#define WIDE_KERNELS(ROWS) TILE_KERNEL(wide_ma, ROWS, 2, false) TILE_KERNEL(wide_fma, ROWS, 2, true)
#define NARROW_KERNELS(ROWS)                                                                       \
    TILE_KERNEL(narrow_ma, ROWS, 1, false) TILE_KERNEL(narrow_fma, ROWS, 1, true)
WIDE_CASES(WIDE_KERNELS)
NARROW_CASES(NARROW_KERNELS)

/* By rows; a tile has one at least. */
#define WIDE_MA(ROWS) wide_ma_##ROWS,
#define WIDE_FMA(ROWS) wide_fma_##ROWS,
#define NARROW_MA(ROWS) narrow_ma_##ROWS,
#define NARROW_FMA(ROWS) narrow_fma_##ROWS,
static nn_block_fn *const wide_ma[] = {NULL, WIDE_CASES(WIDE_MA)};
static nn_block_fn *const wide_fma[] = {NULL, WIDE_CASES(WIDE_FMA)};
static nn_block_fn *const narrow_ma[] = {NULL, NARROW_CASES(NARROW_MA)};
static nn_block_fn *const narrow_fma[] = {NULL, NARROW_CASES(NARROW_FMA)};

static void block_ma(float *total, const float *a, const float *b, const nn_tile *tile,
                     const nn_run *runs, size_t count)
{
    (tile->cols > LANES ? wide_ma : narrow_ma)[tile->rows](total, a, b, tile, runs, count);
}

static void block_fma(float *total, const float *a, const float *b, const nn_tile *tile,
                      const nn_run *runs, size_t count)
{
    (tile->cols > LANES ? wide_fma : narrow_fma)[tile->rows](total, a, b, tile, runs, count);
}

/* The table of the including file's instruction set. */
#define TILE_TABLE(NAME)                                                                           \
    {                                                                                              \
        .name = NAME, .panel = PANEL, .wide_rows = WIDE_ROWS, .narrow_rows = NARROW_ROWS,          \
        .block = {[NN_ARITH_MA] = block_ma, [NN_ARITH_FMA] = block_fma}, .fetch = fetch,           \
        NN_KERNELS_ROWS                                                                            \
    }
