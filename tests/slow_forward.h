/* SPDX-License-Identifier: Apache-2.0 */
/* slow_forward.h - the transformer again, slow and obvious: one sequence, plain loops, doubles,
 * weights read from the file by name.
 *
 * It rounds where the fast one stores less than a double: keys and values to f16, and with weights
 * in blocks the input of each product to int8 in blocks of as many; nowhere when is_exact is set.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_SLOW_FORWARD_H
#define ENX_TESTS_SLOW_FORWARD_H

#include "base/mem.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"
#include "model/convert.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct slow_forward {
    const enx_gguf    *gguf;
    const enx_hparams *h;
    double            *keys, *values; /* [layer][position][kv width] */
    uint32_t           position;
    bool               is_exact; /* set after slow_open */
} slow_forward;

static inline float *slow_tensor(const slow_forward *s, int layer, const char *part,
                                 enx_tensor_type *type)
{
    char        name[96];
    enx_kernels k;
    const char *kind = strstr(part, ".bias") ? "" : ".weight";
    if (layer >= 0) snprintf(name, sizeof name, "blk.%d.%s%s", layer, part, kind);
    else snprintf(name, sizeof name, "%s%s", part, kind);
    const enx_gguf_tensor *t = enx_gguf_tensor_find(s->gguf, name);
    if (!t) return NULL;
    const size_t n = (size_t)(t->dims[0] * t->dims[1] * t->dims[2]);
    float       *out = ENX_MEM_NEW(float, n);
    enx_kernels_init(&k, ENX_CPU_SCALAR);
    enx_tensor_to_f32(&k, t->type, out, t->data, n);
    *type = t->type;
    return out;
}

static inline bool slow_is_arch(const slow_forward *s, const char *name)
{
    return strcmp(s->h->arch->name, name) == 0;
}

static inline bool slow_is_gemma(const slow_forward *s)
{
    return slow_is_arch(s, "gemma2") || slow_is_arch(s, "gemma3");
}

/* Gemma 2, gpt-oss: every other layer, from the first; Gemma 3: five of six; Phi 3: all. */
static inline bool slow_has_window(const slow_forward *s, int layer)
{
    if (slow_is_arch(s, "gemma2") || slow_is_arch(s, "gpt-oss")) return layer % 2 == 0;
    if (slow_is_arch(s, "gemma3")) return layer % 6 < 5;
    return slow_is_arch(s, "phi3");
}

/* Gemma 2 bends scores ("attn") and logits ("final"). */
static inline double slow_cap(const slow_forward *s, const char *which, double x)
{
    char       key[96];
    double     cap = 0;
    enx_report report = { 0 };
    snprintf(key, sizeof key, "gemma2.%s_logit_softcapping", which);
    return enx_gguf_read_f64(s->gguf, key, &cap, &report) == ENX_OK ? cap * tanh(x / cap) : NAN;
}

/* The tensor that holds a matrix; *first: the matrix's first row in it. */
static inline const char *slow_holder(const slow_forward *s, const char *part, size_t *first)
{
    const size_t d = s->h->head_width, q = s->h->head_count * d, kv = s->h->kv_head_count * d;
    *first = 0;
    if (!slow_is_arch(s, "phi3")) return part;
    if (strcmp(part, "attn_k") == 0) *first = q;
    if (strcmp(part, "attn_v") == 0) *first = q + kv;
    if (strcmp(part, "ffn_up") == 0) *first = s->h->ffn_width;
    if (strncmp(part, "ffn_", 4) == 0) return strcmp(part, "ffn_gate") == 0 ? "ffn_up" : part;
    const bool is_qkv = strncmp(part, "attn_", 5) == 0 && strcmp(part, "attn_output") != 0;
    return is_qkv ? "attn_qkv" : part;
}

