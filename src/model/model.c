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
#include "model/weights.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct enx_model {
    enx_hparams  hparams;
    enx_weights  weights;
    enx_layer   *layers;     /* owned, [layer_count] */
    void        *gain_block; /* owned */
    enx_pack_q8 *packs;      /* owned */
    uint64_t     param_count;
    uint64_t     weight_bytes;
    uint64_t     memory_bytes;
};

/* What opening needs and the model does not keep. */
typedef struct opener {
    const enx_gguf *gguf;
    enx_model      *model;
    enx_arena       gains;
    enx_kernels     kernels;
    enx_report     *report;
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

static enx_status check_heads(const opener *o)
{
    const enx_hparams *h = &o->model->hparams;
    uint32_t           value_width, rope_width;
    const size_key value_key = { "attention.value_length", ENX_MODEL_HEAD_WIDTH_MAX, h->head_width,
                                 &value_width };
    const size_key rope_key = { "rope.dimension_count", ENX_MODEL_HEAD_WIDTH_MAX, h->head_width,
                                &rope_width };
    ENX_TRY(read_size(o, &value_key));
    ENX_TRY(read_size(o, &rope_key));
    if (value_width != h->head_width || rope_width != h->head_width)
        return ENX_FAIL(o->report, UNSUPPORTED,
                        "heads are %u wide, their values %u and their rotation %u; "
                        "only equal widths work",
                        h->head_width, value_width, rope_width);
    if (h->head_width % 2)
        return ENX_FAIL(o->report, FORMAT, "heads are %u wide; rotation needs an even number",
                        h->head_width);
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
        { "feed_forward_length", ENX_MODEL_WIDTH_MAX, 0, &h->ffn_width },
        { "attention.head_count", ENX_MODEL_HEADS_MAX, 0, &h->head_count },
    };
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) ENX_TRY(read_size(o, &first[i]));
    const uint32_t usual_width = h->width / h->head_count;
    const size_key then[] = {
        { "attention.head_count_kv", ENX_MODEL_HEADS_MAX, h->head_count, &h->kv_head_count },
        { "attention.key_length", ENX_MODEL_HEAD_WIDTH_MAX, usual_width, &h->head_width },
    };
    for (size_t i = 0; i < sizeof then / sizeof *then; i++) ENX_TRY(read_size(o, &then[i]));
    ENX_TRY(check_heads(o));
    h->window_tokens = ENX_MODEL_CONTEXT_MAX;
    const size_key window = { "attention.sliding_window", ENX_MODEL_CONTEXT_MAX,
                              h->arch->window_period ? 0 : ENX_MODEL_CONTEXT_MAX,
                              &h->window_tokens };
    if (h->arch->has_window) ENX_TRY(read_size(o, &window));
    ENX_TRY(read_rope_scaling(o));
    if (h->arch->has_soft_caps) {
        ENX_TRY(read_real(o, "attn_logit_softcapping", 50, &h->score_cap));
        ENX_TRY(read_real(o, "final_logit_softcapping", 30, &h->logit_cap));
    }
    h->query_scale = query_scale(h);
    ENX_TRY(read_real(o, "rope.freq_base", 10000, &h->rope_base));
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
    HEAD,
    HALF_HEAD,
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
    case HALF_HEAD:
        return h->head_width / 2;
    case VOCAB:
        return h->vocab_count;
    }
    return 0;
}

/* Which architectures have a tensor. */
typedef enum part_need { ALWAYS, APART, FUSED, QKV_BIAS, HEAD_NORMS, POST_NORMS } part_need;

