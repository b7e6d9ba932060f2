/* SPDX-License-Identifier: MIT */
/* A fault for each analyser of tests/static.sh. Never compiled into anything. */
#include <stdlib.h>

/* gcc, clang */
int used_after_free(void)
{
    int *x = malloc(sizeof *x);
    if (x == NULL)
        return 0;
    *x = 1;
    free(x);
    return *x;
}

/* clang-tidy */
int counted_for_ever(int count)
{
    int i = 0, sum = 0;
    while (i < count)
        sum++;
    return sum;
}

/* cppcheck */
int read_behind(void)
{
    int x[4] = {0};
    return x[4];
}
