/* SPDX-License-Identifier: Apache-2.0 */
/* pass.c - one batch forward and backward through the layers.
 *
 * Shapes: n tokens, c width, f feed-forward width, v vocabulary; matrices [rows][columns].
 * What the backward pass needs of each layer is kept in `kept`; everything else is scratch.
 * The story is told twice, down (forward) and up (backward), with the same steps in each:
 * norm, qkv, head norm and rotation, attention, projection, norm, gate and up, product, down.
 */
#include "train/net.h"

#include "base/check.h"
#include "base/mem.h"
#include "train/operands.h"

#include <math.h>
#include <string.h>

static const float z_loss_weight = 1e-4f;

typedef struct kept_layer {
    float *x, *x_mid;            /* [n][c] before attention, before feed-forward */
    float *qkv, *q, *k;          /* [n][3c] raw; [n][c] normed and rotated */
    float *gate_up;              /* [n][2f] */
    float *rstd_attn, *rstd_ffn; /* [n] */
    float *rstd_q, *rstd_k;      /* [n][heads] */
    void  *h, *att, *h_mid, *s;  /* packed operands [n][c], [n][c], [n][c], [n][f] */
} kept_layer;

struct enx_shard {
    enx_net_layout          layout;
    const enx_grad_kernels *grad;
    enx_gemm               *gemm;
    enx_batch               batch;
    float                  *gradients;
    kept_layer              kept[ENX_NET_LAYERS_MAX];
    float                  *x_out, *y, *rstd_out; /* after the last layer; normed */
    float                  *dx, *dy, *wide;       /* [n][c], [n][c], [n][2f or 3c] */
    float                  *dq, *dk;              /* [n][c] */
    float                  *logits, *head_dy; /* [ENX_NET_HEAD_ROWS][v], [ENX_NET_HEAD_ROWS][c] */
    float                  *attention_scratch, *cosines, *sines;
    void                   *pack_a, *pack_b;
    void                   *memory;
};

/* ---- Memory: one block, measured by a first walk and cut by a second ------------------- */

typedef struct cutter {
    char  *base; /* NULL while measuring */
    size_t used_bytes;
} cutter;

static void *cut(cutter *c, size_t count, size_t size_bytes)
{
    void *at = c->base ? c->base + c->used_bytes : NULL;
    c->used_bytes += (count * size_bytes + 63) & ~(size_t)63;
    return at;
}

static float *cut_floats(cutter *c, size_t count) { return cut(c, count, sizeof(float)); }

static void cut_layer(kept_layer *kept, cutter *m, size_t n, size_t c, size_t f, size_t heads)
{
    kept->x = cut_floats(m, n * c);
    kept->x_mid = cut_floats(m, n * c);
    kept->qkv = cut_floats(m, n * 3 * c);
    kept->q = cut_floats(m, n * c);
    kept->k = cut_floats(m, n * c);
    kept->gate_up = cut_floats(m, n * 2 * f);
    kept->rstd_attn = cut_floats(m, n);
    kept->rstd_ffn = cut_floats(m, n);
    kept->rstd_q = cut_floats(m, n * heads);
    kept->rstd_k = cut_floats(m, n * heads);
    kept->h = cut(m, 1, enx_gemm_packed_bytes(n * c));
    kept->att = cut(m, 1, enx_gemm_packed_bytes(n * c));
    kept->h_mid = cut(m, 1, enx_gemm_packed_bytes(n * c));
    kept->s = cut(m, 1, enx_gemm_packed_bytes(n * f));
}

