/* SPDX-License-Identifier: MIT */
/* What a run keeps, at its edges: lists of checkpoints and of hashes line by line, leftovers in
 * ckpt, tables and files held against what is there, each allocation failing.
 * SPEC 17.3, 17.6, 17.7. */
#include <stdio.h>
#include <string.h>

#include "../fl/saved.h"
#include "../fl/table.h"
#include "../fl/verify.h"
#include "../nn/os.h"
#include "poor.h"

void t_kept_edges(void);

enum { PATH_BYTES = 1024, LINE_BYTES = 87, CHUNK = 1 << 16 };

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define ROUND(digits) ZEROS "  " digits ".safetensors\n"
#define HASH_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* ---- a folder ---- */

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/kept%s%s", test_dir(), name[0] == '\0' ? "" : "/", name);
    return path;
}

/* test_dir()/kept with a folder ckpt; false where folders cannot be made. */
static bool make_folders(void)
{
    ddome_error error = {DDOME_OK, ""};
    nn_arena arena = {0};
    fl_rundir dir;
    ddome_status status = fl_rundir_open(&error, &dir, &arena, path_to(""), true);
    if (status == DDOME_OK) {
        status = fl_rundir_write_unhashed(&error, &dir, "ckpt/run.toml", "", 0);
        fl_rundir_leave(&dir);
    }
    nn_arena_free(&arena);
    if (strstr(error.text, "plain C99") == NULL)
        return test_status("folders", status, DDOME_OK, &error, NULL);
    test_skip("plain C99 cannot make folders");
    return false;
}

static void put(const char *name, const void *bytes, size_t size)
{
    CHECK(nn_os_write_file(NULL, path_to(name), bytes, size) == DDOME_OK);
}

static bool there(const char *name)
{
    return nn_os_exists(path_to(name));
}

static void holds(const char *name, const char *want)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    unsigned char *bytes;
    size_t size;
    if (test_status(name,
                    nn_os_read_file(&error, &arena, &bytes, &size, path_to(name), DDOME_ERR_DATA),
                    DDOME_OK, &error, NULL))
        test_same_text(name, (const char *)bytes, want);
    nn_arena_free(&arena);
}

/* ---- the list of checkpoints ---- */

static ddome_status open_list(ddome_error *error, nn_arena *arena, void *context)
{
    fl_saved *saved = context;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", path_to(""));
    const fl_rundir dir = {.path = path, .arena = arena};
    const ddome_status status = fl_saved_open(error, saved, &dir);
    CHECK(arena->used == 0);
    return status;
}

static void check_list(const char *what, const char *text, size_t count, unsigned refused_line)
{
    static fl_saved saved;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    char part[40];
    put("ckpt/DONE", text, strlen(text));
    const ddome_status status = open_list(&error, &arena, &saved);
    snprintf(part, sizeof part, "DONE is damaged: line %u:", refused_line);
    if (refused_line != 0)
        test_status(what, status, DDOME_ERR_RESUME, &error, part);
    else if (test_status(what, status, DDOME_OK, &error, NULL))
        test_same_u64(what, saved.count, count);
    nn_arena_free(&arena);
}

/* Files without a list. */
static void check_lost(const char *what, ddome_status want)
{
    static fl_saved saved;
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    test_status(what, open_list(&error, &arena, &saved), want, &error,
                want == DDOME_OK ? NULL : "DONE is missing: expected it beside ckpt/00000001.safe");
    nn_arena_free(&arena);
}

