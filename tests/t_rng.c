/* SPDX-License-Identifier: MIT */
/* Philox and the distributions: known answers, golden first draws, moments and Kolmogorov's
 * distance with a fixed seed. SPEC 4. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "../nn/rng.h"
#include "test.h"

void t_rng(void);

enum { DRAWS = 20000, FIRST = 8, TEXT_BYTES = 8192 };

/* Statistics hold for this seed; with another one a bound may be missed by chance. */
static nn_rng stream(uint32_t client)
{
    return nn_rng_at(1, NN_STREAM_TEST, 0, 0, client);
}

/* SPEC 4.1. */
static void known_answers(void)
{
    test_case("rng philox known answers");
    const char *line = test_golden("philox.txt");
    int count = 0;
    for (; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1) {
        uint32_t v[10], out[4];
        if (*line == '#')
            continue;
        for (size_t i = 0; i < 10; i++)
            v[i] = (uint32_t)strtoul(line + 9 * i, NULL, 16);
        nn_philox4x32_10(out, v, v + 4);
        for (size_t i = 0; i < 4; i++)
            test_same_u64("word", out[i], v[6 + i]);
        count++;
    }
    CHECK(count == 3);
}

/* SPEC 4.2, and 15 of SPEC 4.3. */
static void layout(void)
{
    static const uint32_t key[2] = {0x89abcdef, 0x01234567};
    test_case("rng key, counter and order of words");
    nn_rng rng = nn_rng_at(0x0123456789abcdef, NN_STREAM_SHUFFLE, 3, 4, 5);
    for (uint32_t index = 0; index < 3; index++) {
        const uint32_t counter[4] = {index, 15u << 16 | 3, 4, 5};
        uint32_t word[4];
        nn_philox4x32_10(word, counter, key);
        for (size_t i = 0; i < 4; i++)
            test_same_u64("word", nn_rng_u32(&rng), word[i]);
    }
}

/* 2^31 + 1 refuses nearly half of all words; 2^31 and 1 refuse none. SPEC 4.5. */
static void below(void)
{
    test_case("rng below stays below and is level");
    static const uint32_t bounds[] = {1, 2, 3, 7, 100, 0x80000000, 0x80000001, UINT32_MAX};
    nn_rng rng = stream(1);
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        double sum = 0;
        for (int i = 0; i < DRAWS; i++) {
            uint32_t draw = nn_rng_below(&rng, bounds[b]);
            CHECK(draw < bounds[b]);
            sum += draw;
        }
        double bound = bounds[b], mean = (bound - 1) / 2;
        double deviation = sqrt((bound * bound - 1) / 12 / DRAWS);
        CHECK(fabs(sum / DRAWS - mean) <= 4 * deviation);
    }
    nn_rng a = stream(2), b = stream(2);
    uint32_t word = nn_rng_u32(&a);
    CHECK(nn_rng_below(&b, 0x80000000) == (word & 0x7fffffff));
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* u are values of the distribution function: uniform if the draws are right. The bound is exceeded
 * with probability 1e-4. */
static void kolmogorov(double *u)
{
    qsort(u, DRAWS, sizeof *u, ascending);
    double worst = 0;
    for (int i = 0; i < DRAWS; i++) {
        worst = fmax(worst, fabs(u[i] - (double)i / DRAWS));
        worst = fmax(worst, fabs(u[i] - (double)(i + 1) / DRAWS));
    }
    CHECK(worst < 2.226 / sqrt(DRAWS));
}

static double draws[DRAWS];

/* SPEC 4.4. */
static void uniform(void)
{
    test_case("rng uniform");
    nn_rng rng = stream(3);
    for (int i = 0; i < DRAWS; i++) {
        draws[i] = nn_rng_uniform(&rng);
        CHECK(draws[i] >= 0 && draws[i] < 1);
    }
    kolmogorov(draws);
    nn_rng a = stream(4), b = stream(4);
    for (int i = 0; i < DRAWS; i++)
        CHECK(nn_rng_uniform_positive(&a) == nn_rng_uniform(&b) + 0x1p-24f);
}

/* SPEC 4.6. */
static void normal(void)
{
    test_case("rng normal");
    nn_rng rng = stream(5);
    double sum[5] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double x = nn_rng_normal(&rng);
        for (int k = 1; k <= 4; k++)
            sum[k] += pow(x, k) / DRAWS;
        draws[i] = 0.5 * erfc(-x / sqrt(2.0));
    }
    const double unit = 4 / sqrt(DRAWS); /* variances of x^k: 1, 2, 15, 96 */
    CHECK(fabs(sum[1]) < unit && fabs(sum[2] - 1) < unit * sqrt(2));
    CHECK(fabs(sum[3]) < unit * sqrt(15) && fabs(sum[4] - 3) < unit * sqrt(96));
    kolmogorov(draws);
}

