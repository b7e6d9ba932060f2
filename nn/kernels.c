/* SPDX-License-Identifier: MIT */
/* Choice of the kernel table: what the build holds (NN_HAVE_..., set by the Makefile) and the
 * processor offers. */
#include "kernels.h"

#include <string.h>

static bool always(void)
{
    return true;
}

#if defined(NN_HAVE_avx2)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#if defined(NN_HAVE_avx512)
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}
#endif

/* Slowest first. */
static const struct built {
    const nn_kernels *kernels;
    bool (*offered)(void);
} BUILT[] = {
    {&nn_kernels_c, always},
#if defined(NN_HAVE_sse2)
    {&nn_kernels_sse2, always},
#endif
#if defined(NN_HAVE_avx2)
    {&nn_kernels_avx2, has_avx2},
#endif
#if defined(NN_HAVE_avx512)
    {&nn_kernels_avx512, has_avx512},
#endif
#if defined(NN_HAVE_neon)
    {&nn_kernels_neon, always},
#endif
};

size_t nn_kernels_all(const nn_kernels *list[NN_KERNELS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof BUILT / sizeof *BUILT; i++)
        if (BUILT[i].offered())
            list[count++] = BUILT[i].kernels;
    return count;
}

/* SPEC 18.4.1. */
ddome_status nn_kernels_find(ddome_error *error, const nn_kernels **kernels, const char *name)
{
    const nn_kernels *list[NN_KERNELS_MAX];
    const size_t count = nn_kernels_all(list);
    if (name == NULL || *name == '\0') {
        *kernels = list[count - 1];
        return DDOME_OK;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0) {
            *kernels = list[i];
            return DDOME_OK;
        }
    return nn_fail(error, DDOME_ERR_USAGE,
                   "kernels %.40s: expected c or a set that this build and this processor have "
                   "(the best is %s)",
                   name, list[count - 1]->name);
}
