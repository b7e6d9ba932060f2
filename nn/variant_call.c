/* SPDX-License-Identifier: MIT */
/* From a computation to an operation under way: finds and checks attributes and inputs by the words
 * of nn_try_op, makes room for the outputs, runs. SPEC 19.1.2. */
#include "variant_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Most elements of an output, and the largest attribute (`build/vectors answer` takes no larger
 * ones): what a file asks for stays affordable. */
enum { OUTPUT_LIMIT = 1 << 26, ATTRIBUTE_LIMIT = 4096 };

static const nn_try_op *find(const char *op)
{
    const nn_try_op *const tables[] = {nn_try_products, nn_try_norms, nn_try_losses, nn_try_points};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const nn_try_op *row = tables[i]; row->name != NULL; row++)
            if (strcmp(row->name, op) == 0)
                return row;
    return NULL;
}

bool nn_variant_knows(const char *op)
{
    return find(op) != NULL;
}

bool nn_variant_concerns(const char *op, const nn_variant *variant)
{
    const nn_try_op *row = find(op);
    bool concerned = row != NULL;
    for (size_t i = 0; concerned && i < NN_DEVIATE_COUNT; i++)
        concerned = variant->choice[i] == 0 || (row->deviations >> i & 1) != 0;
    return concerned;
}

/* ---- words ---- */

typedef struct word {
    char text[40]; /* cut into name and sizes */
    const char *name, *sizes;
    size_t rank;    /* letters of sizes */
    char kind;      /* '[', '*', '=', '@', '?' */
    bool whole;     /* # */
    bool numbered;  /* % */
    bool joined;    /* / */
    bool ascending; /* ^ */
    char below;     /* <c, or 0 */
} word;

/* Reads the next word of text; false at the end. */
static bool next_word(word *w, const char **text)
{
    const size_t length = strcspn(*text, " ");
    memset(w, 0, sizeof *w);
    memcpy(w->text, *text, length);
    *text += length + ((*text)[length] != '\0');
    char *mark = w->text + strcspn(w->text, "#%[*=@?");
    char *end = strchr(w->text, ']');
    w->name = w->text;
    w->whole = *mark == '#';
    w->numbered = *mark == '%';
    if (w->whole || w->numbered)
        *mark++ = '\0';
    w->kind = *mark;
    w->sizes = *mark == '\0' ? mark : mark + 1;
    *mark = '\0';
    w->ascending = end != NULL && strchr(end, '^') != NULL;
    w->below = end != NULL && end[1] == '<' ? end[2] : '\0';
    if (end != NULL)
        *end = '\0';
    w->joined = strchr(w->sizes, '/') != NULL;
    w->rank = strlen(w->sizes) - w->joined;
    return length != 0;
}

/* The letter of axis i; a / does not count. */
static char letter(const word *w, size_t i)
{
    return w->joined && i > 0 ? w->sizes[i + 1] : w->sizes[i];
}

static size_t *size_of(nn_try *t, char name)
{
    return &t->size[(unsigned char)name];
}

/* ---- refusals ---- */

static ddome_status refuse(const nn_try *t, const char *what, const char *name, const char *why)
{
    return nn_fail(t->error, DDOME_ERR_DATA, "operation %s: %s %s: %s", t->work->op, what, name,
                   why);
}

/* "expected [4,c], found [4,3,3]": letters where nothing else fixes a size. */
static ddome_status refuse_shape(nn_try *t, const word *w, const char *name, const nn_value *value)
{
    char expected[128] = "", found[128] = "", why[320];
    const bool any = w->kind == '*';
    const size_t rank = any ? t->any->rank : w->rank;
    for (size_t i = 0, at = 0; i < rank; i++) {
        const size_t size = any ? t->any->shape[i] : *size_of(t, letter(w, i));
        const char *comma = i == 0 ? "" : ",";
        if (any || size != 0)
            at += (size_t)snprintf(expected + at, 24, "%s%lu", comma, (unsigned long)size);
        else
            at += (size_t)snprintf(expected + at, 24, "%s%c", comma, letter(w, i));
    }
    for (size_t i = 0, at = 0; i < value->rank && i < NN_VALUE_RANK; i++)
        at += (size_t)snprintf(found + at, 24, "%s%lu", i == 0 ? "" : ",",
                               (unsigned long)value->shape[i]);
    snprintf(why, sizeof why, "expected shape [%s] with sizes of at least 1, found [%s]", expected,
             found);
    return refuse(t, "input", name, why);
}

/* ---- sizes ---- */

/* Does `size` agree with what the letter stands for, or become it? */
static bool bind(nn_try *t, char name, size_t size)
{
    size_t *known = size_of(t, name);
    if (*known == 0)
        *known = size;
    return size != 0 && *known == size;
}

static bool bind_shape(nn_try *t, const word *w, const nn_value *value)
{
    size_t behind = 1;
    if (w->joined ? value->rank < w->rank : value->rank != w->rank)
        return false;
    for (size_t i = 0; i < value->rank; i++) {
        if (!w->joined || i == 0) {
            if (!bind(t, letter(w, i), value->shape[i]))
                return false;
        } else {
            behind *= value->shape[i];
        }
    }
    if (w->joined)
        t->row = value;
    return !w->joined || bind(t, letter(w, 1), behind);
}