/* A layer's tensors; those with one row are gains and biases. */
static const struct layer_part {
    const char *name;
    extent      rows, cols;
    part_need   need;
    size_t      at; /* in enx_layer */
} layer_parts[] = {
    { "attn_norm.weight", ONE, WIDTH, ALWAYS, offsetof(enx_layer, attn_norm) },
    { "attn_q.weight", HEADS, WIDTH, APART, offsetof(enx_layer, q) },
    { "attn_k.weight", KV_HEADS, WIDTH, APART, offsetof(enx_layer, k) },
    { "attn_v.weight", KV_HEADS, WIDTH, APART, offsetof(enx_layer, v) },
    { "attn_qkv.weight", QKV_HEADS, WIDTH, FUSED, offsetof(enx_layer, q) },
    { "attn_q.bias", ONE, HEADS, QKV_BIAS, offsetof(enx_layer, q_bias) },
    { "attn_k.bias", ONE, KV_HEADS, QKV_BIAS, offsetof(enx_layer, k_bias) },
    { "attn_v.bias", ONE, KV_HEADS, QKV_BIAS, offsetof(enx_layer, v_bias) },
    { "attn_q_norm.weight", ONE, HEAD, HEAD_NORMS, offsetof(enx_layer, q_norm) },
    { "attn_k_norm.weight", ONE, HEAD, HEAD_NORMS, offsetof(enx_layer, k_norm) },
    { "attn_output.weight", WIDTH, HEADS, ALWAYS, offsetof(enx_layer, o) },
    { "post_attention_norm.weight", ONE, WIDTH, POST_NORMS, offsetof(enx_layer, attn_post_norm) },
    { "post_ffw_norm.weight", ONE, WIDTH, POST_NORMS, offsetof(enx_layer, ffn_post_norm) },
    { "ffn_norm.weight", ONE, WIDTH, ALWAYS, offsetof(enx_layer, ffn_norm) },
    { "ffn_gate.weight", FFN, WIDTH, APART, offsetof(enx_layer, gate) },
    { "ffn_up.weight", FFN, WIDTH, APART, offsetof(enx_layer, up) },
    { "ffn_up.weight", GATE_UP, WIDTH, FUSED, offsetof(enx_layer, gate) },
    { "ffn_down.weight", WIDTH, FFN, ALWAYS, offsetof(enx_layer, down) },
};
enum { LAYER_PARTS = sizeof layer_parts / sizeof *layer_parts, NAME_BYTES = 96 };

static bool is_needed(const enx_architecture *arch, const struct layer_part *part)
{
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
    }
    return false;
}

static void part_name(char name[NAME_BYTES], uint32_t layer, const struct layer_part *part)
{
    snprintf(name, NAME_BYTES, "blk.%u.%s", layer, part->name);
}

static enx_status find_tensor(opener *o, const char *name, extent rows, extent cols,
                              const enx_gguf_tensor **out)
{
    const enx_hparams     *h = &o->model->hparams;
    const enx_gguf_tensor *tensor = enx_gguf_tensor_find(o->gguf, name);
    const uint64_t         want_cols = extent_of(h, cols), want_rows = extent_of(h, rows);
    if (!tensor) return ENX_FAIL(o->report, NOTFOUND, "the file has no tensor '%s'", name);
    if (tensor->dims[0] != want_cols || tensor->dims[1] != want_rows || tensor->dims[2] != 1 ||
        tensor->dims[3] != 1)
        return ENX_FAIL(o->report, FORMAT,
                        "tensor '%s' is %llu x %llu, the model's sizes demand %llu x %llu", name,
                        (unsigned long long)tensor->dims[0], (unsigned long long)tensor->dims[1],
                        (unsigned long long)want_cols, (unsigned long long)want_rows);
    const bool   is_half = tensor->type == ENX_TENSOR_F16 || tensor->type == ENX_TENSOR_BF16;
    const size_t element = tensor->type == ENX_TENSOR_F32 ? sizeof(float)
                           : is_half                      ? sizeof(uint16_t)
                                                          : 1; /* blocks are bytes */
    if ((uintptr_t)tensor->data % element)
        return ENX_FAIL(o->report, FORMAT, "tensor '%s' is not aligned to its numbers", name);
    o->model->param_count += want_cols * want_rows;
    o->model->weight_bytes += tensor->size_bytes;
    *out = tensor;
    return ENX_OK;
}

