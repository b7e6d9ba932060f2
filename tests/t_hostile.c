/* SPDX-License-Identifier: MIT */
/* Inputs that are hostile by their size, which tests/fuzz/corpus does not store: deep nesting, many
 * values, many tensors, long lines. Each is refused or taken by the readers of tests/fuzz, whose
 * memory is bounded by the input's size (fuzz_run checks it). SPEC 16.1, 17.4, 19. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "idx_fixture.h"
#include "test.h"

void t_hostile(void);

enum { MANY = 1000000, TENSORS = 20000, TENSOR_BYTES = 64 };

/* ---- texts made of parts ---- */

typedef struct text {
    unsigned char *bytes;
    size_t size, room;
} text;

static void add(text *t, const void *bytes, size_t size)
{
    if (t->size + size > t->room) {
        t->room = 2 * (t->size + size);
        unsigned char *grown = realloc(t->bytes, t->room);
        if (!CHECK(grown != NULL))
            exit(DDOME_ERR_MEMORY);
        t->bytes = grown;
    }
    if (size != 0)
        memcpy(t->bytes + t->size, bytes, size);
    t->size += size;
}

static void add_text(text *t, const char *part)
{
    add(t, part, strlen(part));
}

static void repeat(text *t, const char *part, size_t times)
{
    for (size_t i = 0; i < times; i++)
        add_text(t, part);
}

/* ---- readers by name ---- */

static const fuzz_reader *reader_of(const char *name)
{
    size_t count;
    const fuzz_reader *reader = fuzz_readers(&count);
    while (count > 0 && strcmp(reader->name, name) != 0) {
        reader++;
        count--;
    }
    return CHECK(count != 0) ? reader : NULL;
}

static void reads(const char *name, const text *t, bool taken)
{
    const fuzz_reader *reader = reader_of(name);
    const ddome_status status = reader == NULL ? DDOME_OK : fuzz_run(reader, t->bytes, t->size);
    test_check((status == DDOME_OK) == taken, __FILE__, __LINE__, "%s ends with status %d", name,
               (int)status);
}

/* ---- JSON in whatever has it ---- */

/* `first`, then a part MANY times: refused by every reader that has JSON in it. */
static void refuse_everywhere(const char *first, const char *part)
{
    static const struct {
        const char *reader, *head;
    } cases[] = {
        {"json", ""},
        {"value", "{\"dtype\":"},
        {"vectors", "{\"schema\":\"ddome-vectors-1\",\"vectors\":"},
        {"manifest", "{\"a\":"},
        {"trace", "{\"trace\":\"ddome-trace-1\",\"specification\":1,\"arith\":\"ma\"}\n{\"key\":"},
        {"report", "rounds.jsonl\n{\"participants\":"},
        {"report", "manifest.json\n{\"algo\":"},
        {"compare_run", "manifest.json\n{\"algo\":"},
        {"compare_answers", "{\"schema\":\"ddome-vectors-1\",\"vectors\":"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text t = {NULL, 0, 0};
        add_text(&t, cases[i].head);
        add_text(&t, first);
        repeat(&t, part, MANY);
        reads(cases[i].reader, &t, false);
        free(t.bytes);
    }
}

/* All of it is read before the end is missed: the most memory a byte can take. */
static void many_values(void)
{
    text t = {NULL, 0, 0};
    add_text(&t, "[0");
    repeat(&t, ",0", MANY);
    reads("json", &t, false);
    add_text(&t, "]");
    reads("json", &t, true);
    free(t.bytes);
}

static void many_names(void)
{
    text t = {NULL, 0, 0};
    char name[32];
    add_text(&t, "{\"\":0");
    for (unsigned i = 0; i < MANY / 10; i++) {
        snprintf(name, sizeof name, ",\"%x\":0", i);
        add_text(&t, name);
    }
    add_text(&t, "}");
    reads("json", &t, true);
    t.size--;
    add_text(&t, ",\"0\":0}");
    reads("json", &t, false);
    free(t.bytes);
}

/* ---- safetensors ---- */

static void add_length(text *t, uint64_t length)
{
    for (int i = 0; i < 8; i++) {
        const unsigned char byte = (unsigned char)(length >> 8 * i);
        add(t, &byte, 1);
    }
}

/* The header after its length. */
static void frame(text *t, const text *header)
{
    add_length(t, header->size);
    add(t, header->bytes, header->size);
}

static void header_case(const text *header, bool taken)
{
    text t = {NULL, 0, 0};
    frame(&t, header);
    reads("safetensors", &t, taken);
    reads("companion", &t, false);
    reads("checkpoint", &t, false);
    free(t.bytes);
}

static void many_tensors(void)
{
    text header = {NULL, 0, 0};
    char entry[TENSOR_BYTES];
    for (unsigned i = 0; i < TENSORS; i++) {
        snprintf(entry, sizeof entry,
                 "%c\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                 i == 0 ? '{' : ',', i);
        add_text(&header, entry);
    }
    add_text(&header, "}");
    header_case(&header, true);
    header.size--;
    header_case(&header, false); /* cut */
    add_text(&header, ",\"0\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    header_case(&header, false); /* a name twice */
    free(header.bytes);
}

/* 100 million tensors, or bytes of one, that a short file cannot have. */
static void claims(void)
{
    static const char *const headers[] = {
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[100000000],\"data_offsets\":[0,400000000]}}",
        "{\"t\":{\"dtype\":\"F64\",\"shape\":[4294967296,536870912],\"data_offsets\":[0,0]}}",
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,18446744073709551615]}}",
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,0]}}",
        "{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[18446744073709551615,0]}}",
        "{\"../../t\\u0000\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
    };
    static const uint64_t lengths[] = {100000000, 100000001, UINT64_MAX, UINT64_MAX - 7, 1};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        text header = {NULL, 0, 0};
        add_text(&header, headers[i]);
        header_case(&header, false);
        free(header.bytes);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        text t = {NULL, 0, 0};
        add_length(&t, lengths[i]);
        add_text(&t, "{}");
        reads("safetensors", &t, false);
        reads("checkpoint", &t, false);
        free(t.bytes);
    }
}

