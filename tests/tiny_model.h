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

enum { TINY_TENSORS_MAX = 1024 };

typedef struct tiny_options {
    const char     *arch; /* NULL: qwen3 */
    enx_tensor_type type; /* of matrices */
    uint32_t        vocab, width, layers, heads, kv_heads, head_width, ffn, context;
    bool            is_head_untied;
    bool            has_rope_factors;
    uint32_t        experts, experts_used; /* 0: none, where the architecture allows that */
    uint32_t        rope_width;            /* 0: the head's width */
    uint32_t        window;                /* of attention; 0: none */
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

/* Gains are around 1; biases too, which none can miss, or calm, so as not to drown the rest. */
static inline float tiny_number(tiny_builder *b, const char *name, uint32_t rows, double spread)
{
    const double normal = enx_rng_normal(&b->rng);
    const bool   is_bias = strstr(name, ".bias") != NULL;
    if (rows && !is_bias) return (float)(normal * spread);
    return (float)(is_bias && b->o->is_calm ? normal / 4 : 1 + 0.2 * normal);
}

/* A matrix, `count` of them one after the other, or with rows == 0 a gain or a bias. */
static inline void tiny_add_stack(tiny_builder *b, const char *name, uint32_t count, uint32_t rows,
                                  uint32_t cols)
{
    if (b->o->without && strcmp(name, b->o->without) == 0) return;
    const bool            is_float = !rows || strstr(name, ".bias") || strstr(name, "gate_inp");
    const enx_tensor_type type = is_float ? ENX_TENSOR_F32 : b->o->type;
    if (b->o->misshape && strcmp(name, b->o->misshape) == 0) rows = (rows ? rows : 1) + 1;
    const size_t   n = (size_t)(rows ? rows : 1) * cols * count;
    const uint64_t dims[3] = { cols, rows, count };
    const double   spread = tiny_spread(b->o, name, cols);
    float         *x = ENX_MEM_NEW(float, n);
    void          *data = enx_mem_new(n / cols, enx_tensor_row_bytes(type, cols));
    for (size_t i = 0; i < n; i++) x[i] = tiny_number(b, name, rows, spread);
    tiny_convert(data, x, n, type);
    const quant_layout *layout = quant_layout_of(type);
    if (layout && type != ENX_TENSOR_Q8_0) quant_fill(layout, data, n, (float)spread, &b->rng);
    enx_mem_free(x);
    enx_gguf_add_tensor(b->writer, name, type, count > 1 ? 3 : rows ? 2 : 1, dims, data);
    b->data[b->data_count++] = data;
}

static inline void tiny_add(tiny_builder *b, const char *name, uint32_t rows, uint32_t cols)
{
    tiny_add_stack(b, name, 1, rows, cols);
}

static inline const char *tiny_arch(const tiny_options *o) { return o->arch ? o->arch : "qwen3"; }

static inline bool tiny_is(const tiny_options *o, const char *arch)
{
    return strcmp(tiny_arch(o), arch) == 0;
}

/* A tensor of each layer; rows 0: a gain. */
typedef struct tiny_part {
    const char *name;
    uint32_t    rows, cols;
    bool        is_there;
    bool        is_stack; /* one an expert */
} tiny_part;

static inline void tiny_add_parts(tiny_builder *b, uint32_t layer, const tiny_part *parts, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        char name[64];
        if (!parts[p].is_there) continue;
        snprintf(name, sizeof name, "blk.%u.%s", layer, parts[p].name);
        tiny_add_stack(b, name, parts[p].is_stack ? b->o->experts : 1, parts[p].rows,
                       parts[p].cols);
    }
}

static inline void tiny_add_matrices(tiny_builder *b, uint32_t layer)
{
    const tiny_options *o = b->o;
    const bool          is_fused = tiny_is(o, "phi3"), is_dense = o->experts == 0;
    const uint32_t      q = o->heads * o->head_width, kv = o->kv_heads * o->head_width;
    const tiny_part     parts[] = {
            { "attn_norm.weight", 0, o->width, true, false },
            { "attn_q.weight", q, o->width, !is_fused, false },
            { "attn_k.weight", kv, o->width, !is_fused, false },
            { "attn_v.weight", kv, o->width, !is_fused, false },
            { "attn_qkv.weight", q + 2 * kv, o->width, is_fused, false },
            { "attn_output.weight", o->width, q, true, false },
            { "ffn_norm.weight", 0, o->width, !tiny_is(o, "gpt-oss"), false },
            { "ffn_gate.weight", o->ffn, o->width, !is_fused && is_dense, false },
            { "ffn_up.weight", o->ffn * (is_fused ? 2 : 1), o->width, is_dense, false },
            { "ffn_down.weight", o->width, o->ffn, is_dense, false },
            { "ffn_gate_inp.weight", o->experts, o->width, !is_dense, false },
            { "ffn_gate_exps.weight", o->ffn, o->width, !is_dense, true },
            { "ffn_up_exps.weight", o->ffn, o->width, !is_dense, true },
            { "ffn_down_exps.weight", o->width, o->ffn, !is_dense, true },
    };
    tiny_add_parts(b, layer, parts, sizeof parts / sizeof *parts);
}

