/* SPDX-License-Identifier: MIT */
/* Results on standard output, as text or as one JSON object; errors as one line. SPEC 18.1, 18.2.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../data/json.h"
#include "tool.h"

static void add_escaped(fl_text *json, const char *value, bool ascii)
{
    fl_text_add(json, "\"");
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            fl_text_add(json, "\\%c", c);
        else if (c < ' ')
            fl_text_add(json, "\\u%04x", c);
        else if (c > '~' && ascii)
            fl_text_add(json, "\\ufffd");
        else
            fl_text_add(json, "%c", c);
    }
    fl_text_add(json, "\"");
}

/* A path is bytes, JSON is UTF-8: where our own reader refuses the string, its bytes are marked
 * (SPEC 18.2.3). */
void tool_json_quoted(fl_text *json, const char *value)
{
    ddome_error ignored = {DDOME_OK, ""};
    const data_json_value *parsed;
    fl_text probe = {.arena = json->arena};
    add_escaped(&probe, value, false);
    bool valid = !probe.failed && data_json_parse(&ignored, json->arena, &parsed, probe.data,
                                                  probe.length) == DDOME_OK;
    add_escaped(json, value, !valid);
}

void tool_json_string(tool *t, const char *name, const char *value)
{
    fl_text_add(&t->json, ", \"%s\": ", name);
    tool_json_quoted(&t->json, value);
}

void tool_json_u64(tool *t, const char *name, uint64_t value)
{
    fl_text_add(&t->json, ", \"%s\": %" PRIu64, name, value);
}

/* JSON has no NaN (SPEC 18.2.3). */
void tool_json_fixed6(tool *t, const char *name, double value)
{
    fl_text_add(&t->json, ", \"%s\": ", name);
    if (value >= 0.0 && value < 1e9)
        fl_text_fixed6(&t->json, value);
    else
        fl_text_add(&t->json, "null");
}

void tool_megabytes(fl_text *text, uint64_t bytes)
{
    fl_text_add(text, "%" PRIu64 ".%02" PRIu64 " MB", bytes / 1000000, bytes % 1000000 / 10000);
}

/* SPEC 18.2.2, 18.2.3. */
static void print_failure(tool *t, const ddome_error *error, ddome_status status)
{
    fprintf(stderr, "ddome: %s\n", error->text);
    if (!t->as_json)
        return;
    fl_text json = {.arena = &t->arena};
    tool_json_quoted(&json, error->text);
    printf("{\"success\": false, \"status\": %d, \"error\": %s}\n", (int)status,
           json.failed ? "\"out of memory\"" : json.data);
}

static void print_success(const tool *t)
{
    if (t->as_json)
        printf("{\"success\": true%s}\n", t->json.data == NULL ? "" : t->json.data);
    else if (t->text.length != 0)
        fwrite(t->text.data, 1, t->text.length, stdout);
}

/* Once, at the end, so that a failing call prints no results (SPEC 18.2.1). */
ddome_status tool_finish(tool *t, const ddome_error *error, ddome_status status)
{
    ddome_error own = *error;
    if (status == DDOME_OK)
        status = fl_text_status(&own, t->as_json ? &t->json : &t->text);
    if (status == DDOME_OK)
        print_success(t);
    else
        print_failure(t, &own, status);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "ddome: cannot write the results; check standard output\n");
    return status == DDOME_OK ? DDOME_ERR_IO : status;
}
