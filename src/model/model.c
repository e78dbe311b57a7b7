/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - from the keys and tensors of a file to sizes and weights that agree with each other.
 *
 * (1) Every size is checked against its limit before it is used in arithmetic.
 * (2) Every tensor has the shape that the sizes demand, so the forward pass checks nothing.
 * (3) Every tensor of the file is used: one more (a bias, an expert) would mean that this program
 *     does not know the model, and that its answers would be wrong.
 */
#include "model/model.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/convert.h"
#include "model/layout.h"
#include "model/weights.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct enx_model {
    enx_hparams hparams;
    enx_weights weights;
    enx_layer  *layers;      /* owned, [layer_count] */
    void       *gain_block;  /* owned */
    void       *panel_block; /* owned */
    uint64_t    param_count;
    uint64_t    active_param_count;
    uint64_t    weight_bytes;
    uint64_t    memory_bytes;
};

/* What opening needs and the model does not keep. */
typedef struct opener {
    const enx_gguf       *gguf;
    const enx_model_file *file; /* NULL: the bytes are nobody's mapping */
    enx_model            *model;
    enx_arena             gains;
    enx_kernels           kernels;
    enx_report           *report;
} opener;

/* ---- sizes ------------------------------------------------------------- */

static enx_status read_arch(const enx_gguf *gguf, const enx_architecture **out, enx_report *report)
{
    enx_gguf_str name;
    ENX_TRY(enx_gguf_read_str(gguf, "general.architecture", &name, report));
    *out = enx_architecture_find(name.data, (size_t)name.size_bytes);
    if (*out) return ENX_OK;
    return ENX_FAIL(report, UNSUPPORTED,
                    "the model's architecture is '%.*s'; " ENX_ARCHITECTURE_NAMES " work",
                    (int)(name.size_bytes < 40 ? name.size_bytes : 40), name.data);
}

typedef struct size_key {
    const char *key;
    uint32_t    max;
    uint32_t    missing; /* the value when the key is not there; 0: it must be */
    uint32_t   *out;
} size_key;

static enx_status read_size(const opener *o, const size_key *want)
{
    char     key[96];
    uint64_t value = 0;
    snprintf(key, sizeof key, "%s.%s", o->model->hparams.arch->name, want->key);
    enx_gguf_value found;
    if (want->missing && !enx_gguf_find(o->gguf, key, &found)) {
        *want->out = want->missing;
        return ENX_OK;
    }
    ENX_TRY(enx_gguf_read_u64(o->gguf, key, &value, o->report));
    if (value == 0) return ENX_FAIL(o->report, FORMAT, "%s is 0; a model needs at least 1", key);
    if (value > want->max)
        return ENX_FAIL(o->report, LIMIT, "%s is %llu, at most %u is possible", key,
                        (unsigned long long)value, want->max);
    *want->out = (uint32_t)value;
    return ENX_OK;
}

static enx_status read_real(const opener *o, const char *name, double missing, float *out)
{
    char           key[96];
    double         value = missing;
    enx_gguf_value found;
    snprintf(key, sizeof key, "%s.%s", o->model->hparams.arch->name, name);
    if (missing <= 0 || enx_gguf_find(o->gguf, key, &found))
        ENX_TRY(enx_gguf_read_f64(o->gguf, key, &value, o->report));
    if (!(value > 0) || value > 1e12)
        return ENX_FAIL(o->report, FORMAT, "%s is %g; a positive number was expected", key, value);
    *out = (float)value;
    return ENX_OK;
}

