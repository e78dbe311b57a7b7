/* SPDX-License-Identifier: Apache-2.0 */
/* net.c - where parameters live, and how they start. */
#include "train/net.h"

#include "base/rng.h"

#include <math.h>

const float enx_net_rms_epsilon = 1e-6f;
const float enx_net_rope_base = 10000.0f;

static enx_status check_sizes(const enx_net_sizes *s, enx_report *report)
{
    if (s->layers == 0 || s->layers > ENX_NET_LAYERS_MAX)
        return ENX_FAIL(report, INVALID, "layers: %u is not in 1..%d", s->layers,
                        ENX_NET_LAYERS_MAX);
    if (s->width == 0 || s->width % 16 || s->width > ENX_NET_WIDTH_MAX)
        return ENX_FAIL(report, INVALID, "width: %u is not a multiple of 16 up to %d", s->width,
                        ENX_NET_WIDTH_MAX);
    if (s->ffn == 0 || s->ffn % 32 || s->ffn > 8 * ENX_NET_WIDTH_MAX)
        return ENX_FAIL(report, INVALID, "ffn: %u is not a multiple of 32", s->ffn);
    if (s->vocab < 272 || s->vocab % 16 || s->vocab > ENX_NET_VOCAB_MAX)
        return ENX_FAIL(report, INVALID, "vocab: %u is not a multiple of 16 in 272..%d", s->vocab,
                        ENX_NET_VOCAB_MAX);
    const uint32_t d = s->head_width;
    if ((d != 16 && d != 32 && d != 64 && d != 128) || s->width % d)
        return ENX_FAIL(report, INVALID,
                        "head_width: %u is not 16, 32, 64 or 128 that divides width", d);
    return ENX_OK;
}

enx_status enx_net_layout_init(enx_net_layout *out, const enx_net_sizes *sizes, enx_report *report)
{
    ENX_TRY(check_sizes(sizes, report));
    const size_t c = sizes->width, f = sizes->ffn;
    *out = (enx_net_layout){ .sizes = *sizes, .embed = 0 };
    size_t at = sizes->vocab * c;
    for (uint32_t i = 0; i < sizes->layers; i++) {
        enx_net_layer_at *layer = &out->layers[i];
        const struct {
            size_t *start, floats;
        } parts[] = {
            { &layer->attn_norm, c },
            { &layer->qkv, 3 * c * c },
            { &layer->q_norm, sizes->head_width },
            { &layer->k_norm, sizes->head_width },
            { &layer->attn_out, c * c },
            { &layer->ffn_norm, c },
            { &layer->gate_up, 2 * f * c },
            { &layer->down, c * f },
        };
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            *parts[p].start = at;
            at += parts[p].floats;
        }
    }
    out->out_norm = at;
    out->count = at + c;
    return ENX_OK;
}

static void fill_normal(float *out, size_t n, double deviation, enx_rng *rng)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)(deviation * enx_rng_normal(rng));
}

static void fill_ones(float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = 1.0f;
}

void enx_net_start(const enx_net_layout *layout, float *params, uint64_t seed)
{
    const enx_net_sizes *s = &layout->sizes;
    const size_t         c = s->width, f = s->ffn;
    enx_rng              rng = enx_rng_open(seed, 0);
    const double         residual = 1.0 / sqrt(2.0 * s->layers);
    fill_normal(params + layout->embed, s->vocab * c, 0.02 * sqrt(320.0 / (double)c), &rng);
    for (uint32_t i = 0; i < s->layers; i++) {
        const enx_net_layer_at *at = &layout->layers[i];
        fill_ones(params + at->attn_norm, c);
        fill_ones(params + at->ffn_norm, c);
        fill_ones(params + at->q_norm, s->head_width);
        fill_ones(params + at->k_norm, s->head_width);
        fill_normal(params + at->qkv, 3 * c * c, 1.0 / sqrt((double)c), &rng);
        fill_normal(params + at->attn_out, c * c, residual / sqrt((double)c), &rng);
        fill_normal(params + at->gate_up, 2 * f * c, 1.0 / sqrt((double)c), &rng);
        fill_normal(params + at->down, c * f, residual / sqrt((double)f), &rng);
    }
    fill_ones(params + layout->out_norm, c);
}

enx_product enx_net_forward_product(size_t rows, size_t wide, size_t inner, bool is_added)
{
    return (enx_product){ .m = rows,
                          .n = wide,
                          .k = inner,
                          .b_turned = true,
                          .is_added = is_added,
                          .b_is_blocked = true };
}

enx_product enx_net_backward_product(size_t rows, size_t wide, size_t inner)
{
    return (enx_product){ .m = rows, .n = inner, .k = wide, .b_is_blocked = true };
}

double enx_net_flops_per_token(const enx_net_layout *layout, double mean_segment_tokens)
{
    const enx_net_sizes *s = &layout->sizes;
    return 6.0 * (double)layout->count + 6.0 * s->layers * s->width * mean_segment_tokens;
}