/* ---- lines ---- */

static void lines(void)
{
    static const struct {
        const char *reader, *head, *part;
        bool taken;
    } cases[] = {
        {"trace", "{\"trace\":\"ddome-trace-1\",\"specification\":1,\"arith\":\"ma\"}\n", "\n",
         false},
        {"partition", "index,client,role\n", "\n", false},
        {"partition", "index,client,role\n", "0,0,anchor", false},
        {"partition", "index,client,role\n0,", "9", false},
        {"exclude", "train ", "0 ", true},
        {"exclude", "train ", "9", false},
        {"config", "#", " ", true},
        {"config", "", "\n", true},
        {"config", "seed = ", "9", false},
        {"config", "data_dir = \"", "\\\"", false},
        {"tolerances", "", "\n", true},
        {"tolerances", "sum ulp ", "9", false},
        {"table", "x\n", "9", false},
        {"table", "x\n", "1,", false},
        {"table", "x", ",", false},
        {"report", "config.toml\n", "\n", false},
        {"report", "partition.csv\nclient\n1\n", "0\n", true},
        {"report", "clients.csv\nround,experts\n", "1,0\n", true},
        {"report", "SHA256SUMS\n", "0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text t = {NULL, 0, 0};
        add_text(&t, cases[i].head);
        repeat(&t, cases[i].part, MANY);
        reads(cases[i].reader, &t, cases[i].taken);
        free(t.bytes);
    }
}

/* ---- errors ---- */

static void error_lines(void)
{
    enum { ROOM = sizeof((ddome_error *)0)->text, MOST = ROOM - 1 };
    char line[ROOM] = "";
    ddome_error error = {DDOME_OK, ""};
    CHECK(nn_fail(&error, DDOME_ERR_DATA, "%s", "a\n\x1b[2J\x7f\t\xc3\xa4\\") == DDOME_ERR_DATA);
    test_same_text("error", error.text, "a\\x0a\\x1b[2J\\x7f\\x09\xc3\xa4\\");
    memset(line, '\n', MOST);
    for (size_t plain = 0; plain <= MOST; plain++) {
        memset(line, 'a', plain);
        nn_error_clear(&error);
        (void)nn_fail(&error, DDOME_ERR_DATA, "%s", line);
        CHECK(strlen(error.text) == plain + (MOST - plain) / 4 * 4);
        CHECK(strchr(error.text, '\n') == NULL);
    }
}

void t_hostile(void)
{
    test_case("hostile: control characters in an error");
    error_lines();
    test_case("hostile: %d brackets", (int)MANY);
    if (!idx_make_folder("fuzz-hostile")) {
        test_skip("plain C99 cannot make folders");
        return;
    }
    refuse_everywhere("", "[");
    test_case("hostile: %d objects in one another", (int)MANY);
    refuse_everywhere("", "{\"\":");
    test_case("hostile: a string of %d bytes without an end", (int)MANY);
    refuse_everywhere("\"", "a");
    test_case("hostile: %d values", (int)MANY);
    many_values();
    test_case("hostile: %d names", (int)MANY / 10);
    many_names();
    test_case("hostile: %d tensors", (int)TENSORS);
    many_tensors();
    test_case("hostile: sizes that no file has");
    claims();
    test_case("hostile: %d lines, digits, blanks", (int)MANY);
    lines();
}