static enx_status read_head_widths(const opener *o)
{
    enx_hparams   *h = &o->model->hparams;
    uint32_t       value_width;
    const size_key value_key = { "attention.value_length", ENX_MODEL_HEAD_WIDTH_MAX, h->head_width,
                                 &value_width };
    const size_key rope_key = { "rope.dimension_count", ENX_MODEL_HEAD_WIDTH_MAX, h->head_width,
                                &h->rope_width };
    ENX_TRY(read_size(o, &value_key));
    ENX_TRY(read_size(o, &rope_key));
    if (value_width != h->head_width || h->rope_width > h->head_width)
        return ENX_FAIL(o->report, UNSUPPORTED,
                        "heads are %u wide, their values %u and their rotation %u; values must be "
                        "as wide as heads, and rotation no wider",
                        h->head_width, value_width, h->rope_width);
    if (h->head_width % 2 || h->rope_width % 2)
        return ENX_FAIL(o->report, FORMAT,
                        "heads are %u wide, their rotation %u; rotation needs even numbers",
                        h->head_width, h->rope_width);
    if (h->head_count % h->kv_head_count)
        return ENX_FAIL(o->report, FORMAT, "%u heads cannot share %u key heads evenly",
                        h->head_count, h->kv_head_count);
    return ENX_OK;
}

static bool is_text(const enx_gguf_str *got, const char *want)
{
    return got->size_bytes == strlen(want) && memcmp(got->data, want, strlen(want)) == 0;
}

static enx_status read_rope_scaling(const opener *o)
{
    enx_hparams *h = &o->model->hparams;
    char         key[96];
    enx_gguf_str type;
    h->rope_scaling = (enx_rope_scaling){ .factor = 1 };
    const size_key original = { "rope.scaling.original_context_length", ENX_MODEL_CONTEXT_MAX,
                                h->context_tokens, &h->rope_scaling.original_tokens };
    ENX_TRY(read_size(o, &original));
    ENX_TRY(read_real(o, "rope.scaling.attn_factor", 1, &h->rope_scaling.attention_factor));
    snprintf(key, sizeof key, "%s.rope.scaling.type", h->arch->name);
    enx_gguf_value found;
    if (!enx_gguf_find(o->gguf, key, &found)) return ENX_OK;
    ENX_TRY(enx_gguf_read_str(o->gguf, key, &type, o->report));
    if (is_text(&type, "none")) return ENX_OK;
    h->rope_scaling.is_yarn = is_text(&type, "yarn");
    if (!h->rope_scaling.is_yarn && !is_text(&type, "linear"))
        return ENX_FAIL(o->report, UNSUPPORTED, "%s is '%.*s'; none, linear and yarn work", key,
                        (int)(type.size_bytes < 20 ? type.size_bytes : 20), type.data);
    ENX_TRY(read_real(o, "rope.scaling.factor", 0, &h->rope_scaling.factor));
    if (h->rope_scaling.is_yarn)
        h->rope_scaling.attention_factor *= 1 + 0.1f * logf(fmaxf(1, h->rope_scaling.factor));
    return ENX_OK;
}

static enx_status read_rope(const opener *o)
{
    enx_hparams *h = &o->model->hparams;
    ENX_TRY(read_real(o, "rope.freq_base", 10000, &h->rope_base));
    const float usual = h->arch->window_base > 0 ? h->arch->window_base : h->rope_base;
    ENX_TRY(read_real(o, "rope.freq_base_swa", (double)usual, &h->window_rope_base));
    return read_rope_scaling(o);
}

static enx_status read_window(const opener *o)
{
    enx_hparams   *h = &o->model->hparams;
    const uint32_t usual = h->arch->window_period;
    h->window_tokens = ENX_MODEL_CONTEXT_MAX;
    if (!h->arch->has_window) return ENX_OK;
    const size_key window = { "attention.sliding_window", ENX_MODEL_CONTEXT_MAX,
                              usual ? 0 : ENX_MODEL_CONTEXT_MAX, &h->window_tokens };
    const size_key period = { "attention.sliding_window_pattern", ENX_MODEL_LAYERS_MAX, usual,
                              &h->window_period };
    ENX_TRY(read_size(o, &window));
    return usual ? read_size(o, &period) : ENX_OK;
}