/* Matrix number `index` of those that lie one after the other under that name. */
static inline void slow_multiply_nth(const slow_forward *s, int layer, const char *part,
                                     size_t index, double *out, const double *x, size_t rows,
                                     size_t cols)
{
    enx_tensor_type type;
    size_t          first;
    const char     *holder = slow_holder(s, part, &first);
    first += index * rows;
    float          *w = slow_tensor(s, layer, holder, &type);
    double         *in = ENX_MEM_NEW(double, cols);
    const enx_quant quant = enx_quant_of(type);
    const bool      is_rounded = quant != ENX_QUANT_COUNT && !s->is_exact;
    const size_t    block = enx_quant_is_large(quant) ? 256 : 32;
    for (size_t b = 0; b < cols; b += block) {
        double most = 0;
        for (size_t i = b; i < cols && i < b + block; i++) most = fmax(most, fabs(x[i]));
        for (size_t i = b; i < cols && i < b + block; i++)
            in[i] = is_rounded && most > 0 ? nearbyint(x[i] * 127 / most) * most / 127 : x[i];
    }
    for (size_t r = 0; r < rows; r++) {
        out[r] = 0;
        for (size_t c = 0; c < cols; c++) out[r] += (double)w[(first + r) * cols + c] * in[c];
    }
    enx_mem_free(in);
    enx_mem_free(w);
}

static inline void slow_multiply(const slow_forward *s, int layer, const char *part, double *out,
                                 const double *x, size_t rows, size_t cols)
{
    slow_multiply_nth(s, layer, part, 0, out, x, rows, cols);
}

static inline void slow_norm(const slow_forward *s, int layer, const char *part, double *out,
                             const double *x, size_t n)
{
    enx_tensor_type type;
    float          *gain = slow_tensor(s, layer, part, &type);
    double          sum = 0;
    if (!gain) return;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    const double scale = 1 / sqrt(sum / (double)n + (double)s->h->rms_epsilon);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * (double)gain[i];
    enx_mem_free(gain);
}

/* Row `index` of a tensor of biases, if the file has it. */
static inline void slow_add_bias_nth(const slow_forward *s, int layer, const char *part,
                                     size_t index, double *x, size_t n)
{
    enx_tensor_type type;
    float          *bias = slow_tensor(s, layer, part, &type);
    for (size_t i = 0; bias && i < n; i++) x[i] += (double)bias[index * n + i];
    enx_mem_free(bias);
}

static inline void slow_add_bias(const slow_forward *s, int layer, const char *part, double *x,
                                 size_t n)
{
    slow_add_bias_nth(s, layer, part, 0, x, n);
}

/* The angle of pair i at a position, and the factor of its length. */
static inline double slow_angle(const slow_forward *s, int layer, size_t i, double *length)
{
    if (slow_is_arch(s, "gemma3") && slow_has_window(s, layer)) {
        *length = 1;
        return s->position * pow(10000, -2.0 * (double)i / s->h->rope_width);
    }
    const enx_rope_scaling *r = &s->h->rope_scaling;
    const double            d = s->h->rope_width, factor = (double)r->factor;
    const double            pace = pow((double)s->h->rope_base, -2.0 * (double)i / d);
    *length = r->is_yarn ? 1 + log(factor) / 10 : 1;
    if (!r->is_yarn) return s->position * pace / factor;
    double edges[2]; /* pairs of 32 turns and of one */
    for (int e = 0; e < 2; e++)
        edges[e] = d / 2 * log(r->original_tokens / (e ? 1.0 : 32.0) / (2 * acos(-1))) /
                   log((double)s->h->rope_base);
    const double low = fmax(floor(edges[0]), 0), high = fmin(ceil(edges[1]), d - 1);
    const double stretched = fmin(fmax(((double)i - low) / fmax(high - low, 0.001), 0), 1);
    return s->position * (pace * (1 - stretched) + pace / factor * stretched);
}

static inline void slow_rotate(const slow_forward *s, int layer, double *x)
{
    const size_t    half = s->h->rope_width / 2;
    enx_tensor_type type;
    if (slow_is_arch(s, "smollm3") && layer % 4 == 3) return;
    const bool  is_long = s->h->context_tokens > s->h->rope_scaling.original_tokens;
    const char *which = !slow_is_arch(s, "phi3") ? "rope_freqs"
                        : is_long                ? "rope_factors_long"
                                                 : "rope_factors_short";
    float      *factors = slow_tensor(s, -1, which, &type);
    for (size_t i = 0; i < half; i++) {
        double       length;
        const bool   is_split = !slow_is_arch(s, "llama") && !slow_is_arch(s, "smollm3");
        const size_t p = is_split ? i : 2 * i, q = is_split ? half + i : 2 * i + 1;
        const double angle = slow_angle(s, layer, i, &length) / (factors ? (double)factors[i] : 1);
        const double a = x[p] * length, b = x[q] * length;
        x[p] = a * cos(angle) - b * sin(angle);
        x[q] = a * sin(angle) + b * cos(angle);
    }
    enx_mem_free(factors);
}

