/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - everything a run needs to go on, in one GGUF file.
 *
 * Keys enxame.checkpoint.*: recipe_hash, data_hash, step, state (draw counts, u64 as pairs of
 * i32), curve, totals; tensors checkpoint.{params,moment1,moment2}.  The vocabulary stands beside
 * it in <checkpoint>.vocab.
 */
#include "base/mem.h"
#include "plat/clock.h"
#include "train/trainer_impl.h"

#include <stdio.h>
#include <string.h>

#define KEY(name) "enxame.checkpoint." name

static uint64_t fnv1a(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ p[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* What must not change between two parts of a run; steps, decay and threads may be extended. */
uint64_t trainer_recipe_hash(const enx_trainer *t)
{
    const enx_recipe *r = t->recipe;
    uint64_t          hash = UINT64_C(0xCBF29CE484222325);
    const uint64_t    numbers[] = { r->seed,         r->tokenizer.vocab,    r->model.width,
                                    r->model.layers, r->model.head_width,   r->model.ffn,
                                    r->train.shards, r->train.shard_tokens, r->sources_count };
    hash = fnv1a(hash, numbers, sizeof numbers);
    for (unsigned i = 0; i < r->sources_count; i++) {
        hash = fnv1a(hash, r->sources[i].file, strlen(r->sources[i].file));
        hash = fnv1a(hash, &r->sources[i].kind, sizeof r->sources[i].kind);
    }
    return hash;
}

static void add_totals(enx_gguf_writer *w, const enx_trainer *t)
{
    const enx_trainer_totals now = enx_trainer_totals_now(t);
    enx_gguf_add_u64(w, KEY("tokens"), now.tokens);
    enx_gguf_add_u64(w, KEY("targets"), now.targets);
    enx_gguf_add_u64(w, KEY("text_bytes"), now.text_bytes);
    enx_gguf_add_f64(w, KEY("wall_s"), now.wall_s);
    enx_gguf_add_f64(w, KEY("cpu_s"), now.cpu_s);
    enx_gguf_add_f64(w, KEY("loss_smooth"), t->loss_smooth);
    enx_gguf_add_f64(w, KEY("bytes_smooth"), t->bytes_smooth);
}

static void add_everything(enx_gguf_writer *w, enx_trainer *t)
{
    size_t          state_count;
    const uint64_t *state = enx_dataset_state(t->dataset, &state_count);
    enx_gguf_add_u64(w, KEY("recipe_hash"), trainer_recipe_hash(t));
    enx_gguf_add_u64(w, KEY("data_hash"), enx_dataset_hash(t->dataset));
    enx_gguf_add_u32(w, KEY("step"), t->step);
    enx_gguf_add_i32s(w, KEY("state"), (const int32_t *)(const void *)state, 2 * state_count);
    enx_gguf_add_f32s(w, KEY("curve"), &t->curve[0][0], 2 * (uint64_t)t->curve_count);
    add_totals(w, t);
    const uint64_t dims[] = { t->layout.count };
    enx_gguf_add_tensor(w, "checkpoint.params", ENX_TENSOR_F32, 1, dims, t->params);
    enx_gguf_add_tensor(w, "checkpoint.moment1", ENX_TENSOR_F32, 1, dims, t->moment1);
    enx_gguf_add_tensor(w, "checkpoint.moment2", ENX_TENSOR_F32, 1, dims, t->moment2);
}

enx_status enx_trainer_save(enx_trainer *trainer, enx_report *report)
{
    enx_gguf_writer *writer = NULL;
    enx_buf          bytes;
    enx_buf_init(&bytes, (size_t)1 << 36);
    enx_status status = enx_gguf_writer_open(&writer, report);
    if (status == ENX_OK) {
        add_everything(writer, trainer);
        status = enx_gguf_writer_finish(writer, &bytes, report);
    }
    if (status == ENX_OK)
        status = enx_file_write(trainer->checkpoint, bytes.data, bytes.size_bytes, report);
    if (status == ENX_OK) trainer->saved_us = enx_clock_monotonic_us();
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&bytes);
    return status;
}

static enx_status load_tensor(const enx_gguf *gguf, const char *name, float *out, size_t count,
                              enx_report *report)
{
    const enx_gguf_tensor *tensor = enx_gguf_tensor_find(gguf, name);
    if (!tensor || tensor->type != ENX_TENSOR_F32 || tensor->size_bytes != count * sizeof(float))
        return ENX_FAIL(report, FORMAT, "%s is missing or has another size", name);
    memcpy(out, tensor->data, count * sizeof(float));
    return ENX_OK;
}

static enx_status load_array(const enx_gguf *gguf, const char *key, enx_gguf_value_type type,
                             void *out, uint64_t count_max, uint64_t *count, enx_report *report)
{
    enx_gguf_value value;
    if (!enx_gguf_find(gguf, key, &value) || value.type != ENX_GGUF_ARRAY ||
        value.element_type != type || value.count > count_max)
        return ENX_FAIL(report, FORMAT, "%s is missing or has another size", key);
    memcpy(out, value.data, value.count * 4);
    *count = value.count;
    return ENX_OK;
}

static enx_status load_numbers(enx_trainer *t, const enx_gguf *gguf, enx_report *report)
{
    uint64_t recipe_hash, data_hash, step, count;
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("recipe_hash"), &recipe_hash, report));
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("data_hash"), &data_hash, report));
    if (recipe_hash != trainer_recipe_hash(t) || data_hash != enx_dataset_hash(t->dataset))
        return ENX_FAIL(report, FORMAT,
                        "the checkpoint belongs to another %s; move it away to start anew",
                        recipe_hash != trainer_recipe_hash(t) ? "recipe" : "state of the data");
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("step"), &step, report));
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("tokens"), &t->totals.tokens, report));
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("targets"), &t->totals.targets, report));
    ENX_TRY(enx_gguf_read_u64(gguf, KEY("text_bytes"), &t->totals.text_bytes, report));
    ENX_TRY(enx_gguf_read_f64(gguf, KEY("wall_s"), &t->totals.wall_s, report));
    ENX_TRY(enx_gguf_read_f64(gguf, KEY("cpu_s"), &t->totals.cpu_s, report));
    ENX_TRY(enx_gguf_read_f64(gguf, KEY("loss_smooth"), &t->loss_smooth, report));
    ENX_TRY(enx_gguf_read_f64(gguf, KEY("bytes_smooth"), &t->bytes_smooth, report));
    size_t    state_count;
    uint64_t *state = enx_dataset_state(t->dataset, &state_count);
    ENX_TRY(load_array(gguf, KEY("state"), ENX_GGUF_I32, state, 2 * state_count, &count, report));
    ENX_TRY(load_array(gguf, KEY("curve"), ENX_GGUF_F32, t->curve, 2 * TRAINER_CURVE_MAX, &count,
                       report));
    t->curve_count = (uint32_t)(count / 2);
    t->step = (uint32_t)step;
    return ENX_OK;
}

static enx_status load_all(enx_trainer *t, const enx_gguf *gguf, enx_report *report)
{
    const size_t count = t->layout.count;
    ENX_TRY(load_numbers(t, gguf, report));
    ENX_TRY(load_tensor(gguf, "checkpoint.params", t->params, count, report));
    ENX_TRY(load_tensor(gguf, "checkpoint.moment1", t->moment1, count, report));
    return load_tensor(gguf, "checkpoint.moment2", t->moment2, count, report);
}

enx_status trainer_checkpoint_load(enx_trainer *trainer, const char *path, enx_report *report)
{
    enx_file   file = { 0 };
    enx_gguf  *gguf = NULL;
    enx_status status = enx_file_map(&file, path, report);
    if (status == ENX_OK) status = enx_gguf_open(&gguf, file.bytes, file.size_bytes, report);
    if (status == ENX_OK) status = load_all(trainer, gguf, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    enx_gguf_close(&gguf);
    enx_file_unmap(&file);
    return status;
}
