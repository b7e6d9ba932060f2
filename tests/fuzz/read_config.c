/* SPDX-License-Identifier: MIT */
/* Configuration files and one KEY=VALUE of the command line: what is taken, written and read again
 * is the same. SPEC 16.1, 16.2. */
#include <string.h>

#include "../../fl/config.h"
#include "fuzz.h"

/* Written, read over the defaults, written: the same text, and every check gives the same. */
static void check_again(const fl_config *config, const fl_config_hashes *hashes)
{
    char path[FUZZ_PATH];
    fl_config again;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    fl_text first = {.arena = &arena}, second = {.arena = &arena};
    fl_config_write(&first, config, hashes);
    FUZZ_CHECK(!first.failed);
    fuzz_put("fuzz-again.toml", first.data, first.length);
    fuzz_path(path, "fuzz-again.toml");
    fl_config_defaults(&again);
    FUZZ_CHECK(fl_config_load(&error, &again, path) == DDOME_OK);
    if (hashes == NULL) {
        fl_config_write(&second, &again, NULL);
        FUZZ_CHECK(!second.failed && first.length == second.length &&
                   memcmp(first.data, second.data, first.length) == 0);
    }
    nn_arena_free(&arena);
}

static ddome_status check_all(fuzz_call *call, fl_config *config)
{
    static const fl_config_hashes hashes = {"0123", "", "4567", "89ab", "cdef"};
    check_again(config, NULL);
    ddome_status status = fl_config_check(&call->error, config);
    if (status != DDOME_OK)
        return status;
    check_again(config, NULL);
    if (call->size % 4 == 0) /* it takes long */
        check_again(config, &hashes);
    FUZZ_CHECK(fl_config_check(&call->error, config) == DDOME_OK); /* resolved already */
    return DDOME_OK;
}

ddome_status fuzz_config(fuzz_call *call)
{
    char path[FUZZ_PATH];
    fl_config config, before;
    fl_config_defaults(&config);
    memcpy(&before, &config, sizeof before);
    fuzz_put("fuzz-config.toml", call->bytes, call->size);
    fuzz_path(path, "fuzz-config.toml");
    ddome_status status = fl_config_load(&call->error, &config, path);
    if (status != DDOME_OK)
        FUZZ_CHECK(memcmp(&before, &config, sizeof before) == 0);
    return status == DDOME_OK ? check_all(call, &config) : status;
}

/* Bytes up to the first = are the key; a word of argv has no NUL. */
ddome_status fuzz_setting(fuzz_call *call)
{
    nn_arena arena = {0};
    fl_config config;
    char *text = nn_arena_zero(&arena, call->size + 1, 1);
    FUZZ_CHECK(text != NULL);
    if (call->size != 0)
        memcpy(text, call->bytes, call->size);
    char *equals = strchr(text, '=');
    ddome_status status = DDOME_ERR_USAGE;
    fl_config_defaults(&config);
    if (equals != NULL) {
        *equals = '\0';
        status = fl_config_set(&call->error, &config, text, equals + 1);
    } else
        nn_fail(&call->error, status, "expected KEY=VALUE");
    if (status == DDOME_OK)
        status = check_all(call, &config);
    nn_arena_free(&arena);
    return status;
}