/* SPEC 17.6.4. */
static void lists(void)
{
    static const char *const damages[] = {"ba",
                                          HASH_ABC "\n",
                                          ROUND("0000000"),
                                          ROUND("000000001"),
                                          ROUND("0000000:"),
                                          ROUND("/0000000"),
                                          ROUND("0000000x"),
                                          HASH_ABC "  00000001.safetensors",
                                          HASH_ABC "  00000001.safetensorz\n",
                                          HASH_ABC " \t00000001.safetensors\n",
                                          HASH_ABC "\t 00000001.safetensors\n",
                                          "G" HASH_ABC "  0000001.safetensors\n"};
    char text[102 * LINE_BYTES], bad[LINE_BYTES + 1];
    size_t length = 0;
    test_case("kept: lists of checkpoints that are taken (SPEC 17.6.4)");
    check_list("nothing", "", 0, 1); /* a run that is kept has a checkpoint */
    check_list("one", ROUND("00000007"), 1, 0);
    check_list("two", ROUND("00000007") ROUND("99999999"), 2, 0);
    for (unsigned i = 1; i <= FL_SAVED_MOST; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, ZEROS "  %08u.safetensors\n", i);
    check_list("a hundred", text, FL_SAVED_MOST, 0);

    test_case("kept: lists of checkpoints that are refused");
    snprintf(text + length, sizeof text - length, ROUND("00000101"));
    check_list("a hundred and one", text, 0, FL_SAVED_MOST + 1);
    check_list("twice", ROUND("00000007") ROUND("00000007"), 0, 2);
    check_list("back", ROUND("00000007") ROUND("00000006"), 0, 2);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        check_list(damages[i], damages[i], 0, 1);
    for (size_t at = 0; at < 64; at += 9) { /* both digits of a byte */
        static const char wrong[] = {'A', 'g', '/', ':', '`', ' '};
        snprintf(bad, sizeof bad, ROUND("00000001"));
        bad[at] = wrong[at / 9 % sizeof wrong];
        check_list(bad, bad, 0, 1);
    }

    test_case("kept: no list of checkpoints, and no memory for it");
    static fl_saved saved;
    put("ckpt/DONE", ROUND("00000007"), LINE_BYTES);
    test_poor_alone("list", 2, open_list, &saved);
    nn_os_remove(path_to("ckpt/DONE"));
    for (uint32_t round = 0; round < 20; round++) /* of an earlier call */
        nn_os_remove(path_to(fl_saved_name(text, round)));
    test_poor_alone("no list", 3, open_list, &saved);
    test_same_u64("checkpoints", saved.count, 0);
    put("ckpt/00000000.safetensors", "", 0);
    put("ckpt/00000001.safetensors.tmp", "", 0);
    put("ckpt/0000000a.safetensors", "", 0);
    check_lost("what a kill leaves before the first list", DDOME_OK);
    put("ckpt/00000001.safetensors", "", 0);
    check_lost("a checkpoint of round 1", DDOME_ERR_RESUME);
    nn_os_remove(path_to("ckpt/00000001.safetensors"));
    nn_os_remove(path_to("ckpt/0000000a.safetensors"));
}

/* ---- checkpoints ---- */

/* As many as there are arguments in rounds. */
static void name_files(fl_saved *saved, const uint32_t *rounds, size_t count, const void *bytes,
                       size_t size)
{
    char name[FL_SAVED_NAME];
    memset(saved, 0, sizeof *saved);
    for (size_t i = 0; i < count; i++) {
        saved->file[i] = (fl_saved_file){rounds[i], nn_sha256_of(bytes, size)};
        put(fl_saved_name(name, rounds[i]), bytes, size);
    }
    saved->count = count;
}

/* An empty header, as small as a safetensors file can be. */
static const unsigned char EMPTY_FILE[] = {8,   0,   0,   0,   0,   0,   0,   0,
                                           '{', '}', ' ', ' ', ' ', ' ', ' ', ' '};

static void found(void)
{
    static const uint32_t rounds[] = {3, 5};
    static fl_saved saved;
    const ddome_progress deaf = {.report = NULL};
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", path_to(""));
    nn_arena arena = {0};
    const fl_rundir dir = {.path = path, .arena = &arena};
    ddome_error error = {DDOME_OK, ""};

    test_case("kept: the newest checkpoint of at most so many rounds");
    name_files(&saved, rounds, 2, EMPTY_FILE, sizeof EMPTY_FILE);
    for (uint32_t most = 0; most < 7; most++) {
        test_status("find", fl_saved_find(&error, &saved, &dir, most, NULL), DDOME_OK, &error,
                    NULL);
        CHECK(saved.found == (most >= 3));
        if (saved.found)
            test_same_u64("round", saved.round, most >= 5 ? 5 : 3);
        fl_saved_free(&saved);
    }

    test_case("kept: checkpoints whose hash is right and that are no such files");
    for (int told = 0; told < 2; told++) {
        memset(&error, 0, sizeof error);
        name_files(&saved, rounds, 2, "not one", 7);
        test_status("find", fl_saved_find(&error, &saved, &dir, 9, told == 0 ? NULL : &deaf),
                    DDOME_ERR_RESUME, &error, "00000003.safetensors: safetensors");
        CHECK(!saved.found && saved.arena.used == 0);
    }

    test_case("kept: no memory to read a checkpoint");
    ddome_status status = DDOME_ERR_MEMORY;
    size_t failures = 0;
    for (size_t n = 1; status != DDOME_OK && n < 50; n++) {
        memset(&error, 0, sizeof error);
        name_files(&saved, rounds, 2, EMPTY_FILE, sizeof EMPTY_FILE);
        saved.arena.fail_after = n;
        status = fl_saved_find(&error, &saved, &dir, 9, NULL);
        if (status != DDOME_OK)
            failures += test_status("find", status, DDOME_ERR_MEMORY, &error, "out of memory");
        CHECK(saved.found == (status == DDOME_OK));
        fl_saved_free(&saved);
    }
    CHECK(status == DDOME_OK && failures >= 2);
    nn_arena_free(&arena);
}