static inline void tiny_add_gains(tiny_builder *b, uint32_t layer)
{
    const tiny_options *o = b->o;
    const bool          is_oss = tiny_is(o, "gpt-oss"), has_bias = is_oss || tiny_is(o, "qwen2");
    const bool          is_gemma = strncmp(tiny_arch(o), "gemma", 5) == 0;
    const bool has_norms = tiny_is(o, "qwen3") || tiny_is(o, "qwen3moe") || tiny_is(o, "gemma3");
    const uint32_t  q = o->heads * o->head_width, kv = o->kv_heads * o->head_width;
    const tiny_part parts[] = {
        { "attn_q_norm.weight", 0, o->head_width, has_norms, false },
        { "attn_k_norm.weight", 0, o->head_width, has_norms, false },
        { "post_attention_norm.weight", 0, o->width, is_gemma || is_oss, false },
        { "post_ffw_norm.weight", 0, o->width, is_gemma, false },
        { "attn_q.bias", 0, q, has_bias, false },
        { "attn_k.bias", 0, kv, has_bias, false },
        { "attn_v.bias", 0, kv, has_bias, false },
        { "attn_output.bias", 0, o->width, is_oss, false },
        { "attn_sinks.weight", 0, o->heads, is_oss, false },
        { "ffn_gate_inp.bias", 0, o->experts, is_oss, false },
        { "ffn_gate_exps.bias", o->experts, o->ffn, is_oss, false },
        { "ffn_up_exps.bias", o->experts, o->ffn, is_oss, false },
        { "ffn_down_exps.bias", o->experts, o->width, is_oss, false },
    };
    tiny_add_parts(b, layer, parts, sizeof parts / sizeof *parts);
}

static inline void tiny_add_layer(tiny_builder *b, uint32_t layer)
{
    tiny_add_matrices(b, layer);
    tiny_add_gains(b, layer);
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
    const char         *arch = tiny_arch(o);
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
        { "rope.dimension_count", o->rope_width ? o->rope_width : o->head_width },
        { "expert_count", o->experts },
        { "expert_used_count", o->experts_used },
        { "expert_feed_forward_length", o->experts ? o->ffn : 0 },
    };
    char name[96];
    enx_gguf_add_str(b->writer, "general.architecture", arch);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(name, sizeof name, "%s.%s", arch, keys[i].name);
        if (!keys[i].value) continue;
        if (!o->key || strcmp(o->key, name) != 0) enx_gguf_add_u32(b->writer, name, keys[i].value);
    }
    snprintf(name, sizeof name, "%s.attention.layer_norm_rms_epsilon", arch);
    enx_gguf_add_f32(b->writer, name, 1e-6f);
    snprintf(name, sizeof name, "%s.rope.freq_base", arch);
    enx_gguf_add_f32(b->writer, name, strcmp(arch, "gemma3") == 0 ? 1e6f : 10000);
    snprintf(name, sizeof name, "%s.attention.sliding_window", arch);
    if (o->window || strncmp(arch, "gemma", 5) == 0 || strcmp(arch, "gpt-oss") == 0)
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
    enx_buf_init(out, (size_t)4 << 30);
    ENX_TRY(enx_gguf_writer_open(&b.writer, report));
    tiny_add_keys(&b);
    if (options->add_keys) ENX_TRY(options->add_keys(b.writer, options->vocab, report));
    tiny_add(&b, "token_embd.weight", options->vocab, options->width);
    for (uint32_t i = 0; i < options->layers; i++) tiny_add_layer(&b, i);
    tiny_add(&b, "output_norm.weight", 0, options->width);
    if (options->is_head_untied) tiny_add(&b, "output.weight", options->vocab, options->width);
    const bool     is_phi3 = options->arch && strcmp(options->arch, "phi3") == 0;
    const uint32_t half = (options->rope_width ? options->rope_width : options->head_width) / 2;
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
