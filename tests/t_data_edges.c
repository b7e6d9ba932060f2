/* SPDX-License-Identifier: MIT */
/* The readers of data at their edges: lists of excluded records line by line, paths without
 * memory, partitions that are asked for what their data set lacks. SPEC 7.1, 7.2, 8. */
#include "partition_fixture.h"
#include "poor.h"

#include <stdio.h>
#include <string.h>

#include "../data/exclude.h"
#include "../data/files.h"
#include "../data/idx.h"
#include "../nn/os.h"

void t_data_edges(void);

enum { PATH_BYTES = 1024, INDICES = 20, TRAIN = 100, TEST = 40, CLASSES = 4 };

static const char *path_to(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    CHECK(nn_os_write_file(NULL, path_to(name), text, strlen(text)) == DDOME_OK);
}

/* ---- excluded records ---- */

/* The indices that a list marks: "train 1 2;test 3", ascending. */
static void marks(char *out, size_t size, const data_exclusion *list)
{
    size_t at = (size_t)snprintf(out, size, "train");
    for (unsigned i = 0; i < INDICES; i++)
        if (list->train[i] != 0)
            at += (size_t)snprintf(out + at, size - at, " %u", i);
    at += (size_t)snprintf(out + at, size - at, ";test");
    for (unsigned i = 0; i < INDICES; i++)
        if (list->test[i] != 0)
            at += (size_t)snprintf(out + at, size - at, " %u", i);
}