/* All inputs of a * have the shape of the first. */
static bool bind_any(nn_try *t, const nn_value *value)
{
    if (t->any == NULL) {
        t->any = value;
        t->size['*'] = value->count;
    }
    return t->any->rank == value->rank &&
           memcmp(t->any->shape, value->shape, value->rank * sizeof *value->shape) == 0;
}

static ddome_status take_attribute(nn_try *t, const word *w)
{
    const char name = letter(w, 0);
    const bool flag = name == 'f', zero = flag || name == 'p';
    const uint64_t most = flag ? 1 : ATTRIBUTE_LIMIT;
    const uint64_t value = nn_case_attribute(t->work, w->name, UINT64_MAX);
    if (value == UINT64_MAX)
        return refuse(t, "attribute", w->name, "it is missing");
    if (value > most || (value == 0 && !zero))
        return refuse(t, "attribute", w->name,
                      flag   ? "expected 0 or 1"
                      : zero ? "expected at most 4096"
                             : "expected 1 to 4096");
    *size_of(t, name) = (size_t)value;
    return DDOME_OK;
}

/* ?p<u, ?k~M, ?g|c */
static ddome_status check_relation(nn_try *t, const word *w)
{
    const size_t a = *size_of(t, w->sizes[0]), b = *size_of(t, w->sizes[2]);
    const char how = w->sizes[1];
    const bool holds = how == '<' ? a < b : how == '~' ? a <= b : b % a == 0;
    const char *why = how == '<'   ? "the padding must be smaller than the kernel"
                      : how == '~' ? "k must be at most the number of experts"
                                   : "the groups must divide the channels";
    return holds ? DDOME_OK
                 : nn_fail(t->error, DDOME_ERR_DATA, "operation %s: %s", t->work->op, why);
}

/* Sizes of the output of a window, SPEC 5.3. No sum overflows: no attribute is above 2^12, and an
 * array in memory has fewer than 2^30 elements where size_t has 32 bits. */
static ddome_status take_window(nn_try *t)
{
    const size_t *s = t->size;
    const size_t h = s['h'] + 2 * s['p'], w = s['w'] + 2 * s['p'];
    if (h < s['u'] || w < s['v'])
        return nn_fail(t->error, DDOME_ERR_DATA,
                       "operation %s: a kernel of %lu x %lu does not fit the padded input of "
                       "%lu x %lu",
                       t->work->op, (unsigned long)s['u'], (unsigned long)s['v'], (unsigned long)h,
                       (unsigned long)w);
    assert(s['s'] != 0); /* an attribute, and only f and p may be 0 */
    t->size['Y'] = (h - s['u']) / s['s'] + 1;
    t->size['X'] = (w - s['v']) / s['s'] + 1;
    return DDOME_OK;
}

/* ---- inputs ---- */

static bool whole_in_range(nn_try *t, const word *w, const nn_value *value)
{
    const uint64_t bound = w->below == '\0' ? UINT64_MAX : *size_of(t, w->below);
    bool good = true;
    for (size_t i = 0; i < value->count; i++) {
        good = good && value->u32[i] < bound;
        good = good && (!w->ascending || i == 0 || value->u32[i] > value->u32[i - 1]);
    }
    return good;
}

/* Has a value as many elements as its shape says? */
static bool counts(const nn_value *value)
{
    size_t count = 1;
    bool fits = value->rank <= NN_VALUE_RANK;
    for (size_t i = 0; fits && i < value->rank; i++)
        fits = nn_size_mul(&count, count, value->shape[i]);
    return fits && count == value->count;
}

static ddome_status take_input(nn_try *t, const word *w, const char *name)
{
    const nn_value *value = nn_case_input(t->work, name);
    if (value == NULL)
        return refuse(t, "input", name, "it is missing");
    if (value->type != (w->whole ? NN_VALUE_U32 : NN_VALUE_F32))
        return refuse(t, "input", name, w->whole ? "expected dtype U32" : "expected dtype F32");
    if (!nn_value_known(value))
        return refuse(t, "input", name, "its elements are not given");
    if (!counts(value))
        return refuse(t, "input", name, "its shape does not fit its elements");
    if (w->kind == '*' ? !bind_any(t, value) : !bind_shape(t, w, value))
        return refuse_shape(t, w, name, value);
    if (w->whole && !whole_in_range(t, w, value))
        return refuse(t, "input", name,
                      w->ascending ? "expected ascending indices below the number of experts"
                                   : "expected labels below the number of classes");
    t->in[t->in_count++] = value;
    return DDOME_OK;
}

static void number_name(char *name, size_t size, const word *w, size_t i)
{
    if (w->numbered)
        snprintf(name, size, "%s%lu", w->name, (unsigned long)i);
    else
        snprintf(name, size, "%s", w->name);
}

