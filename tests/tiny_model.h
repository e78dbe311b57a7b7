/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_model.h - random models of any size for tests and benchmarks, as bytes of a GGUF file.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_TINY_MODEL_H
#define ENX_TESTS_TINY_MODEL_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "quant_blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TINY_TENSORS_MAX = 512 };

typedef struct tiny_options {
    const char     *arch; /* NULL: qwen3 */
    enx_tensor_type type; /* of matrices */
    uint32_t        vocab, width, layers, heads, kv_heads, head_width, ffn, context;
    bool            is_head_untied;
    bool            has_rope_factors;
    uint32_t        window;       /* of attention; 0: none */
    const char     *rope_scaling; /* NULL, "linear" or "yarn": stretched by 4 from 16 tokens */
    bool            is_calm; /* weights as large as in trained models, not to amplify rounding */
    uint64_t        seed;
    /* Adds keys of its own, of a vocabulary for example; NULL: none. */
    enx_status (*add_keys)(enx_gguf_writer *writer, uint32_t vocab, enx_report *report);
    /* For files that must be refused: */
    const char *without;  /* leave this tensor out */
    const char *misshape; /* give this tensor one row too many */
    const char *extra;    /* add a tensor of this name */
    const char *key;      /* add an integer key; a string key when `text` is set */
    uint32_t    key_value;
    const char *text;
} tiny_options;

/* 2 layers, 3 heads that share 1 key head: every size is different. */
static const tiny_options tiny_default = { .type = ENX_TENSOR_Q8_0,
                                           .vocab = 101,
                                           .width = 64,
                                           .layers = 2,
                                           .heads = 3,
                                           .kv_heads = 1,
                                           .head_width = 32,
                                           .ffn = 96,
                                           .context = 64,
                                           .seed = 1 };

typedef struct tiny_builder {
    const tiny_options *o;
    enx_gguf_writer    *writer;
    enx_rng             rng;
    void               *data[TINY_TENSORS_MAX];
    size_t              data_count;
} tiny_builder;

static inline void tiny_convert(void *out, const float *x, size_t n, enx_tensor_type type)
{
    uint16_t *half = out;
    if (type == ENX_TENSOR_F32) memcpy(out, x, n * sizeof *x);
    if (type == ENX_TENSOR_Q8_0) enx_q8_0_from_f32(out, x, n);
    for (size_t i = 0; i < n && type == ENX_TENSOR_F16; i++) half[i] = enx_f16_of_f32(x[i]);
    for (size_t i = 0; i < n && type == ENX_TENSOR_BF16; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        half[i] = (uint16_t)(word >> 16);
    }
}

/* The standard deviation of a matrix.  Calm: each keeps the size of its input, the branches of all
 * layers together add as much as one, and logits spread by about 2. */
static inline double tiny_spread(const tiny_options *o, const char *name, uint32_t cols)
{
    const double keeps = 1 / sqrt(cols);
    if (!o->is_calm) return 1.5 * keeps;
    if (strstr(name, "attn_output") || strstr(name, "ffn_down")) return keeps / sqrt(2 * o->layers);
    return strstr(name, "blk") ? keeps : 2 * keeps;
}

/* A matrix of normal numbers, or with rows == 0 a gain around 1; biases too are around 1, which
 * none can miss. */
static inline void tiny_add(tiny_builder *b, const char *name, uint32_t rows, uint32_t cols)
{
    if (b->o->without && strcmp(name, b->o->without) == 0) return;
    const enx_tensor_type type = rows ? b->o->type : ENX_TENSOR_F32;
    if (b->o->misshape && strcmp(name, b->o->misshape) == 0) rows = (rows ? rows : 1) + 1;
    const size_t   n = (size_t)(rows ? rows : 1) * cols;
    const uint64_t dims[2] = { cols, rows };
    const double   spread = tiny_spread(b->o, name, cols);
    float         *x = ENX_MEM_NEW(float, n);
    void          *data = enx_mem_new((rows ? rows : 1), enx_tensor_row_bytes(type, cols));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(rows ? enx_rng_normal(&b->rng) * spread : 1 + 0.2 * enx_rng_normal(&b->rng));
    tiny_convert(data, x, n, type);
    const quant_layout *layout = quant_layout_of(type);
    if (layout) quant_fill(layout, data, n, (float)spread, &b->rng);
    enx_mem_free(x);
    enx_gguf_add_tensor(b->writer, name, type, rows ? 2 : 1, dims, data);
    b->data[b->data_count++] = data;
}