static void cut_shard(enx_shard *s, cutter *m)
{
    const enx_net_sizes *z = &s->layout.sizes;
    const size_t         n = s->batch.token_count, c = z->width, f = z->ffn, v = z->vocab;
    const size_t         widest = 2 * f > 3 * c ? 2 * f : 3 * c, half = z->head_width / 2;
    for (uint32_t i = 0; i < z->layers; i++) cut_layer(&s->kept[i], m, n, c, f, c / z->head_width);
    s->batch.tokens = cut(m, n, sizeof(uint32_t));
    s->batch.targets = cut(m, n, sizeof(uint32_t));
    s->batch.positions = cut(m, n, sizeof(uint32_t));
    s->batch.segment_ends = cut(m, n, sizeof(uint32_t));
    s->gradients = cut_floats(m, s->layout.count);
    s->x_out = cut_floats(m, n * c);
    s->y = cut_floats(m, n * c);
    s->rstd_out = cut_floats(m, n);
    s->dx = cut_floats(m, n * c);
    s->dy = cut_floats(m, n * c);
    s->dq = cut_floats(m, n * c);
    s->dk = cut_floats(m, n * c);
    s->wide = cut_floats(m, n * widest);
    s->logits = cut_floats(m, ENX_NET_HEAD_ROWS * v);
    s->head_dy = cut_floats(m, ENX_NET_HEAD_ROWS * c);
    s->attention_scratch =
        cut_floats(m, enx_attention_scratch_floats(ENX_GRAD_SEGMENT_MAX, z->head_width));
    s->cosines = cut_floats(m, ENX_GRAD_SEGMENT_MAX * half);
    s->sines = cut_floats(m, ENX_GRAD_SEGMENT_MAX * half);
    const size_t packed = n * widest > ENX_NET_HEAD_ROWS * v ? n * widest : ENX_NET_HEAD_ROWS * v;
    s->pack_a = cut(m, 1, enx_gemm_packed_bytes(packed));
    s->pack_b = cut(m, 1, enx_gemm_packed_bytes(ENX_NET_HEAD_ROWS * c));
}

static void fill_angles(enx_shard *s)
{
    const size_t half = s->layout.sizes.head_width / 2;
    for (size_t t = 0; t < ENX_GRAD_SEGMENT_MAX; t++)
        for (size_t i = 0; i < half; i++) {
            const double angle = (double)t * pow(enx_net_rope_base, -(double)i / (double)half);
            s->cosines[t * half + i] = (float)cos(angle);
            s->sines[t * half + i] = (float)sin(angle);
        }
}

enx_status enx_shard_open(enx_shard **out, const enx_net_layout *layout, uint32_t token_count,
                          bool is_bf16, const enx_grad_kernels *grad, enx_report *report)
{
    ENX_CHECK(token_count > 0 && token_count % 64 == 0);
    enx_shard *s = ENX_MEM_NEW(enx_shard, 1);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for a training shard");
    s->layout = *layout;
    s->grad = grad;
    s->batch.token_count = token_count;
    cutter m = { 0 };
    cut_shard(s, &m);
    const size_t need_bytes = m.used_bytes;
    s->memory = enx_mem_new(1, need_bytes);
    enx_status status = s->memory ? enx_gemm_open(&s->gemm, is_bf16, grad, report)
                                  : ENX_FAIL(report, NOMEM,
                                             "a training shard of %u tokens needs %zu MB; lower "
                                             "shard_tokens",
                                             token_count, need_bytes >> 20);
    if (status != ENX_OK) {
        enx_shard_close(&s);
        return status;
    }
    m = (cutter){ .base = s->memory };
    cut_shard(s, &m);
    fill_angles(s);
    *out = s;
    return ENX_OK;
}

void enx_shard_close(enx_shard **shard)
{
    if (!*shard) return;
    enx_gemm_close(&(*shard)->gemm);
    enx_mem_free((*shard)->memory);
    enx_mem_free(*shard);
    *shard = NULL;
}

enx_batch *enx_shard_batch(enx_shard *shard) { return &shard->batch; }

float *enx_shard_gradients(enx_shard *shard) { return shard->gradients; }

/* ---- Products of this net ---------------------------------------------------------------- */

/* What one pass works with. */
typedef struct pass {
    enx_shard          *s;
    const float        *params;
    const enx_operands *operands;
    size_t              n, c, f, heads, d;
    enx_report         *report;
} pass;

/* out [rows][wide] = or += x [rows][inner] W^T, W [wide][inner] at `weight`. */
static enx_status apply(pass *p, float *out, const void *x, size_t weight, size_t rows, size_t wide,
                        size_t inner, bool is_added)
{
    const enx_product product = enx_net_forward_product(rows, wide, inner, is_added);
    return enx_gemm_run(p->s->gemm, &product, out, x, enx_operands_forward(p->operands, weight),
                        p->report);
}

