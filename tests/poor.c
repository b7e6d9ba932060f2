/* SPDX-License-Identifier: MIT */
/* Every allocation of a call fails, one after the other. */
#include "poor.h"

/* More allocations than any call has here: who gets that far never succeeds. */
enum { MOST = 20000 };

size_t test_poor_every(const char *what, size_t stride, nn_arena *arena, test_poor_call *call,
                       void *context)
{
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    size_t failed = 0;
    for (size_t n = 1; n <= MOST; n += stride) {
        ddome_error error = {DDOME_OK, ""};
        arena->fail_after = arena->allocations + n;
        const ddome_status status = call(&error, arena, context);
        const bool met = arena->allocations >= arena->fail_after;
        arena->fail_after = 0;
        nn_arena_rewind(arena, mark);
        if (status == DDOME_OK) {
            test_check(!met, __FILE__, __LINE__, "%s: allocation %lu failed and nobody said so",
                       what, (unsigned long)n);
            return failed;
        }
        failed = n;
        if (!test_status(what, status, DDOME_ERR_MEMORY, &error, "out of memory"))
            return failed;
    }
    test_check(false, __FILE__, __LINE__, "%s: not even %d allocations are enough", what, MOST);
    return MOST;
}

size_t test_poor(const char *what, nn_arena *arena, test_poor_call *call, void *context)
{
    return test_poor_every(what, 1, arena, call, context);
}

void test_poor_alone(const char *what, size_t least, test_poor_call *call, void *context)
{
    nn_arena arena = {0};
    const size_t failures = test_poor(what, &arena, call, context);
    test_check(failures >= least, __FILE__, __LINE__, "%s: expected %lu allocations, found %lu",
               what, (unsigned long)least, (unsigned long)failures);
    nn_arena_free(&arena);
}