/* SPEC 17.6.2: what a killed run leaves, and what goes on behind an older round. */
static void tidied(void)
{
    static const uint32_t rounds[] = {3, 5};
    static const char *const gone[] = {"ckpt/00000009.safetensors", "ckpt/00000009.safetensors.tmp",
                                       "ckpt/00000003.safetensors.tmp", "ckpt/clients.tmp"};
    static const char *const kept[] = {"ckpt/0000000x.safetensors", "ckpt/00000009.safetensors.bak",
                                       "ckpt/00000009.safetensor", "ckpt/note",
                                       "ckpt/00000003.safetensors"};
    static fl_saved saved;
    nn_arena arena = {0};
    char path[PATH_BYTES];
    ddome_error error = {DDOME_OK, ""};
    snprintf(path, sizeof path, "%s", path_to(""));
    const fl_rundir dir = {.path = path, .arena = &arena};
    test_case("kept: leftovers in ckpt are removed, and nothing else");
    for (int later = 0; later < 2; later++) {
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
            put(gone[i], "x", 1);
        for (size_t i = 0; i + 1 < sizeof kept / sizeof *kept; i++)
            put(kept[i], "x", 1);
        put("ckpt/DONE", "as it was", 9);
        name_files(&saved, rounds, 2, EMPTY_FILE, sizeof EMPTY_FILE);
        saved.round = later == 0 ? 5 : 3;
        test_status("tidy", fl_saved_tidy(&error, &saved, &dir), DDOME_OK, &error, NULL);
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
            test_check(!there(gone[i]), __FILE__, __LINE__, "%s is still there", gone[i]);
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            test_check(there(kept[i]), __FILE__, __LINE__, "%s is gone", kept[i]);
        CHECK(there("ckpt/00000005.safetensors") == (later == 0));
        CHECK(arena.used == 0);
    }
    test_same_u64("checkpoints", saved.count, 1);
    CHECK(nn_os_exists(path_to("ckpt/DONE")));
    test_case("kept: a list that loses its last checkpoint is empty");
    saved.round = 0;
    test_status("tidy", fl_saved_tidy(&error, &saved, &dir), DDOME_OK, &error, NULL);
    holds("ckpt/DONE", "");
    CHECK(saved.count == 0 && !there("ckpt/00000003.safetensors"));
    nn_arena_free(&arena);
}

static ddome_status add(ddome_error *error, nn_arena *arena, void *context)
{
    static const uint32_t rounds[] = {3, 5};
    fl_saved *saved = context;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", path_to(""));
    const fl_rundir dir = {.path = path, .arena = arena};
    const nn_digest digest = nn_sha256_of("abc", 3);
    name_files(saved, rounds, 2, EMPTY_FILE, sizeof EMPTY_FILE);
    put("ckpt/00000008.safetensors.tmp", "abc", 3);
    return fl_saved_add(error, saved, &dir, 8, &digest, 1);
}

static void added(void)
{
    static fl_saved saved;
    test_case(
        "kept: a checkpoint is added without memory, at each allocation; the newest one stays");
    test_poor_alone("add", 4, add, &saved);
    test_same_u64("checkpoints", saved.count, 1);
    holds("ckpt/DONE", HASH_ABC "  00000008.safetensors\n");
    holds("ckpt/00000008.safetensors", "abc");
    CHECK(!there("ckpt/00000003.safetensors") && !there("ckpt/00000005.safetensors"));
}

/* ---- SHA256SUMS ---- */