/* The mean and variance of log Gamma(alpha) are the digamma and trigamma functions of alpha.
 * SPEC 4.7. */
static void log_gamma(float alpha, double digamma, double trigamma)
{
    test_case("rng log-gamma of %g", (double)alpha);
    nn_rng rng = stream(6);
    double mean = 0, square = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = nn_rng_log_gamma(&rng, alpha) - digamma;
        mean += x / DRAWS;
        square += x * x / DRAWS;
    }
    CHECK(fabs(mean) < 4 * sqrt(trigamma / DRAWS));
    CHECK(fabs(square / trigamma - 1) < 4 * sqrt(8.0 / DRAWS)); /* kurtosis is at most 9 */
}

static void exponential(void)
{
    test_case("rng log-gamma of 1 is the logarithm of an exponential");
    nn_rng rng = stream(7);
    for (int i = 0; i < DRAWS; i++)
        draws[i] = -expm1(-exp((double)nn_rng_log_gamma(&rng, 1.0f)));
    kolmogorov(draws);
}

/* Dir_n(alpha): mean 1/n, variance (n - 1) / (n^2 (n alpha + 1)). SPEC 4.8. */
static void dirichlet(float alpha)
{
    enum { SIZE = 10, TIMES = 2000 };
    test_case("rng dirichlet of %g", (double)alpha);
    nn_rng rng = stream(8);
    double mean = 0, square = 0;
    for (int t = 0; t < TIMES; t++) {
        double p[SIZE], sum = 0;
        nn_rng_dirichlet(&rng, p, SIZE, alpha);
        for (int j = 0; j < SIZE; j++) {
            CHECK(p[j] >= 0 && p[j] <= 1);
            sum += p[j];
        }
        CHECK(fabs(sum - 1) < 1e-14);
        mean += p[3] / TIMES;
        square += (p[3] - 0.1) * (p[3] - 0.1) / TIMES;
    }
    double variance = (SIZE - 1) / (SIZE * SIZE * (SIZE * (double)alpha + 1));
    CHECK(fabs(mean - 0.1) < 4 * sqrt(variance / TIMES));
    CHECK(fabs(square / variance - 1) < 0.3);
}

static void dirichlet_small(void)
{
    test_case("rng dirichlet of none and of one");
    nn_rng rng = stream(9), before = rng;
    double p = 7;
    nn_rng_dirichlet(&rng, &p, 0, 1.0f);
    CHECK(p == 7 && rng.used == before.used);
    nn_rng_dirichlet(&rng, &p, 1, 0.01f);
    CHECK(p == 1);
}

/* All 24 orders of four items come equally often: chi squared with 23 degrees of freedom.
 * SPEC 4.9. */
static void shuffle(void)
{
    test_case("rng shuffle");
    nn_rng rng = stream(10), before = rng;
    uint32_t one = 5;
    nn_rng_shuffle(&rng, &one, 0);
    nn_rng_shuffle(&rng, &one, 1);
    CHECK(one == 5 && rng.used == before.used);
    double seen[256] = {0}, squared = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t item[4] = {0, 1, 2, 3};
        nn_rng_shuffle(&rng, item, 4);
        seen[item[0] | item[1] << 2 | item[2] << 4 | item[3] << 6]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        orders += seen[i] > 0;
        if (seen[i] > 0)
            squared += pow(seen[i] - DRAWS / 24.0, 2) / (DRAWS / 24.0);
    }
    CHECK(orders == 24 && squared < 57);
}

/* Pairs that the polar method must draw again: the centre, of which no stream of the tests comes
 * within reach, and the rim. SPEC 4.6. */
static void normal_again(void)
{
    static const uint32_t refused[][2] = {{0x80000000, 0x80000000}, {0, 0x80000000}, {0, 0}};
    test_case("rng normal draws again at the centre and from the rim on");
    for (size_t i = 0; i < 3; i++) {
        nn_rng rng = {.word = {refused[i][0], refused[i][1], 0xa0000000, 0x70000000}}, next = rng;
        next.used = 2;
        const float got = nn_rng_normal(&rng), want = nn_rng_normal(&next);
        test_same_floats("the next pair", &got, &want, 1);
        CHECK(got > 0 && rng.used == 4 && next.used == 4);
    }
}