static enx_status read_experts(const opener *o)
{
    enx_hparams *h = &o->model->hparams;
    uint64_t     count = 0;
    char         key[96];
    snprintf(key, sizeof key, "%s.expert_count", h->arch->name);
    enx_gguf_value found;
    const bool     may = h->arch->experts != ENX_EXPERTS_NONE;
    if (may && enx_gguf_find(o->gguf, key, &found))
        ENX_TRY(enx_gguf_read_u64(o->gguf, key, &count, o->report));
    const size_key width = { "feed_forward_length", ENX_MODEL_WIDTH_MAX, 0, &h->ffn_width };
    if (h->arch->experts != ENX_EXPERTS_ALWAYS && count == 0) return read_size(o, &width);
    const bool     is_own = h->arch->experts == ENX_EXPERTS_ALWAYS;
    const size_key sizes[] = {
        { "expert_count", ENX_MODEL_EXPERTS_MAX, 0, &h->expert_count },
        { "expert_used_count", ENX_MODEL_EXPERTS_MAX, 0, &h->expert_used_count },
        is_own ? (size_key){ "expert_feed_forward_length", ENX_MODEL_WIDTH_MAX, 0, &h->ffn_width }
               : width,
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) ENX_TRY(read_size(o, &sizes[i]));
    if (h->expert_used_count > h->expert_count)
        return ENX_FAIL(o->report, FORMAT, "a token is said to use %u of %u experts",
                        h->expert_used_count, h->expert_count);
    return ENX_OK;
}

/* One over the root of the head's width; but the two largest Gemmas, which no key tells apart from
 * the others, were trained with the width that the heads would have if they shared the model's. */
static float query_scale(const enx_hparams *h)
{
    const bool is_large = (strcmp(h->arch->name, "gemma2") == 0 && h->layer_count == 46) ||
                          (strcmp(h->arch->name, "gemma3") == 0 && h->layer_count == 62);
    return 1 / sqrtf((float)(is_large ? h->width / h->head_count : h->head_width));
}

static enx_status read_hparams(const opener *o)
{
    enx_hparams *h = &o->model->hparams;
    ENX_TRY(read_arch(o->gguf, &h->arch, o->report));
    const size_key first[] = {
        { "context_length", ENX_MODEL_CONTEXT_MAX, 0, &h->context_tokens },
        { "embedding_length", ENX_MODEL_WIDTH_MAX, 0, &h->width },
        { "block_count", ENX_MODEL_LAYERS_MAX, 0, &h->layer_count },
        { "attention.head_count", ENX_MODEL_HEADS_MAX, 0, &h->head_count },
    };
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) ENX_TRY(read_size(o, &first[i]));
    const uint32_t usual_width = h->width / h->head_count;
    const size_key then[] = {
        { "attention.head_count_kv", ENX_MODEL_HEADS_MAX, h->head_count, &h->kv_head_count },
        { "attention.key_length", ENX_MODEL_HEAD_WIDTH_MAX, usual_width, &h->head_width },
    };
    for (size_t i = 0; i < sizeof then / sizeof *then; i++) ENX_TRY(read_size(o, &then[i]));
    ENX_TRY(read_head_widths(o));
    ENX_TRY(read_experts(o));
    ENX_TRY(read_window(o));
    ENX_TRY(read_rope(o));
    if (h->arch->has_soft_caps) {
        ENX_TRY(read_real(o, "attn_logit_softcapping", 50, &h->score_cap));
        ENX_TRY(read_real(o, "final_logit_softcapping", 30, &h->logit_cap));
    }
    h->query_scale = query_scale(h);
    return read_real(o, "attention.layer_norm_rms_epsilon", 0, &h->rms_epsilon);
}

/* ---- tensors ----------------------------------------------------------- */

/* Which of the sizes a tensor's rows and columns are. */
typedef enum extent {
    ONE,
    WIDTH,
    FFN,
    GATE_UP,
    HEADS,
    KV_HEADS,
    QKV_HEADS,
    QUERY_HEADS,
    HEAD,
    HALF_ROPE,
    EXPERTS,
    VOCAB
} extent;

static uint32_t extent_of(const enx_hparams *h, extent e)
{
    switch (e) {
    case ONE:
        return 1;
    case WIDTH:
        return h->width;
    case FFN:
        return h->ffn_width;
    case GATE_UP:
        return 2 * h->ffn_width;
    case HEADS:
        return h->head_count * h->head_width;
    case KV_HEADS:
        return h->kv_head_count * h->head_width;
    case QKV_HEADS:
        return (h->head_count + 2 * h->kv_head_count) * h->head_width;
    case HEAD:
        return h->head_width;
    case QUERY_HEADS:
        return h->head_count;
    case HALF_ROPE:
        return h->rope_width / 2;
    case EXPERTS:
        return h->expert_count;
    case VOCAB:
        return h->vocab_count;
    }
    return 0;
}