static void sums(const char *what, const char *text, size_t size, ddome_status want,
                 const char *part)
{
    ddome_error error = {DDOME_OK, ""};
    char root[NN_HEX_BYTES] = "", hex[NN_HEX_BYTES];
    nn_arena arena = {0};
    put("SHA256SUMS", text, size);
    const ddome_status status = fl_verify_hashes(&error, &arena, path_to(""), root);
    CHECK(arena.used == 0);
    nn_arena_free(&arena);
    const nn_digest digest = nn_sha256_of(text, size);
    nn_digest_hex(hex, &digest);
    test_status(what, status, want, &error, part);
    test_same_text("root hash", root, status == DDOME_OK ? hex : "");
}

/* SPEC 17.7.1. */
static void hashes(void)
{
    static const char *const damages[] = {"\n",
                                          "ab\n",
                                          HASH_ABC "  \n",
                                          HASH_ABC "  abc",
                                          HASH_ABC " \tabc\n",
                                          HASH_ABC "0 abc\n",
                                          "B" HASH_ABC " abc\n",
                                          HASH_ABC "  /abc\n",
                                          HASH_ABC "  ..\n",
                                          HASH_ABC "  ../abc\n",
                                          HASH_ABC "  ckpt/../abc\n",
                                          HASH_ABC "  .\n",
                                          HASH_ABC "  ./abc\n",
                                          HASH_ABC "  ckpt/./abc\n",
                                          HASH_ABC "  ckpt//abc\n",
                                          HASH_ABC "  abc/\n"};
    static const char *const orders[] = {
        HASH_ABC "  abc\n" HASH_ABC "  abc\n", HASH_ABC "  abc\n" HASH_ABC "  ab\n",
        HASH_ABC "  abc\n" HASH_ABC "  ABC\n", HASH_ABC "  \303\244\n" HASH_ABC "  abc\n"};
    static const char good[] = HASH_ABC "  abc\n", two[] = HASH_ABC "  a/b\n" HASH_ABC "  abc\n";
    test_case("kept: lists of hashes that are refused (SPEC 17.3.1)");
    put("abc", "abc", 3);
    sums("nothing", "", 0, DDOME_ERR_DATA, "expected lines of text");
    sums("a NUL", good, sizeof good, DDOME_ERR_DATA, "expected lines of text");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        sums(damages[i], damages[i], strlen(damages[i]), DDOME_ERR_DATA, "SHA256SUMS: line 1:");
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        sums(orders[i], orders[i], strlen(orders[i]), DDOME_ERR_DATA,
             "SHA256SUMS: line 2: expected each path once, sorted by its bytes, found ");
    sums("a line cut", two, sizeof two - 2, DDOME_ERR_DATA, "SHA256SUMS: line 2: expected a hash");
    test_case("kept: files against their hashes (SPEC 17.7.1)");
    sums("good", good, sizeof good - 1, DDOME_OK, NULL);
    sums("missing", two, sizeof two - 1, DDOME_ERR_VERIFY, "cannot open");
    sums("a name with dots", HASH_ABC "  ..abc\n", 72, DDOME_ERR_VERIFY, "cannot open");
    put("abc", "abd", 3);
    sums("changed", good, sizeof good - 1, DDOME_ERR_VERIFY,
         "abc was changed: expected SHA-256 ba");
    nn_os_remove(path_to("SHA256SUMS"));
    ddome_error error = {DDOME_OK, ""};
    char root[NN_HEX_BYTES];
    nn_arena arena = {0};
    test_status("none", fl_verify_hashes(&error, &arena, path_to(""), root), DDOME_ERR_DATA, &error,
                "SHA256SUMS is missing: expected a finished run");
    nn_arena_free(&arena);
}

/* ---- files that are looked at ---- */

static unsigned char long_file[CHUNK + 10];

static ddome_status compare(ddome_error *error, nn_arena *arena, void *context)
{
    size_t *size = context;
    fl_rundir dir;
    ddome_status status = fl_rundir_view(error, &dir, arena, path_to(""));
    if (status == DDOME_OK)
        status = fl_rundir_write(error, &dir, "long", long_file, *size);
    if (status == DDOME_OK)
        status = fl_rundir_append(error, &dir, "long", 5, long_file + 5, *size - 5);
    if (status == DDOME_OK)
        status = fl_rundir_write_unhashed(error, &dir, "unhashed/file", "x", 1);
    CHECK(!there("unhashed"));
    return status;
}

/* The file is `there` and should be long_file[size]. */
static void differs(const char *what, const void *bytes, size_t count, size_t size,
                    const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    put("long", bytes, count);
    test_status(what, compare(&error, &arena, &size), part == NULL ? DDOME_OK : DDOME_ERR_VERIFY,
                &error, part);
    nn_arena_free(&arena);
}