/* dx [rows][inner] = dy [rows][wide] W;  dW [wide][inner] += dy^T x. */
static enx_status apply_back(pass *p, float *dx, const void *dy, const void *x, size_t weight,
                             size_t rows, size_t wide, size_t inner)
{
    const enx_product to_input = enx_net_backward_product(rows, wide, inner);
    const enx_product to_weight = { wide, inner, rows, true, false, true, false };
    ENX_TRY(enx_gemm_run(p->s->gemm, &to_input, dx, dy, enx_operands_backward(p->operands, weight),
                         p->report));
    return enx_gemm_run(p->s->gemm, &to_weight, p->s->gradients + weight, dy, x, p->report);
}

/* Every segment and head in turn. */
static void attend(pass *p, const kept_layer *kept, float *out)
{
    const enx_batch *b = &p->s->batch;
    for (uint32_t i = 0, first = 0; i < b->segment_count; first = b->segment_ends[i++])
        for (size_t head = 0; head < p->heads; head++) {
            const size_t at = first * p->c + head * p->d;
            p->s->grad->attention(out + at, kept->q + at, kept->k + at,
                                  kept->qkv + first * 3 * p->c + 2 * p->c + head * p->d, p->c,
                                  3 * p->c, b->segment_ends[i] - first, p->d,
                                  p->s->attention_scratch);
        }
}

static void attend_back(pass *p, const kept_layer *kept, float *dqkv, const float *dout)
{
    enx_shard       *s = p->s;
    const enx_batch *b = &s->batch;
    for (uint32_t i = 0, first = 0; i < b->segment_count; first = b->segment_ends[i++])
        for (size_t head = 0; head < p->heads; head++) {
            const size_t at = first * p->c + head * p->d;
            const size_t v_at = first * 3 * p->c + 2 * p->c + head * p->d;
            s->grad->attention_back(s->dq + at, s->dk + at, dqkv + v_at, dout + at, kept->q + at,
                                    kept->k + at, kept->qkv + v_at, p->c, 3 * p->c,
                                    b->segment_ends[i] - first, p->d, s->attention_scratch);
        }
}

/* ---- Down ----------------------------------------------------------------------------------- */

static enx_status layer_forward(pass *p, uint32_t index, float *x_next)
{
    enx_shard              *s = p->s;
    kept_layer             *kept = &s->kept[index];
    const enx_net_layer_at *at = &s->layout.layers[index];
    const enx_grad_kernels *g = s->grad;
    const size_t            n = p->n, c = p->c, f = p->f;

    float *y = enx_gemm_floats(s->gemm, kept->h, s->y);
    g->rmsnorm(y, kept->rstd_attn, kept->x, p->params + at->attn_norm, n, c, enx_net_rms_epsilon);
    enx_gemm_keep(s->gemm, kept->h, y, n * c);
    ENX_TRY(apply(p, kept->qkv, kept->h, at->qkv, n, 3 * c, c, false));
    g->head_rope(kept->q, kept->rstd_q, kept->qkv, 3 * c, p->params + at->q_norm,
                 s->batch.positions, s->cosines, s->sines, n, p->heads, p->d, enx_net_rms_epsilon);
    g->head_rope(kept->k, kept->rstd_k, kept->qkv + c, 3 * c, p->params + at->k_norm,
                 s->batch.positions, s->cosines, s->sines, n, p->heads, p->d, enx_net_rms_epsilon);
    y = enx_gemm_floats(s->gemm, kept->att, s->y);
    attend(p, kept, y);
    enx_gemm_keep(s->gemm, kept->att, y, n * c);
    memcpy(kept->x_mid, kept->x, n * c * sizeof *kept->x);
    ENX_TRY(apply(p, kept->x_mid, kept->att, at->attn_out, n, c, c, true));

    y = enx_gemm_floats(s->gemm, kept->h_mid, s->y);
    g->rmsnorm(y, kept->rstd_ffn, kept->x_mid, p->params + at->ffn_norm, n, c, enx_net_rms_epsilon);
    enx_gemm_keep(s->gemm, kept->h_mid, y, n * c);
    ENX_TRY(apply(p, kept->gate_up, kept->h_mid, at->gate_up, n, 2 * f, c, false));
    y = enx_gemm_floats(s->gemm, kept->s, s->wide);
    g->silu_mul(y, kept->gate_up, n, f);
    enx_gemm_keep(s->gemm, kept->s, y, n * f);
    memcpy(x_next, kept->x_mid, n * c * sizeof *x_next);
    return apply(p, x_next, kept->s, at->down, n, c, f, true);
}