/* SPEC 7.2.2. */
static void lists(void)
{
    static const struct {
        const char *text, *want; /* want NULL: refused, naming `line` */
        unsigned line;
    } cases[] = {{"", "train;test", 0},
                 {"\n\r\n \t\n", "train;test", 0},
                 {"train 3\r\ntest 19 0\r\n", "train 3;test 0 19", 0},
                 {"train 3 4", "train 3 4;test", 0},
                 {"train\t3\t\r4# 5\n#6\ntrain\n", "train 3 4;test", 0},
                 {"test 0000000007#\n", "train;test 7", 0},
                 {"train 20\n", NULL, 1},
                 {"\ntest 99999999999999999999999\n", NULL, 2},
                 {"train 3x\n", NULL, 1},
                 {"train 3,4\n", NULL, 1},
                 {"train -3\n", NULL, 1},
                 {"tess 3\n", NULL, 1},
                 {"tests 3\n", NULL, 1},
                 {"brain 3\n", NULL, 1},
                 {"#\n\n3\n", NULL, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        data_exclusion list;
        char got[200], part[40];
        test_case("exclusion: list %lu (SPEC 7.2.2)", (unsigned long)i);
        write_text("edges.txt", cases[i].text);
        const ddome_status status =
            data_exclusion_read(&error, &arena, &list, path_to("edges.txt"), INDICES);
        snprintf(part, sizeof part, "edges.txt line %u: ", cases[i].line);
        if (cases[i].want == NULL) {
            test_status("refused", status, DDOME_ERR_DATA, &error, part);
            CHECK(list.train == NULL && list.test == NULL);
        } else if (test_status("taken", status, DDOME_OK, &error, NULL)) {
            marks(got, sizeof got, &list);
            test_same_text("marks", got, cases[i].want);
        }
        nn_arena_free(&arena);
    }
}

static ddome_status read_list(ddome_error *error, nn_arena *arena, void *context)
{
    data_exclusion *list = context;
    const ddome_status status =
        data_exclusion_read(error, arena, list, path_to("edges.txt"), INDICES);
    CHECK((list->train != NULL) == (status == DDOME_OK));
    return status;
}

/* ---- paths ---- */

static const data_file NOWHERE = {"no_such_file", "-", ".bin", 2500};

static ddome_status find_nowhere(ddome_error *error, nn_arena *arena, void *context)
{
    data_place *place = context;
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/", test_dir());
    const ddome_status status = data_file_find(error, arena, place, folder, &NOWHERE);
    if (status == DDOME_OK)
        CHECK(!place->there && strstr(place->path, "/no_such_file.bin") != NULL);
    else
        CHECK(place->prefix == 77);
    return status;
}

/* Nothing is in the folder: the refusal itself needs memory for the path it names. */
static ddome_status load_nothing(ddome_error *error, nn_arena *arena, void *context)
{
    data_set *set = context;
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/no_such_folder", test_dir());
    const data_idx_source source = {folder, NULL, DATA_EMNIST_BYCLASS};
    const ddome_status status = data_mnist_load(error, arena, set, &source);
    CHECK(set->name == NULL);
    if (status != DDOME_ERR_DATA)
        return status;
    CHECK(strstr(error->text, "no_such_folder") != NULL &&
          strstr(error->text, "is missing") != NULL);
    return DDOME_OK;
}

static void paths(void)
{
    data_exclusion list;
    data_place place = {NULL, false, 77};
    data_set set = {0};
    test_case("exclusion: a list without memory, at each allocation");
    write_text("edges.txt", "train 1\n");
    test_poor_alone("list", 3, read_list, &list);
    test_case("files: the path of a file that is missing, without memory");
    test_poor_alone("place", 4, find_nowhere, &place);
    test_case("idx: a missing file without memory, at each allocation");
    test_poor_alone("missing", 4, load_nothing, &set);
}

/* ---- partitions ---- */

static void start(fixture *f)
{
    const data_synth_source source = {TRAIN, TEST, 8, 2, 2, 20, 1};
    fixture_start(f, &source);
}

static data_partition_source source_of(data_partition_kind kind)
{
    static const fixture_clients numbers = {5, 2, 2, 1, 2, 1};
    return fixture_source(kind, &numbers);
}

static void refuse(fixture *f, const data_partition_source *source, ddome_status want,
                   const char *part)
{
    memset(&f->error, 0, sizeof f->error);
    const ddome_status status =
        data_partition_make(&f->error, &f->arena, &f->partition, &f->set, source);
    test_status(part, status, want, &f->error, part);
    CHECK(f->partition.clients == NULL);
}

/* A file whose numbers of clients are others than those of the configuration, one by one
 * (SPEC 8.7.2), and rows that end too early (SPEC 8.7.1). */
static void counts(void)
{
    static const char text[] =
        "index,client,role\n0,0,anchor\n1,1,normal\n2,2,holdout\n0,3,unseen\n";
    static const size_t others[][4] = {{1, 1, 1, 1}, {2, 0, 1, 1}, {2, 1, 0, 1}, {2, 1, 1, 2}};
    static const char *const rows[] = {"x,0,anchor\n", "0 0,anchor\n", "0,x,anchor\n",
                                       "0,0 anchor\n", "0,0,\n",       "0,0,anchor,\n"};
    fixture f;
    start(&f);
    test_case("partition file: numbers of clients, one differing (SPEC 8.7.2)");
    write_text("edges.csv", text);
    data_partition_source source = {.kind = DATA_PARTITION_FILE, .file = path_to("edges.csv")};
    for (size_t i = 0; i < 4; i++) {
        source.clients = others[i][0];
        source.anchors = others[i][1];
        source.holdout = others[i][2];
        source.unseen = others[i][3];
        refuse(&f, &source, DDOME_ERR_USAGE,
               "clients = 2, anchor_clients = 1, holdout_clients = 1");
    }
    source.clients = 2;
    source.anchors = source.holdout = source.unseen = 1;
    fixture_make(&f, &source);
    CHECK(f.partition.training == 2 && f.partition.clients[3].role == DATA_UNSEEN);
    f.partition.clients = NULL;
    test_case("partition file: a row of which a part is missing (SPEC 8.7.1)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char damaged[100];
        snprintf(damaged, sizeof damaged, "index,client,role\n%s", rows[i]);
        write_text("edges.csv", damaged);
        refuse(&f, &source, DDOME_ERR_DATA, "line 2: expected");
    }
    nn_arena_free(&f.arena);
}

/* Its bytes do not fit a size_t: the product, and with the header. */
static void endless_text(void)
{
    static const size_t line = sizeof "4294967295,4294967295,holdout";
    const data_client client = {0, DATA_NORMAL, SIZE_MAX / 2, NULL};
    const data_client most = {0, DATA_NORMAL, SIZE_MAX / line, NULL};
    test_case("partition file: a text that no memory can hold");
    for (int i = 0; i < 2; i++) {
        nn_arena arena = {0};
        ddome_error error = {DDOME_OK, ""};
        const data_partition p = {.training = 1, .clients = i == 0 ? &client : &most};
        char *text = NULL;
        size_t length = 77;
        test_status("text", data_partition_text(&error, &arena, &text, &length, &p),
                    DDOME_ERR_MEMORY, &error, "partition text");
        CHECK(text == NULL && length == 77 && arena.allocations <= 1);
        nn_arena_free(&arena);
    }
}

/* Lists that name samples which are not there: SPEC 8.9. */
static void lists_of_strangers(void)
{
    const uint32_t far[] = {TRAIN, 0};
    fixture f;
    start(&f);
    data_partition_source source = source_of(DATA_PARTITION_IID);
    test_case("partition: the guard against samples outside the split, in each list");
    fixture_make(&f, &source);
    for (int held = 0; held < 2; held++) {
        ddome_error error = {DDOME_OK, ""};
        data_partition tampered = f.partition;
        if (held == 1) {
            tampered.held = far;
            tampered.held_count = 1;
        } else {
            tampered.pool = far;
            tampered.pool_count = 1;
        }
        test_status("list", data_partition_check(&error, &f.arena, &tampered, &f.set),
                    DDOME_ERR_RUNTIME, &error, "sample 100 is listed twice or outside the 100");
    }
    nn_arena_free(&f.arena);
}

/* The set with one class more, of which it has no sample. SPEC 8.2.2. */
static void empty_class(void)
{
    fixture f;
    start(&f);
    f.set.classes++;
    data_partition_source source = source_of(DATA_PARTITION_LABELS);
    test_case("partition: a label without a training sample is refused (SPEC 8.2.2)");
    source.anchors = 1;
    source.anchor_labels = CLASSES + 1;
    refuse(&f, &source, DDOME_ERR_USAGE, "label 4 of training client 0 has no samples there");

    test_case("partition: nobody lacks a share of the last class (SPEC 8.5.3)");
    source = source_of(DATA_PARTITION_DIRICHLET);
    source.dialect = DATA_DIRICHLET_BALANCED;
    source.clients = 1;
    source.anchors = 0;
    if (fixture_make(&f, &source))
        test_same_u64("samples", f.partition.clients[0].count, f.partition.pool_count);
    nn_arena_free(&f.arena);
}

void t_data_edges(void)
{
    lists();
    paths();
    counts();
    endless_text();
    lists_of_strangers();
    empty_class();
}