/* Which models have a tensor. */
typedef enum part_need {
    ALWAYS,
    APART,
    FUSED,
    QKV_BIAS,
    HEAD_NORMS,
    POST_NORMS,
    EARLY_NAME,
    LATE_NAME,
    SINKS,
    MORE_BIASES,
    APART_DENSE,
    FUSED_DENSE,
    DENSE,
    SPARSE,
    SPARSE_BIASES,
} part_need;

typedef enum part_kind { GAIN, MATRIX, STACK } part_kind;

/* A layer's tensors.  Gains and biases become floats; a stack is a matrix of each expert. */
static const struct layer_part {
    const char *name;
    part_kind   kind;
    extent      rows, cols;
    part_need   need;
    size_t      at; /* in enx_layer */
} layer_parts[] = {
    { "attn_norm.weight", GAIN, ONE, WIDTH, ALWAYS, offsetof(enx_layer, attn_norm) },
    { "attn_q.weight", MATRIX, HEADS, WIDTH, APART, offsetof(enx_layer, q) },
    { "attn_k.weight", MATRIX, KV_HEADS, WIDTH, APART, offsetof(enx_layer, k) },
    { "attn_v.weight", MATRIX, KV_HEADS, WIDTH, APART, offsetof(enx_layer, v) },
    { "attn_qkv.weight", MATRIX, QKV_HEADS, WIDTH, FUSED, offsetof(enx_layer, q) },
    { "attn_q.bias", GAIN, ONE, HEADS, QKV_BIAS, offsetof(enx_layer, q_bias) },
    { "attn_k.bias", GAIN, ONE, KV_HEADS, QKV_BIAS, offsetof(enx_layer, k_bias) },
    { "attn_v.bias", GAIN, ONE, KV_HEADS, QKV_BIAS, offsetof(enx_layer, v_bias) },
    { "attn_q_norm.weight", GAIN, ONE, HEAD, HEAD_NORMS, offsetof(enx_layer, q_norm) },
    { "attn_k_norm.weight", GAIN, ONE, HEAD, HEAD_NORMS, offsetof(enx_layer, k_norm) },
    { "attn_sinks.weight", GAIN, ONE, QUERY_HEADS, SINKS, offsetof(enx_layer, sinks) },
    { "attn_output.weight", MATRIX, WIDTH, HEADS, ALWAYS, offsetof(enx_layer, o) },
    { "attn_output.bias", GAIN, ONE, WIDTH, MORE_BIASES, offsetof(enx_layer, o_bias) },
    { "post_attention_norm.weight", GAIN, ONE, WIDTH, POST_NORMS,
      offsetof(enx_layer, attn_post_norm) },
    { "post_ffw_norm.weight", GAIN, ONE, WIDTH, POST_NORMS, offsetof(enx_layer, ffn_post_norm) },
    { "ffn_norm.weight", GAIN, ONE, WIDTH, EARLY_NAME, offsetof(enx_layer, ffn_norm) },
    { "post_attention_norm.weight", GAIN, ONE, WIDTH, LATE_NAME, offsetof(enx_layer, ffn_norm) },
    { "ffn_gate.weight", MATRIX, FFN, WIDTH, APART_DENSE, offsetof(enx_layer, gate) },
    { "ffn_up.weight", MATRIX, FFN, WIDTH, APART_DENSE, offsetof(enx_layer, up) },
    { "ffn_up.weight", MATRIX, GATE_UP, WIDTH, FUSED_DENSE, offsetof(enx_layer, gate) },
    { "ffn_down.weight", MATRIX, WIDTH, FFN, DENSE, offsetof(enx_layer, down) },
    { "ffn_gate_inp.weight", MATRIX, EXPERTS, WIDTH, SPARSE, offsetof(enx_layer, router) },
    { "ffn_gate_inp.bias", GAIN, ONE, EXPERTS, SPARSE_BIASES, offsetof(enx_layer, router_bias) },
    { "ffn_gate_exps.weight", STACK, FFN, WIDTH, SPARSE, offsetof(enx_layer, gate) },
    { "ffn_up_exps.weight", STACK, FFN, WIDTH, SPARSE, offsetof(enx_layer, up) },
    { "ffn_down_exps.weight", STACK, WIDTH, FFN, SPARSE, offsetof(enx_layer, down) },
    { "ffn_gate_exps.bias", GAIN, EXPERTS, FFN, SPARSE_BIASES, offsetof(enx_layer, gate_bias) },
    { "ffn_up_exps.bias", GAIN, EXPERTS, FFN, SPARSE_BIASES, offsetof(enx_layer, up_bias) },
    { "ffn_down_exps.bias", GAIN, EXPERTS, WIDTH, SPARSE_BIASES, offsetof(enx_layer, down_bias) },
};
enum { LAYER_PARTS = sizeof layer_parts / sizeof *layer_parts, NAME_BYTES = 96 };

