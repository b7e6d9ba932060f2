/* SPDX-License-Identifier: MIT */
/* Runs the suites named in suites.h: `runner` all of them, `runner NAME...` only these.
 * Environment: DDOME_TEST_SEED, DDOME_TEST_DIR (scratch folder), DDOME_GOLDEN (golden folder). */
#include "test.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nn/os.h"
#include "suites.h"

#define DECLARE(name) void t_##name(void);
TEST_SUITES(DECLARE)

#define ENTRY(name) {#name, t_##name},
static const struct suite {
    const char *name;
    void (*run)(void);
} suites[] = {TEST_SUITES(ENTRY)};

enum { SUITES = sizeof suites / sizeof *suites, NAME_BYTES = 160 };

/* The state of the run; one thread, one run per process. */
static struct {
    char name[NAME_BYTES]; /* of the open case; empty when none is open */
    const char *suite, *program;
    bool bad;
    unsigned passed, failed, skipped;
    nn_arena golden;
} run;

static void end_case(void)
{
    if (run.name[0] == '\0')
        return;
    printf("%s %s\n", run.bad ? "FAIL" : "ok", run.name);
    fflush(stdout);
    if (run.bad)
        run.failed++;
    else
        run.passed++;
    run.name[0] = '\0';
    run.bad = false;
}

void test_case(const char *format, ...)
{
    end_case();
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(run.name, sizeof run.name, format, arguments);
    va_end(arguments);
}

void test_skip(const char *why)
{
    if (run.bad) {
        end_case();
        return;
    }
    printf("skipped %s: %s\n", run.name, why);
    run.skipped++;
    run.name[0] = '\0';
}

/* Marks the case failed; a check outside of any case gets one named after its suite. */
static void fail(void)
{
    if (run.name[0] == '\0')
        test_case("%s", run.suite);
    if (!run.bad)
        printf("  repeat: DDOME_TEST_SEED=%" PRIu64 " %s %s\n", test_seed(), run.program,
               run.suite);
    run.bad = true;
}

bool test_check(bool ok, const char *file, int line, const char *format, ...)
{
    if (ok)
        return true;
    fail();
    va_list arguments;
    va_start(arguments, format);
    printf("  %s:%d: ", file, line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    return false;
}

static void print_float(const char *label, float value)
{
    printf(", %s %a (%08" PRIx32 ")", label, (double)value, nn_float_bits(value));
}

bool test_same_floats(const char *what, const float *got, const float *want, size_t count)
{
    size_t i = 0;
    while (i < count && nn_float_bits(got[i]) == nn_float_bits(want[i]))
        i++;
    if (i == count)
        return true;
    fail();
    printf("  %s: index %lu of %lu", what, (unsigned long)i, (unsigned long)count);
    print_float("got", got[i]);
    print_float("want", want[i]);
    printf("\n");
    return false;
}

bool test_same_bytes(const char *what, const void *got, const void *want, size_t count)
{
    const unsigned char *a = got, *b = want;
    size_t i = 0;
    while (i < count && a[i] == b[i])
        i++;
    if (i == count)
        return true;
    fail();
    printf("  %s: byte %lu of %lu, got %02x, want %02x\n", what, (unsigned long)i,
           (unsigned long)count, a[i], b[i]);
    return false;
}

/* Prints the first line in which two texts differ. */
bool test_same_text(const char *what, const char *got, const char *want)
{
    size_t i = 0, start = 0;
    unsigned long line = 1;
    for (; got[i] == want[i] && got[i] != '\0'; i++) {
        if (got[i] == '\n') {
            start = i + 1;
            line++;
        }
    }
    if (got[i] == want[i])
        return true;
    fail();
    printf("  %s: line %lu column %lu\n    got  %.*s\n    want %.*s\n", what, line,
           (unsigned long)(i - start + 1), (int)strcspn(got + start, "\n"), got + start,
           (int)strcspn(want + start, "\n"), want + start);
    return false;
}

bool test_same_u64(const char *what, uint64_t got, uint64_t want)
{
    if (got == want)
        return true;
    fail();
    printf("  %s: got %" PRIu64 " (0x%" PRIx64 "), want %" PRIu64 " (0x%" PRIx64 ")\n", what, got,
           got, want, want);
    return false;
}

bool test_close(const char *what, const float *got, const double *want, size_t count,
                const double *bound)
{
    size_t i = 0;
    while (i < count && fabs((double)got[i] - want[i]) <= bound[i])
        i++;
    if (i == count)
        return true;
    fail();
    printf("  %s: index %lu of %lu", what, (unsigned long)i, (unsigned long)count);
    print_float("got", got[i]);
    printf(", want %a, difference %.3e, bound %.3e\n", want[i], (double)got[i] - want[i], bound[i]);
    return false;
}

bool test_status(const char *what, ddome_status got, ddome_status want, const ddome_error *error,
                 const char *part)
{
    bool text_fits = part == NULL || (error != NULL && strstr(error->text, part) != NULL);
    if (got == want && text_fits)
        return true;
    fail();
    printf("  %s: got status %d, want %d; error line \"%s\"", what, (int)got, (int)want,
           error != NULL ? error->text : "");
    if (!text_fits)
        printf(" lacks \"%s\"", part);
    printf("\n");
    return false;
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

const char *test_golden(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", environment("DDOME_GOLDEN", "tests/golden"), name);
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes;
    size_t size;
    nn_arena_free(&run.golden);
    if (nn_os_read_file(&error, &run.golden, &bytes, &size, path, DDOME_ERR_DATA) == DDOME_OK)
        return (const char *)bytes;
    test_check(false, __FILE__, __LINE__, "%s", error.text);
    return NULL;
}

const char *test_dir(void)
{
    return environment("DDOME_TEST_DIR", "build/test-scratch");
}

uint64_t test_seed(void)
{
    return strtoull(environment("DDOME_TEST_SEED", "1"), NULL, 0);
}

static void run_suite(const struct suite *suite)
{
    run.suite = suite->name;
    suite->run();
    end_case();
}

/* Runs the suites called name, or all when name is NULL; false when there is none. */
static bool run_named(const char *name)
{
    bool found = false;
    for (size_t i = 0; i < SUITES; i++) {
        if (name == NULL || strcmp(name, suites[i].name) == 0) {
            run_suite(&suites[i]);
            found = true;
        }
    }
    return found;
}

static int run_all(int count, char **names)
{
    if (count == 0)
        run_named(NULL);
    for (int i = 0; i < count; i++) {
        if (!run_named(names[i])) {
            fprintf(stderr, "runner: no suite is called %s; see tests/suites.h\n", names[i]);
            return DDOME_ERR_USAGE;
        }
    }
    printf("%u passed, %u failed", run.passed, run.failed);
    if (run.skipped != 0)
        printf(", %u skipped", run.skipped);
    printf("\n");
    return run.failed != 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    run.program = argc > 0 ? argv[0] : "runner";
    ddome_error error = {DDOME_OK, ""};
    if (nn_os_make_dir(&error, test_dir()) != DDOME_OK) {
        fprintf(stderr, "runner: %s\n", error.text);
        return DDOME_ERR_IO;
    }
    int result = run_all(argc - 1, argv + 1);
    nn_arena_free(&run.golden);
    return result;
}