static inline void tiny_add_layer(tiny_builder *b, uint32_t i)
{
    const tiny_options *o = b->o;
    const char         *arch = o->arch ? o->arch : "qwen3";
    const bool          is_qwen2 = strcmp(arch, "qwen2") == 0;
    const bool          is_phi3 = strcmp(arch, "phi3") == 0;
    const bool          is_gemma = strncmp(arch, "gemma", 5) == 0;
    const bool          has_head_norms = strcmp(arch, "qwen3") == 0 || strcmp(arch, "gemma3") == 0;
    const uint32_t      q = o->heads * o->head_width, kv = o->kv_heads * o->head_width;
    const struct {
        const char *name;
        uint32_t    rows, cols;
        bool        is_missing;
    } parts[] = {
        { "attn_norm.weight", 0, o->width, false },
        { "attn_q.weight", q, o->width, is_phi3 },
        { "attn_k.weight", kv, o->width, is_phi3 },
        { "attn_v.weight", kv, o->width, is_phi3 },
        { "attn_qkv.weight", q + 2 * kv, o->width, !is_phi3 },
        { "attn_output.weight", o->width, q, false },
        { "ffn_norm.weight", 0, o->width, false },
        { "ffn_gate.weight", o->ffn, o->width, is_phi3 },
        { "ffn_up.weight", o->ffn * (is_phi3 ? 2 : 1), o->width, false },
        { "ffn_down.weight", o->width, o->ffn, false },
        { "attn_q_norm.weight", 0, o->head_width, !has_head_norms },
        { "attn_k_norm.weight", 0, o->head_width, !has_head_norms },
        { "post_attention_norm.weight", 0, o->width, !is_gemma },
        { "post_ffw_norm.weight", 0, o->width, !is_gemma },
        { "attn_q.bias", 0, q, !is_qwen2 },
        { "attn_k.bias", 0, kv, !is_qwen2 },
        { "attn_v.bias", 0, kv, !is_qwen2 },
    };
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        char name[64];
        if (parts[p].is_missing) continue;
        snprintf(name, sizeof name, "blk.%u.%s", i, parts[p].name);
        tiny_add(b, name, parts[p].rows, parts[p].cols);
    }
}

static inline void tiny_add_rope_scaling(tiny_builder *b, const char *arch)
{
    char name[96];
    snprintf(name, sizeof name, "%s.rope.scaling.type", arch);
    enx_gguf_add_str(b->writer, name, b->o->rope_scaling);
    snprintf(name, sizeof name, "%s.rope.scaling.factor", arch);
    enx_gguf_add_f32(b->writer, name, 4);
    snprintf(name, sizeof name, "%s.rope.scaling.original_context_length", arch);
    enx_gguf_add_u32(b->writer, name, 16);
}