static inline void slow_attention(slow_forward *s, int layer, double *out, const double *h)
{
    const size_t    d = s->h->head_width, width = s->h->width;
    const size_t    q_width = s->h->head_count * d, kv_width = s->h->kv_head_count * d;
    const size_t    start = (size_t)layer * s->h->context_tokens;
    double         *q = ENX_MEM_NEW(double, q_width), *a = ENX_MEM_NEW(double, q_width);
    double         *scores = ENX_MEM_NEW(double, s->position + 1);
    double         *k = s->keys + (start + s->position) * kv_width;
    double         *v = s->values + (start + s->position) * kv_width;
    enx_tensor_type type;
    float          *sinks = slow_tensor(s, layer, "attn_sinks", &type);
    slow_multiply(s, layer, "attn_q", q, h, q_width, width);
    slow_multiply(s, layer, "attn_k", k, h, kv_width, width);
    slow_multiply(s, layer, "attn_v", v, h, kv_width, width);
    slow_add_bias(s, layer, "attn_q.bias", q, q_width);
    slow_add_bias(s, layer, "attn_k.bias", k, kv_width);
    slow_add_bias(s, layer, "attn_v.bias", v, kv_width);
    for (size_t i = 0; i < s->h->head_count; i++) {
        slow_norm(s, layer, "attn_q_norm", q + i * d, q + i * d, d);
        slow_rotate(s, layer, q + i * d);
    }
    for (size_t i = 0; i < s->h->kv_head_count; i++) {
        slow_norm(s, layer, "attn_k_norm", k + i * d, k + i * d, d);
        slow_rotate(s, layer, k + i * d);
    }
    for (size_t i = 0; i < kv_width && !s->is_exact; i++) {
        k[i] = (double)enx_f32_of_f16(enx_f16_of_f32((float)k[i]));
        v[i] = (double)enx_f32_of_f16(enx_f16_of_f32((float)v[i]));
    }
    for (size_t i = 0; i < s->h->head_count; i++) {
        const size_t shared = i / (s->h->head_count / s->h->kv_head_count) * d;
        double       sum = 0;
        size_t       from = 0;
        while (slow_has_window(s, layer) && s->position - from >= s->h->window_tokens) from++;
        for (size_t p = from; p <= s->position; p++) {
            scores[p] = 0;
            for (size_t j = 0; j < d; j++)
                scores[p] += q[i * d + j] * s->keys[(start + p) * kv_width + shared + j];
            scores[p] /= sqrt((double)d);
            if (slow_is_arch(s, "gemma2")) scores[p] = slow_cap(s, "attn", scores[p]);
            scores[p] = exp(scores[p]);
            sum += scores[p];
        }
        sum += sinks ? exp((double)sinks[i]) : 0;
        for (size_t p = from; p <= s->position; p++)
            for (size_t j = 0; j < d; j++)
                a[i * d + j] += scores[p] / sum * s->values[(start + p) * kv_width + shared + j];
    }
    slow_multiply(s, layer, "attn_output", out, a, width, q_width);
    slow_add_bias(s, layer, "attn_output.bias", out, width);
    enx_mem_free(sinks);
    enx_mem_free(q);
    enx_mem_free(a);
    enx_mem_free(scores);
}

static inline double slow_gate(const slow_forward *s, double x, double up)
{
    if (slow_is_gemma(s))
        return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * pow(x, 3)))) * up;
    if (!slow_is_arch(s, "gpt-oss")) return x / (1 + exp(-x)) * up;
    x = fmin(x, 7);
    return x / (1 + exp(-1.702 * x)) * (1 + fmax(-7, fmin(up, 7)));
}

/* parts: gate, up, down, and their biases; `index`: which expert. */
static inline void slow_ffn_of(const slow_forward *s, int layer, const char *const parts[6],
                               size_t index, double *out, const double *h)
{
    const size_t f = s->h->ffn_width, width = s->h->width;
    double      *gate = ENX_MEM_NEW(double, f), *up = ENX_MEM_NEW(double, f);
    slow_multiply_nth(s, layer, parts[0], index, gate, h, f, width);
    slow_multiply_nth(s, layer, parts[1], index, up, h, f, width);
    slow_add_bias_nth(s, layer, parts[3], index, gate, f);
    slow_add_bias_nth(s, layer, parts[4], index, up, f);
    for (size_t i = 0; i < f; i++) gate[i] = slow_gate(s, gate[i], up[i]);
    slow_multiply_nth(s, layer, parts[2], index, out, gate, width, f);
    slow_add_bias_nth(s, layer, parts[5], index, out, width);
    enx_mem_free(gate);
    enx_mem_free(up);
}

