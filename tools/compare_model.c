/* SPDX-License-Identifier: MIT */
/* Two safetensors files, tensor by tensor. SPEC 19.4.1. */
#include <string.h>

#include "compare.h"

static ddome_status index_tensors(ddome_error *error, tool *t, compare_name **out,
                                  const data_safetensors *file)
{
    compare_name *names = nn_arena_alloc(&t->arena, file->count, sizeof *names);
    if (names == NULL)
        return nn_arena_fail(error, &t->arena, "names of tensors");
    for (size_t i = 0; i < file->count; i++) {
        names[i].name = file->tensor[i].name;
        names[i].position = i;
    }
    (void)compare_names_sort(names, file->count); /* the reader refuses equal names */
    *out = names;
    return DDOME_OK;
}

static void compare_one(compare_call *call, compare_model *out, const data_safetensor *a,
                        const data_safetensor *b)
{
    const compare_rule rule = compare_rule_of(&call->tolerances, "model");
    compare_tensor *next = &out->differing[out->differing_count];
    next->name = a->name;
    next->a = compare_tensor_of(a);
    next->b = compare_tensor_of(b);
    next->result = compare_arrays(&next->a, &next->b, &rule);
    if (next->result.verdict != COMPARE_SAME)
        out->differing_count++;
}

ddome_status compare_model_files(ddome_error *error, compare_call *call, compare_model *out,
                                 const char *a, const char *b)
{
    data_safetensors file_a, file_b;
    compare_name *names = NULL;
    memset(out, 0, sizeof *out);
    ddome_status status = data_safetensors_read_file(error, &call->t->arena, &file_a, a);
    if (status == DDOME_OK)
        status = data_safetensors_read_file(error, &call->t->arena, &file_b, b);
    if (status == DDOME_OK)
        status = index_tensors(error, call->t, &names, &file_b);
    if (status != DDOME_OK)
        return status;
    out->tensors = file_a.count;
    out->differing = nn_arena_alloc(&call->t->arena, file_a.count + 1, sizeof *out->differing);
    if (out->differing == NULL)
        return nn_arena_fail(error, &call->t->arena, "tensors");
    for (size_t i = 0; i < file_a.count; i++) {
        const size_t at = compare_names_find(names, file_b.count, file_a.tensor[i].name);
        if (at == SIZE_MAX)
            out->missing++;
        else
            compare_one(call, out, &file_a.tensor[i], &file_b.tensor[at]);
    }
    out->extra = file_b.count - (out->tensors - out->missing);
    return DDOME_OK;
}

static void add_json(tool *t, const compare_model *model)
{
    tool_json_u64(t, "extra", model->extra);
    fl_text_add(&t->json, ", \"differences\": [");
    for (size_t i = 0; i < model->differing_count; i++) {
        const compare_tensor *tensor = &model->differing[i];
        fl_text_add(&t->json, "%s{\"name\": ", i == 0 ? "" : ", ");
        tool_json_quoted(&t->json, tensor->name);
        compare_add_json(t, &tensor->a, &tensor->b, &tensor->result);
        fl_text_add(&t->json, "}");
    }
    fl_text_add(&t->json, "]");
}

static void add_text(tool *t, const compare_model *model)
{
    for (size_t i = 0; i < model->differing_count; i++) {
        const compare_tensor *tensor = &model->differing[i];
        if (i == 0) {
            fl_text_add(&t->text, "first difference: tensor %s, %s\n", tool_shown(t, tensor->name),
                        tensor->a.dtype);
            compare_add_text(t, &tensor->a, &tensor->b, &tensor->result);
            fl_text_add(&t->text, "\n");
            continue;
        }
        fl_text_add(&t->text, "differs  %s: ", tool_shown(t, tensor->name));
        compare_add_line(t, &tensor->a, &tensor->b, &tensor->result);
        fl_text_add(&t->text, "\n");
    }
    fl_text_add(&t->text, "%lu of %lu tensors differ, %lu missing in B, %lu only in B\n",
                (unsigned long)model->differing_count,
                (unsigned long)(model->tensors - model->missing), (unsigned long)model->missing,
                (unsigned long)model->extra);
}

ddome_status compare_models(ddome_error *error, compare_call *call)
{
    compare_model model;
    ddome_status status = compare_model_files(error, call, &model, call->a, call->b);
    if (status != DDOME_OK)
        return status;
    call->compared = model.tensors - model.missing;
    call->missing = model.missing;
    call->differing = model.differing_count;
    if (model.differing_count != 0)
        call->first = model.differing[0].name;
    add_text(call->t, &model);
    add_json(call->t, &model);
    return DDOME_OK;
}