static enx_status forward(pass *p)
{
    enx_shard   *s = p->s;
    const size_t c = p->c;
    for (size_t t = 0; t < p->n; t++)
        memcpy(s->kept[0].x + t * c, p->params + s->layout.embed + s->batch.tokens[t] * c,
               c * sizeof(float));
    const uint32_t layers = s->layout.sizes.layers;
    for (uint32_t i = 0; i < layers; i++)
        ENX_TRY(layer_forward(p, i, i + 1 < layers ? s->kept[i + 1].x : s->x_out));
    s->grad->rmsnorm(s->y, s->rstd_out, s->x_out, p->params + s->layout.out_norm, p->n, c,
                     enx_net_rms_epsilon);
    return ENX_OK;
}

/* ---- The head: logits only where there is a target, ENX_NET_HEAD_ROWS at a time
 * ---------------------- */

/* rows[0..count) are tokens with targets; adds their losses, and leaves dy in their rows of s->dy.
 */
static enx_status head_chunk(pass *p, const uint32_t *rows, size_t count, bool is_backward,
                             float scale, double *loss_sum)
{
    enx_shard   *s = p->s;
    const size_t c = p->c, v = s->layout.sizes.vocab, embed = s->layout.embed;
    float       *y = enx_gemm_floats(s->gemm, s->pack_b, s->head_dy);
    for (size_t i = 0; i < count; i++) memcpy(y + i * c, s->y + rows[i] * c, c * sizeof(float));
    memset(y + count * c, 0, (ENX_NET_HEAD_ROWS - count) * c * sizeof(float));
    enx_gemm_keep(s->gemm, s->pack_b, y, ENX_NET_HEAD_ROWS * c);
    ENX_TRY(apply(p, s->logits, s->pack_b, embed, ENX_NET_HEAD_ROWS, v, c, false));
    for (size_t i = 0; i < count; i++)
        *loss_sum += (double)s->grad->cross_entropy(s->logits + i * v, v, s->batch.targets[rows[i]],
                                                    scale, z_loss_weight);
    if (!is_backward) return ENX_OK;
    memset(s->logits + count * v, 0, (ENX_NET_HEAD_ROWS - count) * v * sizeof(float));
    const void *dlogits = enx_gemm_operand(s->gemm, s->pack_a, s->logits, ENX_NET_HEAD_ROWS * v);
    ENX_TRY(apply_back(p, s->head_dy, dlogits, s->pack_b, embed, ENX_NET_HEAD_ROWS, v, c));
    for (size_t i = 0; i < count; i++)
        memcpy(s->dy + rows[i] * c, s->head_dy + i * c, c * sizeof(float));
    return ENX_OK;
}

static enx_status head(pass *p, bool is_backward, float scale, double *loss_sum)
{
    enx_shard *s = p->s;
    uint32_t   rows[ENX_NET_HEAD_ROWS];
    size_t     count = 0;
    memset(s->dy, 0, p->n * p->c * sizeof(float));
    for (uint32_t t = 0; t < p->n; t++) {
        if (s->batch.targets[t] != ENX_TARGET_NONE) rows[count++] = t;
        if (count < ENX_NET_HEAD_ROWS && t + 1 < p->n) continue;
        if (count > 0) ENX_TRY(head_chunk(p, rows, count, is_backward, scale, loss_sum));
        count = 0;
    }
    return ENX_OK;
}

/* ---- Up ----------------------------------------------------------------------------------- */

