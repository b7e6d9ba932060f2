/* SPDX-License-Identifier: MIT */
/* CIFAR-10, CIFAR-100, MNIST images, EMNIST labels, exclusion lists; each against what SPEC 7 says
 * of the bytes, written down here once more. */
#include <string.h>

#include "../../data/cifar.h"
#include "../../data/exclude.h"
#include "../../data/idx.h"
#include "fuzz.h"

enum { IMAGE = 3072, PLANE = 1024, SIDE = 28, SQUARE = SIDE * SIDE, LABEL_CLASSES = 26 };

/* ---- CIFAR: SPEC 7.1 ---- */

/* Folders and the files that are not the input, once. */
static void prepare_cifar(void)
{
    static bool done;
    static const unsigned char record[IMAGE + 2];
    if (done)
        return;
    done = true;
    fuzz_folder("fuzz-cifar10");
    fuzz_folder("fuzz-cifar100");
    fuzz_put("fuzz-cifar10/test_batch.bin", record, IMAGE + 1);
    fuzz_put("fuzz-cifar100/test.bin", record, IMAGE + 2);
}

/* A record is `labels` bytes, each below its bound, and the image. */
static bool cifar_valid(const fuzz_call *call, size_t labels, const unsigned *bound, size_t most)
{
    const size_t record = labels + IMAGE;
    bool valid = call->size != 0 && call->size % record == 0 && call->size / record <= most;
    for (size_t at = 0; valid && at < call->size; at += record)
        for (size_t i = 0; i < labels; i++)
            valid = valid && call->bytes[at + i] < bound[i];
    return valid;
}

/* Planes in the file, channels last in memory (SPEC 7.1.3). */
static void check_cifar(const fuzz_call *call, const data_set *set, size_t labels, size_t label)
{
    const size_t record = labels + IMAGE;
    FUZZ_CHECK(set->train.count == call->size / record && set->test.count == 1);
    for (size_t r = 0; r < set->train.count; r++) {
        const unsigned char *bytes = call->bytes + r * record;
        FUZZ_CHECK(set->train.labels[r] == bytes[label] && bytes[label] < set->classes);
        for (size_t i = 0; i < IMAGE; i++)
            FUZZ_CHECK(set->train.pixels[r * IMAGE + i] == bytes[labels + i % 3 * PLANE + i / 3]);
    }
}

ddome_status fuzz_cifar10(fuzz_call *call)
{
    static const unsigned bound[] = {10};
    char dir[FUZZ_PATH];
    data_set set;
    prepare_cifar();
    fuzz_put("fuzz-cifar10/data_batch_1.bin", call->bytes, call->size);
    fuzz_path(dir, "fuzz-cifar10");
    const data_cifar_source source = {dir, NULL, 1, false};
    ddome_status status = data_cifar10_load(&call->error, &call->arena, &set, &source);
    FUZZ_CHECK((status == DDOME_OK) == cifar_valid(call, 1, bound, 10000));
    if (status == DDOME_OK)
        check_cifar(call, &set, 1, 0);
    return status;
}

ddome_status fuzz_cifar100(fuzz_call *call)
{
    static const unsigned bound[] = {20, 100};
    char dir[FUZZ_PATH];
    data_set set;
    prepare_cifar();
    fuzz_put("fuzz-cifar100/train.bin", call->bytes, call->size);
    fuzz_path(dir, "fuzz-cifar100");
    const bool coarse = call->size % 2 == 0;
    const data_cifar_source source = {dir, NULL, 1, coarse};
    ddome_status status = data_cifar100_load(&call->error, &call->arena, &set, &source);
    FUZZ_CHECK((status == DDOME_OK) == cifar_valid(call, 2, bound, 50000));
    if (status == DDOME_OK)
        check_cifar(call, &set, 2, coarse ? 0 : 1);
    return status;
}

/* ---- IDX: SPEC 7.8 ---- */