/* SPEC 17.7.2. */
static void compared(void)
{
    static unsigned char other[sizeof long_file];
    size_t size = sizeof long_file;
    for (size_t i = 0; i < sizeof long_file; i++)
        long_file[i] = other[i] = (unsigned char)(i * 7 % 251);
    test_case("kept: files that are compared instead of written (SPEC 17.7.2)");
    differs("the same", other, size, size, NULL);
    differs("shorter", other, size - 1, size, "expected 65546 bytes at least");
    differs("empty", "", 0, size, "expected 65546 bytes at least");
    differs("longer", other, size, size - 1, "the first difference is byte 65545");
    other[CHUNK + 3]++;
    differs("in the second part", other, size, size, "the first difference is byte 65539");
    other[0]++;
    differs("the first byte", other, size, size, "the first difference is byte 0");
    nn_os_remove(path_to("long"));
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    test_status("missing", compare(&error, &arena, &size), DDOME_ERR_VERIFY, &error,
                "found fewer or no file");
    nn_arena_free(&arena);
    test_case("kept: no memory to compare files");
    put("long", long_file, size);
    test_poor_alone("compare", 4, compare, &size);
}

/* ---- tables ---- */

static ddome_status keep_table(ddome_error *error, nn_arena *arena, void *context)
{
    const nn_digest *digest = context;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", path_to(""));
    fl_rundir dir = {.path = path, .arena = arena};
    fl_table table;
    fl_table_init(&table, arena, "table.csv", true);
    fl_text_add(&table.text, "a,b\n1,2\n");
    ddome_status status = fl_table_write(error, &dir, &table);
    if (status == DDOME_OK)
        status = fl_table_write(error, &dir, &table); /* nothing new */
    if (status == DDOME_OK)
        status = fl_table_resume(error, &dir, &table, 4, digest);
    if (status == DDOME_OK)
        fl_text_add(&table.text, "3,4\n");
    return status == DDOME_OK ? fl_table_close(error, &dir, &table) : status;
}

/* The state of a table as a checkpoint has it, against the file. */
static void resumes(const char *what, const char *file, uint64_t size, const nn_digest *digest,
                    const char *part)
{
    nn_arena arena = {0};
    ddome_error error = {DDOME_OK, ""};
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s", path_to(""));
    const fl_rundir dir = {.path = path, .arena = &arena};
    fl_table table;
    fl_table_init(&table, &arena, "table.csv", false);
    put("table.csv", file, strlen(file));
    test_status(what, fl_table_resume(&error, &dir, &table, size, digest),
                part == NULL ? DDOME_OK : DDOME_ERR_RESUME, &error, part);
    test_same_u64("size", table.size, part == NULL ? size : 0);
    const fl_rundir view = {.path = path, .arena = &arena, .verify = true}; /* SPEC 17.7.2 */
    if (part != NULL)
        test_status(what, fl_table_resume(&error, &view, &table, size, digest), DDOME_ERR_VERIFY,
                    &error, part);
    nn_arena_free(&arena);
}

static void tables(void)
{
    const nn_digest head = nn_sha256_of("a,b\n", 4), nothing = nn_sha256_of("", 0);
    nn_digest digest = head;
    test_case("kept: a table that goes on behind its first line, without memory");
    test_poor_alone("table", 4, keep_table, &digest);
    holds("table.csv", "a,b\n3,4\n");
    test_case("kept: tables that are not what a checkpoint knows (SPEC 17.6.5)");
    resumes("the same", "a,b\nmore", 4, &head, NULL);
    resumes("empty", "a,b\n", 0, &nothing, NULL);
    resumes("cut", "a,b", 4, &head, "found fewer");
    resumes("changed", "a;b\n", 4, &head, "its first 4 bytes were changed");
    /* More than is read at once. */
    enum { LONG = 200001 };
    static char text[LONG + 2];
    for (size_t i = 0; i < LONG + 1; i++)
        text[i] = (char)('a' + i % 23);
    const nn_digest whole = nn_sha256_of(text, LONG);
    resumes("long", text, LONG, &whole, NULL);
    text[LONG - 1] = '\n';
    resumes("long, changed at its end", text, LONG, &whole, "bytes were changed");
}

void t_kept_edges(void)
{
    test_case("kept: a folder to work in");
    if (!make_folders())
        return;
    lists();
    found();
    tidied();
    added();
    hashes();
    compared();
    tables();
}
