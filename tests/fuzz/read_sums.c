/* SPDX-License-Identifier: MIT */
/* Lists of hashes: the SHA256SUMS that `verify` reads, the ckpt/DONE that `resume` reads.
 * SPEC 17.3, 17.6.4, 17.7.1. */
#include <stdio.h>
#include <string.h>

#include "../../fl/saved.h"
#include "../../fl/verify.h"
#include "fuzz.h"

/* ---- SHA256SUMS ---- */

/* Of the two files of the folder. */
static const char *const sums[] = {
    "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7  a.csv\n",  /* "a\n" */
    "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f  final/b\n" /* "b\n" */
};

/* Is it one of them, or both in their order? A file has one path and one line. */
static bool made_of(const fuzz_call *call)
{
    const unsigned char *at = call->bytes;
    size_t left = call->size;
    for (size_t i = 0; i < 2; i++) {
        const size_t length = strlen(sums[i]);
        if (left >= length && memcmp(at, sums[i], length) == 0) {
            at += length;
            left -= length;
        }
    }
    return call->size != 0 && left == 0;
}

ddome_status fuzz_sums(fuzz_call *call)
{
    static bool done;
    char path[FUZZ_PATH], root[NN_HEX_BYTES], hex[NN_HEX_BYTES];
    if (!done) {
        fuzz_folder("fuzz-sums");
        fuzz_folder("fuzz-sums/in");
        fuzz_folder("fuzz-sums/in/final");
        fuzz_put_text("fuzz-sums/a.csv", "a\n"); /* out of reach */
        fuzz_put_text("fuzz-sums/in/a.csv", "a\n");
        fuzz_put_text("fuzz-sums/in/final/b", "b\n");
    }
    done = true;
    fuzz_put("fuzz-sums/in/SHA256SUMS", call->bytes, call->size);
    fuzz_path(path, "fuzz-sums/in");
    ddome_status status = fl_verify_hashes(&call->error, &call->arena, path, root);
    FUZZ_CHECK((status == DDOME_OK) == made_of(call));
    if (status == DDOME_OK) {
        const nn_digest digest = nn_sha256_of(call->bytes, call->size);
        nn_digest_hex(hex, &digest);
        FUZZ_CHECK(strcmp(root, hex) == 0);
    }
    return status;
}

/* ---- ckpt/DONE ---- */

/* What is taken has one form. */
static void check_list(const fuzz_call *call, const fl_saved *saved)
{
    nn_arena arena = {0};
    fl_text text = {.arena = &arena};
    char name[FL_SAVED_NAME];
    FUZZ_CHECK(saved->count <= FL_SAVED_MOST);
    for (size_t i = 0; i < saved->count; i++) {
        FUZZ_CHECK(i == 0 || saved->file[i].round > saved->file[i - 1].round);
        fl_text_digest(&text, &saved->file[i].digest);
        fl_text_add(&text, "  %s\n", fl_saved_name(name, saved->file[i].round) + strlen("ckpt/"));
    }
    FUZZ_CHECK(!text.failed && text.length == call->size);
    FUZZ_CHECK(text.length == 0 || memcmp(text.data, call->bytes, text.length) == 0);
    nn_arena_free(&arena);
}

ddome_status fuzz_done(fuzz_call *call)
{
    static bool done;
    static fl_saved saved;
    char path[FUZZ_PATH];
    fl_rundir dir;
    if (!done) {
        fuzz_folder("fuzz-done");
        fuzz_folder("fuzz-done/ckpt");
    }
    done = true;
    fuzz_put("fuzz-done/ckpt/DONE", call->bytes, call->size);
    fuzz_path(path, "fuzz-done");
    memset(&saved, 0, sizeof saved);
    ddome_status status = fl_rundir_view(&call->error, &dir, &call->arena, path);
    if (status == DDOME_OK)
        status = fl_saved_open(&call->error, &saved, &dir);
    if (status == DDOME_OK)
        check_list(call, &saved);
    return status;
}