static const unsigned char image_head[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
static const unsigned char label_head[] = {0, 0, 8, 1, 0, 0, 0, 1};

/* One record of each split; that of the test split is partly the input. */
static void prepare_idx(void)
{
    static bool done;
    unsigned char images[16 + SQUARE] = {0}, labels[9] = {0};
    if (done)
        return;
    done = true;
    memcpy(images, image_head, sizeof image_head);
    memcpy(labels, label_head, sizeof label_head);
    labels[8] = 1;
    fuzz_folder("fuzz-idx");
    fuzz_put("fuzz-idx/train-images-idx3-ubyte", images, sizeof images);
    fuzz_put("fuzz-idx/train-labels-idx1-ubyte", labels, sizeof labels);
    fuzz_put("fuzz-idx/t10k-labels-idx1-ubyte", labels, sizeof labels);
    fuzz_put("fuzz-idx/emnist-letters-train-images-idx3-ubyte", images, sizeof images);
    fuzz_put("fuzz-idx/emnist-letters-train-labels-idx1-ubyte", labels, sizeof labels);
    fuzz_put("fuzz-idx/emnist-letters-test-images-idx3-ubyte", images, sizeof images);
}

ddome_status fuzz_idx_images(fuzz_call *call)
{
    char dir[FUZZ_PATH];
    data_set set;
    prepare_idx();
    fuzz_put("fuzz-idx/t10k-images-idx3-ubyte", call->bytes, call->size);
    fuzz_path(dir, "fuzz-idx");
    const data_idx_source source = {dir, NULL, DATA_EMNIST_MNIST};
    ddome_status status = data_mnist_load(&call->error, &call->arena, &set, &source);
    FUZZ_CHECK((status == DDOME_OK) ==
               (call->size == 16 + SQUARE && memcmp(call->bytes, image_head, 16) == 0));
    if (status == DDOME_OK)
        FUZZ_CHECK(set.test.count == 1 && set.test.labels[0] == 1 &&
                   memcmp(set.test.pixels, call->bytes + 16, SQUARE) == 0);
    return status;
}

ddome_status fuzz_idx_labels(fuzz_call *call)
{
    char dir[FUZZ_PATH];
    data_set set;
    prepare_idx();
    fuzz_put("fuzz-idx/emnist-letters-test-labels-idx1-ubyte", call->bytes, call->size);
    fuzz_path(dir, "fuzz-idx");
    const data_idx_source source = {dir, NULL, DATA_EMNIST_LETTERS};
    ddome_status status = data_emnist_load(&call->error, &call->arena, &set, &source);
    FUZZ_CHECK((status == DDOME_OK) ==
               (call->size == 9 && memcmp(call->bytes, label_head, 8) == 0 && call->bytes[8] >= 1 &&
                call->bytes[8] <= LABEL_CLASSES));
    if (status == DDOME_OK)
        FUZZ_CHECK(set.test.labels[0] == call->bytes[8] - 1);
    return status;
}

/* ---- exclusion lists: SPEC 7.2.2 ---- */

enum { INDICES = 300 };

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The word at *at, up to a blank, a comment or the end of the line; its length. */
static size_t next_word(const fuzz_call *call, size_t *at, size_t end)
{
    size_t start, length = 0;
    while (*at < end && is_blank(call->bytes[*at]))
        ++*at;
    for (start = *at; start + length < end && !is_blank(call->bytes[start + length]) &&
                      call->bytes[start + length] != '#';)
        length++;
    *at = start + length;
    return length;
}

/* SIZE_MAX when the word is no index. */
static size_t index_of(const unsigned char *word, size_t length)
{
    size_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (word[i] < '0' || word[i] > '9')
            return SIZE_MAX;
        value = value * 10 + (size_t)(word[i] - '0');
        if (value >= INDICES)
            return SIZE_MAX;
    }
    return value;
}

/* One line up to `end`; false when SPEC 7.2.2 forbids it. */
static bool take_line(const fuzz_call *call, uint8_t mark[2][INDICES], size_t at, size_t end)
{
    size_t length = next_word(call, &at, end);
    const unsigned char *word = call->bytes + at - length;
    const bool train = length == 5 && memcmp(word, "train", 5) == 0;
    if (length == 0)
        return true;
    if (!train && !(length == 4 && memcmp(word, "test", 4) == 0))
        return false;
    while ((length = next_word(call, &at, end)) != 0) {
        const size_t index = index_of(call->bytes + at - length, length);
        if (index == SIZE_MAX)
            return false;
        mark[train][index] = 1;
    }
    return true;
}

static bool take_list(const fuzz_call *call, uint8_t mark[2][INDICES])
{
    if (call->size != 0 && memchr(call->bytes, 0, call->size) != NULL)
        return false;
    for (size_t at = 0; at < call->size;) {
        const unsigned char *feed = memchr(call->bytes + at, '\n', call->size - at);
        const size_t end = feed == NULL ? call->size : (size_t)(feed - call->bytes);
        if (!take_line(call, mark, at, end))
            return false;
        at = end + 1;
    }
    return true;
}

ddome_status fuzz_exclude(fuzz_call *call)
{
    char path[FUZZ_PATH];
    uint8_t mark[2][INDICES];
    data_exclusion list;
    memset(mark, 0, sizeof mark);
    fuzz_put("fuzz-exclude.txt", call->bytes, call->size);
    fuzz_path(path, "fuzz-exclude.txt");
    ddome_status status = data_exclusion_read(&call->error, &call->arena, &list, path, INDICES);
    FUZZ_CHECK((status == DDOME_OK) == take_list(call, mark));
    if (status == DDOME_OK)
        FUZZ_CHECK(memcmp(list.test, mark[0], INDICES) == 0 &&
                   memcmp(list.train, mark[1], INDICES) == 0);
    return status;
}