static enx_status bind_matrix(opener *o, const char *name, extent rows, extent cols,
                              enx_matrix *out)
{
    const enx_gguf_tensor *tensor = NULL;
    ENX_TRY(find_tensor(o, name, rows, cols, &tensor));
    *out = (enx_matrix){ .type = tensor->type,
                         .row_count = (uint32_t)tensor->dims[1],
                         .col_count = (uint32_t)tensor->dims[0],
                         .row_bytes = enx_tensor_row_bytes(tensor->type, tensor->dims[0]),
                         .data = tensor->data };
    if (tensor->type == ENX_TENSOR_Q8_0) o->model->weights.has_q8 = true;
    if (enx_tensor_is_tiled(tensor->type)) o->model->weights.has_tiles = true;
    return ENX_OK;
}

static enx_status bind_gain(opener *o, const char *name, extent cols, const float **out)
{
    const enx_gguf_tensor *tensor = NULL;
    ENX_TRY(find_tensor(o, name, ONE, cols, &tensor));
    const size_t n = (size_t)tensor->dims[0];
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
    return rows;
}

/* q and gate are bound to the fused tensors: give each matrix its rows. */
static void cut_fused(const enx_hparams *h, enx_layer *l)
{
    const uint32_t q = extent_of(h, HEADS), kv = extent_of(h, KV_HEADS);
    l->k = rows_of_matrix(&l->q, q, kv);
    l->v = rows_of_matrix(&l->q, q + kv, kv);
    l->q = rows_of_matrix(&l->q, 0, q);
    l->up = rows_of_matrix(&l->gate, h->ffn_width, h->ffn_width);
    l->gate = rows_of_matrix(&l->gate, 0, h->ffn_width);
}

static enx_status bind_layer(opener *o, uint32_t index)
{
    uint8_t *layer = (uint8_t *)&o->model->layers[index];
    for (size_t i = 0; i < LAYER_PARTS; i++) {
        const struct layer_part *part = &layer_parts[i];
        char                     name[NAME_BYTES];
        if (!is_needed(o->model->hparams.arch, part)) continue;
        part_name(name, index, part);
        void *at = layer + part->at;
        if (part->rows == ONE) ENX_TRY(bind_gain(o, name, part->cols, at));
        else ENX_TRY(bind_matrix(o, name, part->rows, part->cols, at));
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
    if (has_long) ENX_TRY(bind_gain(o, long_factors, HALF_HEAD, &w->long_factors));
    if (!has_long && !enx_gguf_tensor_find(o->gguf, name)) return ENX_OK;
    return bind_gain(o, name, HALF_HEAD, &w->rope_factors);
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
        if (strcmp(text, want) == 0 && is_needed(model->hparams.arch, &layer_parts[i])) return true;
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

    ENX_TRY(bind_matrix(o, "token_embd.weight", VOCAB, WIDTH, &w->embed));
    for (uint32_t i = 0; i < h->layer_count; i++) ENX_TRY(bind_layer(o, i));
    ENX_TRY(bind_gain(o, "output_norm.weight", WIDTH, &w->out_norm));
    ENX_TRY(bind_factors(o));
    if (h->is_head_tied) w->head = w->embed;
    else ENX_TRY(bind_matrix(o, "output.weight", VOCAB, WIDTH, &w->head));
    w->layers = o->model->layers;
    return refuse_unknown(o);
}

/* ---- packing ----------------------------------------------------------- */

static uint64_t pack_blocks(const enx_matrix *m)
{
    if (m->type != ENX_TENSOR_Q8_0) return 0;
    const uint64_t groups = ((uint64_t)m->row_count + ENX_PACK_ROWS - 1) / ENX_PACK_ROWS;
    return groups * (m->col_count / ENX_Q8_BLOCK);
}

/* Blocks of all matrices that are multiplied; laid out one after the other from `packs` on. */
static uint64_t pack_matrices(enx_model *model, enx_pack_q8 *packs)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i <= model->hparams.layer_count; i++) {
        enx_layer  *l = i < model->hparams.layer_count ? &model->layers[i] : NULL;
        enx_matrix *head[] = { &model->weights.head };
        enx_matrix *body[] = { l ? &l->q : NULL,   l ? &l->k : NULL,    l ? &l->v : NULL,
                               l ? &l->o : NULL,   l ? &l->gate : NULL, l ? &l->up : NULL,
                               l ? &l->down : NULL };
        enx_matrix **list = l ? body : head;
        for (size_t m = 0; m < (l ? 7 : 1); m++) {
            const uint64_t blocks = pack_blocks(list[m]);
            if (packs && blocks) {
                enx_pack_q8_rows(packs + used, (const void *)list[m]->data, list[m]->row_count,
                                 list[m]->col_count);
                list[m]->packed = packs + used;
            }
            used += blocks;
        }
    }
    return used;
}