/* ---- golden first draws: SPEC 4.4 to 4.10 ---- */

static char text[TEXT_BYTES];

static void say(const char *word)
{
    strncat(text, word, sizeof text - strlen(text) - 1);
}

static void say_bits(uint64_t bits, int digits)
{
    char word[32];
    snprintf(word, sizeof word, " %0*" PRIx64, digits, bits);
    say(word);
}

static void say_floats(const char *name, float (*draw)(nn_rng *), uint32_t client)
{
    nn_rng rng = stream(client);
    say(name);
    for (int i = 0; i < FIRST; i++)
        say_bits(nn_float_bits(draw(&rng)), 8);
    say("\n");
}

static void say_integers(const char *name, uint32_t bound, uint32_t client)
{
    nn_rng rng = stream(client);
    say(name);
    for (int i = 0; i < FIRST; i++)
        say_bits(bound == 0 ? nn_rng_u32(&rng) : nn_rng_below(&rng, bound), 8);
    say("\n");
}

static void say_gamma(float alpha, uint32_t client)
{
    char name[40];
    snprintf(name, sizeof name, "log_gamma-%08" PRIx32, nn_float_bits(alpha));
    nn_rng rng = stream(client);
    say(name);
    for (int i = 0; i < FIRST; i++)
        say_bits(nn_float_bits(nn_rng_log_gamma(&rng, alpha)), 8);
    say("\n");
}

static void say_dirichlet(float alpha, uint32_t client)
{
    char name[40];
    double p[FIRST];
    snprintf(name, sizeof name, "dirichlet-%08" PRIx32, nn_float_bits(alpha));
    nn_rng rng = stream(client);
    nn_rng_dirichlet(&rng, p, FIRST, alpha);
    say(name);
    for (int i = 0; i < FIRST; i++) {
        uint64_t bits;
        memcpy(&bits, &p[i], sizeof bits);
        say_bits(bits, 16);
    }
    say("\n");
}

static void say_shuffle(uint32_t client)
{
    uint32_t item[FIRST];
    nn_rng rng = stream(client);
    for (uint32_t i = 0; i < FIRST; i++)
        item[i] = i;
    nn_rng_shuffle(&rng, item, FIRST);
    say("shuffle");
    for (int i = 0; i < FIRST; i++)
        say_bits(item[i], 8);
    say("\n");
}

static void say_all(void)
{
    static const float alphas[] = {0.01f, 0.5f, 1.0f, 5.0f};
    text[0] = '\0';
    say("# First draws of each distribution at seed 1, stream 1024, epoch 0, round 0 and client =\n"
        "# number of the line from 0; float32 bits, for dirichlet float64 bits, else integers.\n"
        "# log_gamma and dirichlet are followed by the bits of alpha.\n");
    say_integers("u32", 0, 0);
    say_integers("below-0000000a", 10, 1);
    say_integers("below-80000001", 0x80000001, 2);
    say_floats("uniform", nn_rng_uniform, 3);
    say_floats("uniform_positive", nn_rng_uniform_positive, 4);
    say_floats("normal", nn_rng_normal, 5);
    for (uint32_t i = 0; i < 4; i++)
        say_gamma(alphas[i], 6 + i);
    for (uint32_t i = 0; i < 4; i++)
        say_dirichlet(alphas[i], 10 + i);
    say_shuffle(14);
}

/* On a difference the new text is left in the scratch folder: copy it over the old to accept it. */
static void golden(void)
{
    test_case("rng golden first draws");
    say_all();
    const char *want = test_golden("rng.txt");
    if (want != NULL && test_same_text("rng.txt", text, want))
        return;
    char path[1024];
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%s/rng.txt", test_dir());
    CHECK(nn_os_write_file(&error, path, text, strlen(text)) == DDOME_OK);
}

void t_rng(void)
{
    known_answers();
    layout();
    golden();
    below();
    uniform();
    normal();
    normal_again();
    log_gamma(0.01f, -100.560885457869, 10001.6212135283);
    log_gamma(0.1f, -10.4237549404111, 101.433299150793);
    log_gamma(0.5f, -1.96351002602142, 4.93480220054468);
    log_gamma(1.0f, -0.577215664901533, 1.64493406684823);
    log_gamma(5.0f, 1.5061176684318, 0.221322955737115);
    log_gamma(50.0f, 3.90198967342789, 0.0202013332266971);
    exponential();
    dirichlet(0.01f);
    dirichlet(0.5f);
    dirichlet(1.0f);
    dirichlet_small();
    shuffle();
}