static ddome_status take_inputs(nn_try *t, const nn_try_op *op)
{
    const char *text = op->inputs;
    ddome_status status = DDOME_OK;
    word w;
    t->in = nn_arena_alloc(t->arena, t->work->input_count, sizeof *t->in);
    if (t->in == NULL)
        return nn_arena_fail(t->error, t->arena, "inputs of an operation");
    while (status == DDOME_OK && next_word(&w, &text)) {
        char name[64];
        const size_t copies = w.numbered ? t->size['k'] : 1;
        if (w.kind == '=')
            status = take_attribute(t, &w);
        else if (w.kind == '@')
            status = take_window(t);
        else if (w.kind == '?')
            status = check_relation(t, &w);
        else
            for (size_t i = 0; i < copies && status == DDOME_OK; i++) {
                number_name(name, sizeof name, &w, i);
                status = take_input(t, &w, name);
            }
    }
    return status;
}

/* ---- outputs and scratch ---- */

static void shape_output(nn_try *t, nn_value *out, const word *w)
{
    const nn_value *like = w->kind == '*' ? t->any : t->row;
    if (w->kind == '*' || w->joined) {
        assert(like != NULL); /* an input of every such operation has this shape */
        out->rank = like->rank;
        memcpy(out->shape, like->shape, sizeof out->shape);
        return;
    }
    out->rank = w->rank;
    for (size_t i = 0; i < w->rank; i++)
        out->shape[i] = *size_of(t, letter(w, i));
}

static ddome_status make_output(nn_try *t, const word *w, size_t i)
{
    nn_value *out = &t->out[t->out_count];
    char name[64];
    number_name(name, sizeof name, w, i);
    shape_output(t, out, w);
    out->count = 1;
    for (size_t axis = 0; axis < out->rank; axis++)
        if (!nn_size_mul(&out->count, out->count, out->shape[axis]) || out->count > OUTPUT_LIMIT)
            return refuse(t, "output", name, "it would have more than 67108864 elements");
    out->type = w->whole ? NN_VALUE_U32 : NN_VALUE_F32;
    out->name = nn_arena_string(t->arena, name);
    void *elements = nn_arena_alloc(t->arena, out->count, sizeof(float));
    if (out->name == NULL || elements == NULL)
        return nn_arena_fail(t->error, t->arena, "an output of an operation");
    if (w->whole)
        out->u32 = t->index = elements;
    else
        out->f32 = t->y[t->out_count] = elements;
    t->out_count++;
    return DDOME_OK;
}

static ddome_status make_outputs(nn_try *t, const nn_try_op *op)
{
    enum { MOST_NAMES = 4 };
    const char *text = op->outputs;
    const size_t most = MOST_NAMES + t->work->input_count; /* of z0, z1, ... fewer than inputs */
    ddome_status status = DDOME_OK;
    word w;
    t->out = nn_arena_zero(t->arena, most, sizeof *t->out);
    t->y = nn_arena_zero(t->arena, most, sizeof *t->y);
    if (t->out == NULL || t->y == NULL)
        return nn_arena_fail(t->error, t->arena, "outputs of an operation");
    while (status == DDOME_OK && next_word(&w, &text)) {
        const size_t copies = w.numbered ? t->size['k'] : 1;
        for (size_t i = 0; i < copies && status == DDOME_OK; i++)
            status = make_output(t, &w, i);
    }
    return status;
}

/* The product is at most the size of an input, or of inputs of one kind together. */
static ddome_status make_room(nn_try *t, const char *room)
{
    enum { FLOATS = 6 }; /* a, b and spare */
    size_t count = 1;
    bool fits = true;
    for (; *room != '\0'; room++)
        fits = fits && nn_size_mul(&count, count, *size_of(t, *room));
    float *floats = fits ? nn_arena_alloc(t->arena, count, FLOATS * sizeof *floats) : NULL;
    t->skip = fits ? nn_arena_alloc(t->arena, count, sizeof *t->skip) : NULL;
    if (floats == NULL || t->skip == NULL)
        return nn_arena_fail(t->error, t->arena, "terms of a sum");
    t->a = floats;
    t->b = floats + count;
    for (size_t i = 0; i < FLOATS - 2; i++)
        t->spare[i] = floats + (i + 2) * count;
    return DDOME_OK;
}

ddome_status nn_variant_run(ddome_error *error, nn_arena *arena, const nn_value **outputs,
                            size_t *output_count, const nn_case *work, const nn_variant *variant)
{
    const nn_try_op *op = find(work->op);
    nn_try t = {.work = work, .choice = variant->choice, .error = error, .arena = arena};
    if (op == NULL)
        return nn_fail(error, DDOME_ERR_DATA, "operation %s: it is none of SPEC 19.1.2", work->op);
    ddome_status status = take_inputs(&t, op);
    if (status == DDOME_OK)
        status = make_outputs(&t, op);
    const nn_arena_mark mark = nn_arena_get_mark(arena);
    if (status == DDOME_OK)
        status = make_room(&t, op->room);
    if (status != DDOME_OK)
        return status;
    op->run(&t);
    nn_arena_rewind(arena, mark);
    *outputs = t.out;
    *output_count = t.out_count;
    return DDOME_OK;
}