static enx_status feed_forward_back(pass *p, uint32_t index)
{
    enx_shard              *s = p->s;
    kept_layer             *kept = &s->kept[index];
    const enx_net_layer_at *at = &s->layout.layers[index];
    const size_t            n = p->n, c = p->c, f = p->f;
    const void             *dy = enx_gemm_operand(s->gemm, s->pack_a, s->dx, n * c);
    ENX_TRY(apply_back(p, s->wide, dy, kept->s, at->down, n, c, f));
    /* gate_up is not needed after this: its gradient may take its place. */
    s->grad->silu_mul_back(kept->gate_up, s->wide, kept->gate_up, n, f);
    dy = enx_gemm_operand(s->gemm, s->pack_a, kept->gate_up, n * 2 * f);
    ENX_TRY(apply_back(p, s->dy, dy, kept->h_mid, at->gate_up, n, 2 * f, c));
    s->grad->rmsnorm_back(s->dx, s->gradients + at->ffn_norm, s->dy, kept->x_mid,
                          p->params + at->ffn_norm, kept->rstd_ffn, n, c);
    return ENX_OK;
}

static enx_status attention_layer_back(pass *p, uint32_t index)
{
    enx_shard              *s = p->s;
    kept_layer             *kept = &s->kept[index];
    const enx_net_layer_at *at = &s->layout.layers[index];
    const size_t            n = p->n, c = p->c;
    const void             *dy = enx_gemm_operand(s->gemm, s->pack_a, s->dx, n * c);
    ENX_TRY(apply_back(p, s->dy, dy, kept->att, at->attn_out, n, c, c));
    attend_back(p, kept, s->wide, s->dy);
    s->grad->head_rope_back(s->wide, s->gradients + at->q_norm, s->dq, kept->qkv, 3 * c,
                            p->params + at->q_norm, kept->rstd_q, s->batch.positions, s->cosines,
                            s->sines, n, p->heads, p->d);
    s->grad->head_rope_back(s->wide + c, s->gradients + at->k_norm, s->dk, kept->qkv + c, 3 * c,
                            p->params + at->k_norm, kept->rstd_k, s->batch.positions, s->cosines,
                            s->sines, n, p->heads, p->d);
    dy = enx_gemm_operand(s->gemm, s->pack_a, s->wide, n * 3 * c);
    ENX_TRY(apply_back(p, s->dy, dy, kept->h, at->qkv, n, 3 * c, c));
    s->grad->rmsnorm_back(s->dx, s->gradients + at->attn_norm, s->dy, kept->x,
                          p->params + at->attn_norm, kept->rstd_attn, n, c);
    return ENX_OK;
}

static enx_status backward(pass *p)
{
    enx_shard   *s = p->s;
    const size_t c = p->c;
    memset(s->dx, 0, p->n * c * sizeof(float));
    s->grad->rmsnorm_back(s->dx, s->gradients + s->layout.out_norm, s->dy, s->x_out,
                          p->params + s->layout.out_norm, s->rstd_out, p->n, c);
    for (uint32_t i = s->layout.sizes.layers; i-- > 0;) {
        ENX_TRY(feed_forward_back(p, i));
        ENX_TRY(attention_layer_back(p, i));
    }
    for (size_t t = 0; t < p->n; t++) {
        float *row = s->gradients + s->layout.embed + s->batch.tokens[t] * c;
        for (size_t i = 0; i < c; i++) row[i] += s->dx[t * c + i];
    }
    return ENX_OK;
}

enx_status enx_shard_run(enx_shard *shard, const float *params, const enx_operands *operands,
                         bool is_backward, float scale, double *loss_sum, enx_report *report)
{
    const enx_net_sizes *z = &shard->layout.sizes;
    pass                 p = { .s = shard,
                               .params = params,
                               .operands = operands,
                               .n = shard->batch.token_count,
                               .c = z->width,
                               .f = z->ffn,
                               .heads = z->width / z->head_width,
                               .d = z->head_width,
                               .report = report };
    double               sum = 0;
    ENX_TRY(forward(&p));
    ENX_TRY(head(&p, is_backward, scale, &sum));
    if (is_backward) ENX_TRY(backward(&p));
    *loss_sum = sum;
    return ENX_OK;
}