static bool is_needed(const enx_hparams *h, const struct layer_part *part)
{
    const enx_architecture *arch = h->arch;
    const bool              is_dense = h->expert_count == 0;
    switch (part->need) {
    case ALWAYS:
        return true;
    case APART:
        return !arch->has_fused;
    case FUSED:
        return arch->has_fused;
    case QKV_BIAS:
        return arch->has_qkv_bias;
    case HEAD_NORMS:
        return arch->has_head_norms;
    case POST_NORMS:
        return arch->has_post_norms;
    case EARLY_NAME:
        return !arch->has_late_norm_name;
    case LATE_NAME:
        return arch->has_late_norm_name;
    case SINKS:
        return arch->has_sinks;
    case MORE_BIASES:
        return arch->has_more_biases;
    case APART_DENSE:
        return is_dense && !arch->has_fused;
    case FUSED_DENSE:
        return is_dense && arch->has_fused;
    case DENSE:
        return is_dense;
    case SPARSE:
        return !is_dense;
    case SPARSE_BIASES:
        return !is_dense && arch->has_more_biases;
    }
    return false;
}

static void part_name(char name[NAME_BYTES], uint32_t layer, const struct layer_part *part)
{
    snprintf(name, NAME_BYTES, "blk.%u.%s", layer, part->name);
}

/* Columns, rows, and how many such matrices. */
typedef struct extents {
    extent cols, rows, count;
} extents;

static enx_status find_tensor(opener *o, const char *name, extents want,
                              const enx_gguf_tensor **out)
{
    const enx_hparams     *h = &o->model->hparams;
    const enx_gguf_tensor *tensor = enx_gguf_tensor_find(o->gguf, name);
    const uint64_t         cols = extent_of(h, want.cols), rows = extent_of(h, want.rows);
    const uint64_t         count = extent_of(h, want.count);
    if (!tensor) return ENX_FAIL(o->report, NOTFOUND, "the file has no tensor '%s'", name);
    if (tensor->dims[0] != cols || tensor->dims[1] != rows || tensor->dims[2] != count ||
        tensor->dims[3] != 1)
        return ENX_FAIL(o->report, FORMAT,
                        "tensor '%s' is %llu x %llu x %llu, the model's sizes demand %llu x %llu x "
                        "%llu",
                        name, (unsigned long long)tensor->dims[0],
                        (unsigned long long)tensor->dims[1], (unsigned long long)tensor->dims[2],
                        (unsigned long long)cols, (unsigned long long)rows,
                        (unsigned long long)count);
    const bool   is_half = tensor->type == ENX_TENSOR_F16 || tensor->type == ENX_TENSOR_BF16;
    const size_t element = tensor->type == ENX_TENSOR_F32 ? sizeof(float)
                           : is_half                      ? sizeof(uint16_t)
                                                          : 1; /* blocks are bytes */
    if ((uintptr_t)tensor->data % element)
        return ENX_FAIL(o->report, FORMAT, "tensor '%s' is not aligned to its numbers", name);
    const bool is_stack = want.count == EXPERTS;
    o->model->param_count += cols * rows * count;
    o->model->active_param_count += cols * rows * (is_stack ? h->expert_used_count : count);
    o->model->weight_bytes += tensor->size_bytes;
    *out = tensor;
    return ENX_OK;
}