static inline void tiny_add_keys(tiny_builder *b)
{
    const tiny_options *o = b->o;
    const char         *arch = o->arch ? o->arch : "qwen3";
    const struct {
        const char *name;
        uint32_t    value;
    } keys[] = {
        { "context_length", o->context },
        { "embedding_length", o->width },
        { "block_count", o->layers },
        { "feed_forward_length", o->ffn },
        { "attention.head_count", o->heads },
        { "attention.head_count_kv", o->kv_heads },
        { "attention.key_length", o->head_width },
        { "attention.value_length", o->head_width },
    };
    char name[96];
    enx_gguf_add_str(b->writer, "general.architecture", arch);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(name, sizeof name, "%s.%s", arch, keys[i].name);
        if (!o->key || strcmp(o->key, name) != 0) enx_gguf_add_u32(b->writer, name, keys[i].value);
    }
    snprintf(name, sizeof name, "%s.attention.layer_norm_rms_epsilon", arch);
    enx_gguf_add_f32(b->writer, name, 1e-6f);
    snprintf(name, sizeof name, "%s.rope.freq_base", arch);
    enx_gguf_add_f32(b->writer, name, strcmp(arch, "gemma3") == 0 ? 1e6f : 10000);
    snprintf(name, sizeof name, "%s.attention.sliding_window", arch);
    if (o->window || strncmp(arch, "gemma", 5) == 0)
        enx_gguf_add_u32(b->writer, name, o->window ? o->window : o->context);
    if (strcmp(arch, "gemma2") == 0) { /* so tight that none can miss them */
        enx_gguf_add_f32(b->writer, "gemma2.attn_logit_softcapping", 1);
        enx_gguf_add_f32(b->writer, "gemma2.final_logit_softcapping", 2);
    }
    if (o->rope_scaling) tiny_add_rope_scaling(b, arch);
    if (o->key && o->text) enx_gguf_add_str(b->writer, o->key, o->text);
    if (o->key && !o->text) enx_gguf_add_u32(b->writer, o->key, o->key_value);
}

/* The file's bytes; release with enx_buf_deinit. */
static inline enx_status tiny_build(const tiny_options *options, enx_buf *out, enx_report *report)
{
    tiny_builder b = { .o = options, .rng = enx_rng_open(options->seed, 0) };
    enx_buf_init(out, (size_t)1 << 30);
    ENX_TRY(enx_gguf_writer_open(&b.writer, report));
    tiny_add_keys(&b);
    if (options->add_keys) ENX_TRY(options->add_keys(b.writer, options->vocab, report));
    tiny_add(&b, "token_embd.weight", options->vocab, options->width);
    for (uint32_t i = 0; i < options->layers; i++) tiny_add_layer(&b, i);
    tiny_add(&b, "output_norm.weight", 0, options->width);
    if (options->is_head_untied) tiny_add(&b, "output.weight", options->vocab, options->width);
    const bool     is_phi3 = options->arch && strcmp(options->arch, "phi3") == 0;
    const uint32_t half = options->head_width / 2;
    if (options->has_rope_factors)
        tiny_add(&b, is_phi3 ? "rope_factors_short.weight" : "rope_freqs.weight", 0, half);
    if (options->has_rope_factors && is_phi3) tiny_add(&b, "rope_factors_long.weight", 0, half);
    if (options->extra) tiny_add(&b, options->extra, 0, options->width);
    const enx_status status = enx_gguf_writer_finish(b.writer, out, report);
    enx_gguf_writer_close(&b.writer);
    for (size_t i = 0; i < b.data_count; i++) enx_mem_free(b.data[i]);
    return status;
}

/* A file and the model in it. */
typedef struct tiny_model {
    enx_buf    bytes;
    enx_gguf  *gguf;
    enx_model *model;
} tiny_model;

static inline enx_status tiny_open(tiny_model *out, const tiny_options *options, enx_report *report)
{
    *out = (tiny_model){ 0 };
    ENX_TRY(tiny_build(options, &out->bytes, report));
    ENX_TRY(enx_gguf_open(&out->gguf, out->bytes.data, out->bytes.size_bytes, report));
    return enx_model_open(&out->model, out->gguf, report);
}

static inline void tiny_close(tiny_model *model)
{
    enx_model_close(&model->model);
    enx_gguf_close(&model->gguf);
    enx_buf_deinit(&model->bytes);
}

#endif /* ENX_TESTS_TINY_MODEL_H */
