/* SPDX-License-Identifier: MIT */
/* Traces: what is taken is found again by its key. SPEC 19.3. */
#include <string.h>

#include "../../tools/compare_trace.h"
#include "fuzz.h"

static const char trace_text[] =
    "{\"trace\":\"ddome-trace-1\",\"specification\":1,\"arith\":\"ma\"}\n"
    "{\"key\":\"r1/x\",\"pass\":\"data\",\"op\":\"given\",\"name\":\"x\",\"tensor\":\"x\","
    "\"dtype\":\"F32\",\"shape\":[2],\"sha256\":"
    "\"b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37\"}\n";

static const char trace_tensors[] = "\x40\0\0\0\0\0\0\0"
                                    "{\"r1/x\":{\"dtype\":\"F32\",\"shape\":[2],"
                                    "\"data_offsets\":[0,8]}}       "
                                    "\0\0\x80\x3f\0\0\0\x40";

/* Each event is found by its key, its line can be parsed again, its elements are of its form. */
static void check_trace(tool *t, trace_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const trace_event *event = &file->event[i];
        const data_json_value *object = NULL;
        const void *elements = NULL;
        const nn_arena_mark mark = nn_arena_get_mark(&t->arena);
        FUZZ_CHECK(trace_find(file, event->key) == event && event->pass < FL_TRACE_PASSES);
        FUZZ_CHECK(trace_line(NULL, &t->arena, &object, file, event) == DDOME_OK);
        FUZZ_CHECK(trace_elements(NULL, &t->arena, &elements, file, event) == DDOME_OK);
        nn_arena_rewind(&t->arena, mark);
    }
}

static ddome_status read_trace(fuzz_call *call, const char *name, bool like)
{
    char path[FUZZ_PATH], other[FUZZ_PATH];
    trace_file file, first;
    tool t;
    memset(&t, 0, sizeof t);
    fuzz_path(path, name);
    fuzz_path(other, "fuzz-trace-first.jsonl");
    ddome_status status = DDOME_OK;
    if (like)
        status = trace_read(&call->error, &t, &first, other, NULL);
    FUZZ_CHECK(status == DDOME_OK);
    status = trace_read(&call->error, &t, &file, path, like ? &first : NULL);
    if (status == DDOME_OK)
        check_trace(&t, &file);
    call->arena = t.arena;
    return status;
}

ddome_status fuzz_trace(fuzz_call *call)
{
    static bool done;
    if (!done)
        fuzz_put("fuzz-trace.jsonl.safetensors", trace_tensors, sizeof trace_tensors - 1);
    done = true;
    fuzz_put("fuzz-trace.jsonl", call->bytes, call->size);
    return read_trace(call, "fuzz-trace.jsonl", false);
}

/* The second trace of a comparison, whose lines may leave to the first what is the same. */
ddome_status fuzz_trace_like(fuzz_call *call)
{
    static bool done;
    if (!done)
        fuzz_put_text("fuzz-trace-first.jsonl", trace_text);
    done = true;
    fuzz_put("fuzz-trace-like.jsonl", call->bytes, call->size);
    return read_trace(call, "fuzz-trace-like.jsonl", true);
}