static enx_status bind_matrix(opener *o, const char *name, extents want, enx_matrix *out)
{
    const enx_gguf_tensor *tensor = NULL;
    ENX_TRY(find_tensor(o, name, want, &tensor));
    *out = (enx_matrix){ .type = tensor->type,
                         .count = (uint32_t)tensor->dims[2],
                         .row_count = (uint32_t)tensor->dims[1],
                         .col_count = (uint32_t)tensor->dims[0],
                         .row_bytes = enx_tensor_row_bytes(tensor->type, tensor->dims[0]),
                         .data = tensor->data };
    out->size_bytes = out->row_count * out->row_bytes;
    const enx_quant quant = enx_quant_of(tensor->type);
    if (enx_quant_is_large(quant)) o->model->weights.has_acts_k = true;
    else if (quant != ENX_QUANT_COUNT) o->model->weights.has_acts = true;
    return ENX_OK;
}

static enx_status bind_gain(opener *o, const char *name, extent rows, extent cols,
                            const float **out)
{
    const enx_gguf_tensor *tensor = NULL;
    ENX_TRY(find_tensor(o, name, (extents){ cols, rows, ONE }, &tensor));
    const size_t n = (size_t)(tensor->dims[0] * tensor->dims[1]);
    float       *gain = ENX_ARENA_NEW(&o->gains, float, n);
    ENX_CHECK(gain);
    enx_tensor_to_f32(&o->kernels, tensor->type, gain, tensor->data, n);
    *out = gain;
    return ENX_OK;
}

/* Rows of a matrix as a matrix of its own. */
static enx_matrix rows_of_matrix(const enx_matrix *whole, uint32_t first, uint32_t count)
{
    enx_matrix rows = *whole;
    rows.row_count = count;
    rows.data += first * whole->row_bytes;
    rows.size_bytes = count * whole->row_bytes;
    return rows;
}

/* q and gate are bound to the fused tensors: give each matrix its rows. */
static void cut_fused(const enx_hparams *h, enx_layer *l)
{
    const uint32_t q = extent_of(h, HEADS), kv = extent_of(h, KV_HEADS);
    l->k = rows_of_matrix(&l->q, q, kv);
    l->v = rows_of_matrix(&l->q, q + kv, kv);
    l->q = rows_of_matrix(&l->q, 0, q);
    if (h->expert_count) return;
    l->up = rows_of_matrix(&l->gate, h->ffn_width, h->ffn_width);
    l->gate = rows_of_matrix(&l->gate, 0, h->ffn_width);
}

static enx_status bind_layer(opener *o, uint32_t index)
{
    uint8_t *layer = (uint8_t *)&o->model->layers[index];
    for (size_t i = 0; i < LAYER_PARTS; i++) {
        const struct layer_part *part = &layer_parts[i];
        char                     name[NAME_BYTES];
        if (!is_needed(&o->model->hparams, part)) continue;
        part_name(name, index, part);
        void         *at = layer + part->at;
        const extents want = { part->cols, part->rows, part->kind == STACK ? EXPERTS : ONE };
        if (part->kind == GAIN) ENX_TRY(bind_gain(o, name, part->rows, part->cols, at));
        else ENX_TRY(bind_matrix(o, name, want, at));
    }
    if (o->model->hparams.arch->has_fused) cut_fused(&o->model->hparams, &o->model->layers[index]);
    return ENX_OK;
}

static const char long_factors[] = "rope_factors_long.weight";

/* Of all contexts, or of the short ones. */
static const char *rope_factors_name(const enx_architecture *arch)
{
    return arch->has_two_ranges ? "rope_factors_short.weight" : "rope_freqs.weight";
}

