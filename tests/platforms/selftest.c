/* SPDX-License-Identifier: MIT */
/* The self-test alone, small enough to be built with every flag that must make it fail: prints its
 * line, ends with its status. With the argument "flush" the machine first flushes subnormals; where
 * no register does that, the status is NO_REGISTER. tests/platforms.sh, SPEC 3.7. */
#include <stdio.h>
#include <string.h>

#include "../../nn/selftest.h"
#include "../flush.h"

enum { NO_REGISTER = 100 };

int main(int argc, char **argv)
{
    ddome_error error = {DDOME_OK, ""};
    if (argc > 1 && strcmp(argv[1], "flush") == 0) {
#if defined(TEST_FLUSH_NONE)
        return NO_REGISTER;
#else
        test_flush_set(test_flush_control() | test_flush_modes[0].bit);
#endif
    }
    ddome_status status = nn_selftest(&error);
    if (status == DDOME_OK)
        status = nn_selftest_kernels(&error, &nn_kernels_c);
    puts(status == DDOME_OK ? "selftest ok" : error.text);
    return (int)status;
}
