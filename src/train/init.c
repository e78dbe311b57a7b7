/* SPDX-License-Identifier: Apache-2.0 */
/* init.c - going on from a finished model: its weights, tokenizer and spent effort.
 *
 * Moments start anew, so the recipe's warm-up matters.  What the earlier model cost stays on the
 * record: the bill's fixed part counts all that went into the weights.
 */
#include "base/mem.h"
#include "kernels/kernels.h"
#include "train/trainer_impl.h"

#include <stdio.h>
#include <string.h>

typedef struct earlier {
    enx_file  file;
    enx_gguf *gguf;
} earlier;

static enx_status open_earlier(earlier *e, const char *path, enx_report *report)
{
    ENX_TRY(enx_file_map(&e->file, path, report));
    const enx_status status = enx_gguf_open(&e->gguf, e->file.bytes, e->file.size_bytes, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        enx_file_unmap(&e->file);
    }
    return status;
}

static void close_earlier(earlier *e)
{
    enx_gguf_close(&e->gguf);
    enx_file_unmap(&e->file);
}

enx_status trainer_init_vocab(const char *model_path, const char *vocab_path, enx_report *report)
{
    earlier          e = { 0 };
    enx_gguf_writer *writer = NULL;
    enx_buf          bytes;
    ENX_TRY(open_earlier(&e, model_path, report));
    enx_buf_init(&bytes, (size_t)1 << 28);
    enx_status status = enx_gguf_writer_open(&writer, report);
    if (status == ENX_OK) {
        enx_gguf_add_only(writer, e.gguf, "tokenizer.");
        status = enx_gguf_writer_finish(writer, &bytes, report);
    }
    if (status == ENX_OK) status = enx_file_write(vocab_path, bytes.data, bytes.size_bytes, report);
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&bytes);
    close_earlier(&e);
    return status;
}

static void unpack_q8(float *out, const enx_block_q8_0 *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const enx_block_q8_0 *b = &blocks[i / 32];
        const uint16_t        half = (uint16_t)(b->d[0] | b->d[1] << 8);
        out[i] = enx_f32_of_f16(half) * (float)b->q[i % 32];
    }
}

static enx_status read_tensor(const earlier *e, const char *name, float *out, size_t count,
                              enx_report *report)
{
    const enx_gguf_tensor *t = enx_gguf_tensor_find(e->gguf, name);
    if (!t) return ENX_FAIL(report, NOTFOUND, "there is no tensor %s", name);
    uint64_t have = 1;
    for (uint32_t i = 0; i < t->dim_count; i++) have *= t->dims[i];
    if (have != count)
        return ENX_FAIL(report, FORMAT, "%s has %llu numbers, the recipe's sizes want %zu", name,
                        (unsigned long long)have, count);
    if (t->type == ENX_TENSOR_F32) memcpy(out, t->data, count * sizeof *out);
    else if (t->type == ENX_TENSOR_Q8_0)
        unpack_q8(out, (const enx_block_q8_0 *)(const void *)t->data, count);
    else if (t->type == ENX_TENSOR_F16)
        for (size_t i = 0; i < count; i++)
            out[i] = enx_f32_of_f16((uint16_t)(t->data[2 * i] | t->data[2 * i + 1] << 8));
    else
        return ENX_FAIL(report, UNSUPPORTED, "%s is %s; F32, F16 and Q8_0 can be started from",
                        name, enx_tensor_type_name(t->type));
    return ENX_OK;
}

static enx_status read_layer(enx_trainer *t, const earlier *e, uint32_t index, enx_report *report)
{
    const enx_net_layer_at *at = &t->layout.layers[index];
    const size_t            c = t->layout.sizes.width, f = t->layout.sizes.ffn;
    const size_t            d = t->layout.sizes.head_width;
    const struct {
        const char *name;
        size_t      start, count;
    } parts[] = {
        { "attn_norm", at->attn_norm, c },      { "attn_q", at->qkv, c * c },
        { "attn_k", at->qkv + c * c, c * c },   { "attn_v", at->qkv + 2 * c * c, c * c },
        { "attn_q_norm", at->q_norm, d },       { "attn_k_norm", at->k_norm, d },
        { "attn_output", at->attn_out, c * c }, { "ffn_norm", at->ffn_norm, c },
        { "ffn_gate", at->gate_up, f * c },     { "ffn_up", at->gate_up + f * c, f * c },
        { "ffn_down", at->down, c * f },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", index, parts[i].name);
        ENX_TRY(read_tensor(e, name, t->params + parts[i].start, parts[i].count, report));
    }
    return ENX_OK;
}

static enx_status read_all(enx_trainer *t, const earlier *e, enx_report *report)
{
    const enx_net_sizes *z = &t->layout.sizes;
    ENX_TRY(read_tensor(e, "token_embd.weight", t->params + t->layout.embed,
                        (size_t)z->vocab * z->width, report));
    for (uint32_t i = 0; i < z->layers; i++) ENX_TRY(read_layer(t, e, i, report));
    ENX_TRY(read_tensor(e, "output_norm.weight", t->params + t->layout.out_norm, z->width, report));
    /* Absent in models that were made elsewhere: their making is not on our record. */
    if (enx_gguf_read_u64(e->gguf, "enxame.train.tokens", &t->totals.tokens, NULL) != ENX_OK)
        t->totals.tokens = 0;
    if (enx_gguf_read_f64(e->gguf, "enxame.train.cpu_seconds", &t->totals.cpu_s, NULL) != ENX_OK)
        t->totals.cpu_s = 0;
    return ENX_OK;
}

enx_status trainer_init_params(enx_trainer *trainer, const char *model_path, enx_report *report)
{
    earlier e = { 0 };
    ENX_TRY(open_earlier(&e, model_path, report));
    const enx_status status = read_all(trainer, &e, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", model_path);
    close_earlier(&e);
    return status;
}