static enx_status bind_factors(opener *o)
{
    enx_weights *w = &o->model->weights;
    const char  *name = rope_factors_name(o->model->hparams.arch);
    const bool   has_long = enx_gguf_tensor_find(o->gguf, long_factors) != NULL;
    if (has_long) ENX_TRY(bind_gain(o, long_factors, ONE, HALF_ROPE, &w->long_factors));
    if (!has_long && !enx_gguf_tensor_find(o->gguf, name)) return ENX_OK;
    return bind_gain(o, name, ONE, HALF_ROPE, &w->rope_factors);
}

static bool is_known(const enx_model *model, const enx_gguf_str *name)
{
    static const char *const others[] = { "token_embd.weight", "output_norm.weight",
                                          "output.weight" };
    char                     text[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 }, want[NAME_BYTES];
    uint32_t                 layer = 0;
    memcpy(text, name->data, (size_t)name->size_bytes); /* the parser bounds names */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(text, others[i]) == 0) return true;
    if (strcmp(text, long_factors) == 0) return model->hparams.arch->has_two_ranges;
    if (strcmp(text, rope_factors_name(model->hparams.arch)) == 0) return true;
    if (sscanf(text, "blk.%u.", &layer) != 1 || layer >= model->hparams.layer_count) return false;
    for (size_t i = 0; i < LAYER_PARTS; i++) {
        part_name(want, layer, &layer_parts[i]);
        if (strcmp(text, want) == 0 && is_needed(&model->hparams, &layer_parts[i])) return true;
    }
    return false;
}

static enx_status refuse_unknown(const opener *o)
{
    for (uint64_t i = 0; i < enx_gguf_tensor_count(o->gguf); i++) {
        const enx_gguf_tensor *tensor = enx_gguf_tensor_at(o->gguf, i);
        if (is_known(o->model, &tensor->name)) continue;
        return ENX_FAIL(o->report, UNSUPPORTED,
                        "the file has a tensor '%.*s', which a plain %s model of %u layers lacks; "
                        "this variant is not supported",
                        (int)(tensor->name.size_bytes < 80 ? tensor->name.size_bytes : 80),
                        tensor->name.data, o->model->hparams.arch->name,
                        o->model->hparams.layer_count);
    }
    return ENX_OK;
}

static enx_status bind_tensors(opener *o)
{
    enx_weights *w = &o->model->weights;
    enx_hparams *h = &o->model->hparams;

    const enx_gguf_tensor *embed = enx_gguf_tensor_find(o->gguf, "token_embd.weight");
    if (!embed) return ENX_FAIL(o->report, NOTFOUND, "the file has no tensor 'token_embd.weight'");
    if (embed->dims[1] == 0 || embed->dims[1] > ENX_MODEL_VOCAB_MAX)
        return ENX_FAIL(o->report, LIMIT, "the vocabulary has %llu tokens, 1 to %d are possible",
                        (unsigned long long)embed->dims[1], ENX_MODEL_VOCAB_MAX);
    h->vocab_count = (uint32_t)embed->dims[1];
    enx_gguf_value tokens;
    if (enx_gguf_find(o->gguf, "tokenizer.ggml.tokens", &tokens) && tokens.count > h->vocab_count)
        return ENX_FAIL(o->report, FORMAT, "the file names %llu tokens, its model knows only %u",
                        (unsigned long long)tokens.count, h->vocab_count);
    h->is_head_tied = !enx_gguf_tensor_find(o->gguf, "output.weight");

    const extents vocab = { WIDTH, VOCAB, ONE };
    ENX_TRY(bind_matrix(o, "token_embd.weight", vocab, &w->embed));
    for (uint32_t i = 0; i < h->layer_count; i++) ENX_TRY(bind_layer(o, i));
    ENX_TRY(bind_gain(o, "output_norm.weight", ONE, WIDTH, &w->out_norm));
    ENX_TRY(bind_factors(o));
    if (h->is_head_tied) w->head = w->embed;
    else ENX_TRY(bind_matrix(o, "output.weight", vocab, &w->head));
    w->layers = o->model->layers;
    return refuse_unknown(o);
}