static enx_status pack_weights(opener *o)
{
    enx_model     *model = o->model;
    const uint64_t blocks = pack_matrices(model, NULL);
    if (blocks == 0) return ENX_OK;
    model->packs = ENX_MEM_NEW(enx_pack_q8, blocks);
    if (!model->packs)
        return ENX_FAIL(o->report, NOMEM, "no memory for %llu MiB of weights",
                        (unsigned long long)(blocks * sizeof(enx_pack_q8) >> 20));
    pack_matrices(model, model->packs);
    model->memory_bytes += blocks * sizeof(enx_pack_q8);
    return ENX_OK;
}

/* ---- exported ---------------------------------------------------------- */

/* An upper bound, with room for the arena's red zones.  All sizes are below their limits. */
static uint64_t count_gain_bytes(const enx_hparams *h)
{
    uint64_t values = (uint64_t)h->width + h->head_width, arrays = 3;
    for (size_t i = 0; i < LAYER_PARTS; i++) {
        if (layer_parts[i].rows != ONE || !is_needed(h->arch, &layer_parts[i])) continue;
        values += (uint64_t)h->layer_count * extent_of(h, layer_parts[i].cols);
        arrays += h->layer_count;
    }
    return values * sizeof(float) + arrays * 64;
}

static enx_status open_model(opener *o)
{
    enx_model *model = o->model;
    ENX_TRY(read_hparams(o));
    const enx_hparams *h = &model->hparams;
    const uint64_t     gain_bytes = count_gain_bytes(h);
    model->layers = ENX_MEM_NEW(enx_layer, h->layer_count);
    model->gain_block = enx_mem_new(gain_bytes, 1);
    if (!model->layers || !model->gain_block)
        return ENX_FAIL(o->report, NOMEM, "no memory for the tables of %u layers", h->layer_count);
    enx_arena_init(&o->gains, model->gain_block, gain_bytes);
    const enx_status status = bind_tensors(o);
    enx_arena_deinit(&o->gains);
    if (status != ENX_OK) return status;
    model->memory_bytes = sizeof *model + gain_bytes + h->layer_count * sizeof(enx_layer);
    return pack_weights(o);
}

enx_status enx_model_open(enx_model **out, const enx_gguf *gguf, enx_report *report)
{
    ENX_CHECK(out && gguf);
    opener o = { .gguf = gguf, .model = ENX_MEM_NEW(enx_model, 1), .report = report };
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

void enx_model_close(enx_model **handle)
{
    enx_model *model = *handle;
    if (!model) return;
    enx_mem_free(model->layers);
    enx_mem_free(model->gain_block);
    enx_mem_free(model->packs);
    enx_mem_free(model);
    *handle = NULL;
}

const enx_hparams *enx_model_hparams(const enx_model *model) { return &model->hparams; }
uint64_t           enx_model_param_count(const enx_model *model) { return model->param_count; }
uint64_t           enx_model_weight_bytes(const enx_model *model) { return model->weight_bytes; }
const enx_weights *enx_model_weights(const enx_model *model) { return &model->weights; }
uint64_t           enx_model_memory_bytes(const enx_model *model) { return model->memory_bytes; }