/* The experts that the router likes best, each by its part of exp(liking). */
static inline void slow_experts(const slow_forward *s, int layer, double *out, const double *h)
{
    static const char *const parts[] = { "ffn_gate_exps",    "ffn_up_exps",
                                         "ffn_down_exps",    "ffn_gate_exps.bias",
                                         "ffn_up_exps.bias", "ffn_down_exps.bias" };
    const size_t             n = s->h->expert_count, width = s->h->width;
    double *likes = ENX_MEM_NEW(double, n), *one = ENX_MEM_NEW(double, width), sum = 0;
    slow_multiply(s, layer, "ffn_gate_inp", likes, h, n, width);
    slow_add_bias(s, layer, "ffn_gate_inp.bias", likes, n);
    for (size_t j = 0; j < width; j++) out[j] = 0;
    for (uint32_t i = 0; i < s->h->expert_used_count; i++) {
        size_t best = 0;
        for (size_t e = 1; e < n; e++)
            if (likes[e] > likes[best]) best = e;
        const double share = exp(likes[best]);
        slow_ffn_of(s, layer, parts, best, one, h);
        for (size_t j = 0; j < width; j++) out[j] += share * one[j];
        sum += share;
        likes[best] = -INFINITY;
    }
    for (size_t j = 0; j < width; j++) out[j] /= sum;
    enx_mem_free(likes);
    enx_mem_free(one);
}

static inline void slow_ffn(const slow_forward *s, int layer, double *out, const double *h)
{
    static const char *const parts[] = { "ffn_gate", "ffn_up", "ffn_down", "-", "-", "-" };
    if (s->h->expert_count) slow_experts(s, layer, out, h);
    else slow_ffn_of(s, layer, parts, 0, out, h);
}

/* Append a token; logits [vocab]. */
static inline void slow_step(slow_forward *s, uint32_t token, double *logits)
{
    const size_t    width = s->h->width;
    enx_tensor_type type;
    double         *x = ENX_MEM_NEW(double, width), *h = ENX_MEM_NEW(double, width);
    double         *more = ENX_MEM_NEW(double, width);
    float          *embed = slow_tensor(s, -1, "token_embd", &type);
    for (size_t i = 0; i < width; i++) x[i] = (double)embed[token * width + i];
    for (size_t i = 0; slow_is_gemma(s) && i < width; i++) x[i] *= sqrt((double)width);
    for (uint32_t layer = 0; layer < s->h->layer_count; layer++) {
        slow_norm(s, (int)layer, "attn_norm", h, x, width);
        slow_attention(s, (int)layer, more, h);
        const bool is_late = slow_is_arch(s, "gpt-oss");
        if (!is_late) slow_norm(s, (int)layer, "post_attention_norm", more, more, width);
        for (size_t i = 0; i < width; i++) x[i] += more[i];
        slow_norm(s, (int)layer, is_late ? "post_attention_norm" : "ffn_norm", h, x, width);
        slow_ffn(s, (int)layer, more, h);
        slow_norm(s, (int)layer, "post_ffw_norm", more, more, width);
        for (size_t i = 0; i < width; i++) x[i] += more[i];
    }
    slow_norm(s, -1, "output_norm", h, x, width);
    slow_multiply(s, -1, s->h->is_head_tied ? "token_embd" : "output", logits, h, s->h->vocab_count,
                  width);
    for (uint32_t i = 0; slow_is_arch(s, "gemma2") && i < s->h->vocab_count; i++)
        logits[i] = slow_cap(s, "final", logits[i]);
    s->position++;
    enx_mem_free(embed);
    enx_mem_free(x);
    enx_mem_free(h);
    enx_mem_free(more);
}

static inline void slow_open(slow_forward *s, const enx_gguf *gguf, const enx_hparams *h)
{
    const size_t n = (size_t)h->layer_count * h->context_tokens * h->kv_head_count * h->head_width;
    *s = (slow_forward){ .gguf = gguf, .h = h };
    s->keys = ENX_MEM_NEW(double, n);
    s->values = ENX_MEM_NEW(double, n);
}

static inline void slow_close(slow_forward *s)
{
    enx_mem_free(s->keys);
    enx_mem_free(s->values);
}

#endif /* ENX_TESTS_SLOW_FORWARD_H */