enx_matrix enx_matrix_of_expert(const enx_matrix *matrices, uint32_t expert)
{
    enx_matrix one = *matrices;
    one.count = 1;
    one.data += expert * one.size_bytes;
    return one;
}

/* ---- exported ---------------------------------------------------------- */

/* An upper bound, with room for the arena's red zones.  It counts what the file holds, not what its
 * sizes promise: those may be lies. */
static uint64_t count_gain_bytes(const opener *o)
{
    const enx_hparams *h = &o->model->hparams;
    uint64_t           values = (uint64_t)h->width + h->head_width, arrays = 3;
    for (uint32_t layer = 0; layer < h->layer_count; layer++) {
        for (size_t i = 0; i < LAYER_PARTS; i++) {
            char name[NAME_BYTES];
            if (layer_parts[i].kind != GAIN || !is_needed(h, &layer_parts[i])) continue;
            part_name(name, layer, &layer_parts[i]);
            const enx_gguf_tensor *tensor = enx_gguf_tensor_find(o->gguf, name);
            if (!tensor) continue;
            values += tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
            arrays++;
        }
    }
    return values * sizeof(float) + arrays * 64;
}

static enx_status open_model(opener *o)
{
    enx_model *model = o->model;
    ENX_TRY(read_hparams(o));
    const enx_hparams *h = &model->hparams;
    const uint64_t     gain_bytes = count_gain_bytes(o);
    model->layers = ENX_MEM_NEW(enx_layer, h->layer_count);
    model->gain_block = enx_mem_new(gain_bytes, 1);
    if (!model->layers || !model->gain_block)
        return ENX_FAIL(o->report, NOMEM, "no memory for the tables of %u layers", h->layer_count);
    enx_arena_init(&o->gains, model->gain_block, gain_bytes);
    const enx_status status = bind_tensors(o);
    enx_arena_deinit(&o->gains);
    if (status != ENX_OK) return status;
    uint64_t panel_bytes;
    ENX_TRY(enx_weights_lay_out(&model->weights.head, model->layers, h->layer_count, o->file,
                                &model->panel_block, &panel_bytes, o->report));
    if (h->is_head_tied) model->weights.embed = model->weights.head;
    model->memory_bytes =
        sizeof *model + gain_bytes + panel_bytes + h->layer_count * sizeof(enx_layer);
    return ENX_OK;
}

static enx_status open_from(enx_model **out, const enx_gguf *gguf, const enx_model_file *file,
                            enx_report *report)
{
    opener o = { .gguf = gguf, .file = file, .model = ENX_MEM_NEW(enx_model, 1), .report = report };
    if (!o.model) return ENX_FAIL(report, NOMEM, "no memory for a model");
    enx_kernels_init(&o.kernels, ENX_CPU_SCALAR);
    const enx_status status = open_model(&o);
    if (status != ENX_OK) {
        enx_model_close(&o.model);
        return status;
    }
    *out = o.model;
    return ENX_OK;
}

enx_status enx_model_open(enx_model **out, const enx_gguf *gguf, enx_report *report)
{
    ENX_CHECK(out && gguf);
    return open_from(out, gguf, NULL, report);
}

enx_status enx_model_open_file(enx_model **out, const enx_model_file *file, enx_report *report)
{
    ENX_CHECK(out && file);
    return open_from(out, file->gguf, file, report);
}

void enx_model_close(enx_model **handle)
{
    enx_model *model = *handle;
    if (!model) return;
    enx_mem_free(model->layers);
    enx_mem_free(model->gain_block);
    enx_mem_free(model->panel_block);
    enx_mem_free(model);
    *handle = NULL;
}

const enx_hparams *enx_model_hparams(const enx_model *model) { return &model->hparams; }
uint64_t           enx_model_param_count(const enx_model *model) { return model->param_count; }
uint64_t enx_model_active_param_count(const enx_model *model) { return model->active_param_count; }
uint64_t enx_model_weight_bytes(const enx_model *model) { return model->weight_bytes; }
const enx_weights *enx_model_weights(const enx_model *model) { return &model->weights; }
uint64_t           enx_model_memory_bytes(const enx_model *model) { return model->memory_bytes; }
