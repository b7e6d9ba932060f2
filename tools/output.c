/* SPDX-License-Identifier: MIT */
/* Results on standard output, as text or as one JSON object; errors as one line. SPEC 18.1, 18.2.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

/* Bytes of the UTF-8 character at the start, 0 where there is none: no overlong form, no surrogate,
 * nothing above U+10FFFF. A NUL is no continuation, so nothing behind it is read. */
static size_t utf8_length(const unsigned char *at)
{
    const unsigned lead = at[0];
    const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4 || at[1] < low || at[1] > high)
        return 0;
    const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    for (size_t i = 2; i < length; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return length;
}

/* A character that may be shown as it is: no control character (C0, DEL, C1), no mark that breaks a
 * line or turns the direction of a text. Its length, or 0. */
static size_t plain_length(const unsigned char *at)
{
    const size_t length = utf8_length(at);
    const bool control = at[0] < ' ' || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0);
    const bool mark = at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
                                        (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
    return control || mark ? 0 : length;
}

const char *tool_shown(tool *t, const char *text)
{
    fl_text shown = {.arena = &t->arena};
    const unsigned char *at = (const unsigned char *)text;
    size_t length = 0;
    while (*at != '\0' && (length = plain_length(at)) != 0)
        at += length;
    if (*at == '\0')
        return text;
    fl_text_add(&shown, "%.*s", (int)((const char *)at - text), text);
    for (; *at != '\0'; at += nn_max(length, 1)) {
        length = plain_length(at);
        if (length == 0)
            fl_text_add(&shown, "\\x%02x", *at);
        else
            fl_text_add(&shown, "%.*s", (int)length, (const char *)at);
    }
    t->text.failed = t->text.failed || shown.failed;
    return shown.failed ? "" : shown.data;
}

/* One line, whatever names of files it has; without memory, which may be what failed. */
static void print_error(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fprintf(stderr, "ddome: ");
    for (size_t length; *at != '\0'; at += nn_max(length, 1)) {
        length = plain_length(at);
        if (length == 0)
            fprintf(stderr, "\\x%02x", *at);
        else
            fprintf(stderr, "%.*s", (int)length, (const char *)at);
    }
    fprintf(stderr, "\n");
}

/* A path is bytes, JSON is UTF-8: what is none is marked, byte by byte (SPEC 18.2.3). */
void tool_json_quoted(fl_text *json, const char *value)
{
    const unsigned char *at = (const unsigned char *)value;
    fl_text_add(json, "\"");
    while (*at != '\0') {
        const size_t length = utf8_length(at);
        if (*at == '"' || *at == '\\')
            fl_text_add(json, "\\%c", *at);
        else if (*at < ' ')
            fl_text_add(json, "\\u%04x", *at);
        else if (length == 0)
            fl_text_add(json, "\\ufffd");
        else
            fl_text_add(json, "%.*s", (int)length, (const char *)at);
        at += nn_max(length, 1);
    }
    fl_text_add(json, "\"");
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

static void print_text(const tool *t)
{
    if (t->text.length != 0)
        fwrite(t->text.data, 1, t->text.length, stdout);
}

/* A difference is a result as well: what was found stands beside the error. SPEC 18.2.2, 18.2.3. */
static void print_failure(const tool *t, const ddome_error *error, const fl_text *quoted,
                          ddome_status status)
{
    print_error(error->text);
    if (!t->as_json && t->results_stand)
        print_text(t);
    if (!t->as_json)
        return;
    printf("{\"success\": false, \"status\": %d, \"error\": %s%s}\n",
           status == DDOME_STOPPED ? tool_signal_status() : (int)status,
           quoted->failed ? "\"out of memory\"" : quoted->data,
           t->results_stand && t->json.data != NULL ? t->json.data : "");
}

static void print_success(const tool *t)
{
    if (t->as_json)
        printf("{\"success\": true%s}\n", t->json.data == NULL ? "" : t->json.data);
    else
        print_text(t);
}

/* Results that ran out of memory are none, whatever they were going to say; the form that is not
 * printed does not matter. */
static ddome_status check_results(ddome_error *error, tool *t, ddome_status status)
{
    ddome_error own = {DDOME_OK, ""};
    if (status != DDOME_OK && !t->results_stand)
        return status;
    const ddome_status written = fl_text_status(&own, t->as_json ? &t->json : &t->text);
    if (written == DDOME_OK)
        return status;
    t->results_stand = false;
    *error = own;
    return written;
}

/* The error as JSON has it; when there is no memory for that, this is the error. */
static ddome_status quote(ddome_error *error, tool *t, fl_text *quoted, ddome_status status)
{
    tool_json_quoted(quoted, error->text);
    if (!quoted->failed)
        return status;
    t->results_stand = false;
    return fl_text_status(error, quoted);
}

/* Once, at the end, so that a failing call prints no results (SPEC 18.2.1). */
ddome_status tool_finish(tool *t, const ddome_error *error, ddome_status status)
{
    ddome_error own = *error;
    fl_text quoted = {.arena = &t->arena};
    status = check_results(&own, t, status);
    if (status != DDOME_OK && t->as_json)
        status = quote(&own, t, &quoted, status);
    if (status == DDOME_OK)
        print_success(t);
    else
        print_failure(t, &own, &quoted, status);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "ddome: cannot write the results; check standard output\n");
    return status == DDOME_OK ? DDOME_ERR_IO : status;
}
