/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - the transformer, one batch at a time.
 *
 * Read run_layers() first: a layer is a row of phases, and each phase is one function that works on
 * a range of rows or a range of outputs.  Between two phases all threads meet.
 *
 *   x [rows][width]           the residual stream
 *   h [rows][width]           x normed; also the outputs of attention and feed-forward
 *   q [rows][heads * d]       k, v [rows][kv_heads * d]; d is the width of a head
 *   a [rows][heads * d]       what the heads gathered
 *   gate, up [visits][ffn]
 *   acts [visits][blocks]     the input of the next products, quantized
 *
 * Where a feed-forward is made of experts, each row visits the few that its router prefers.  Visits
 * of one expert lie together, in the order of their rows, so that each expert's weights are read
 * once for all its visitors.  Without experts, each row is its own visit.
 *
 * (1) Each output number is summed by one kernel call in an order of its own, so cutting rows or
 *     outputs among threads changes nothing.
 * (2) A row adds up its experts' answers in the order in which its router ranks them.
 * (3) In the last layer only rows that want a hidden state go on after their keys and values are
 *     stored: nobody reads the others.
 */
#include "model/forward.h"

#include "base/check.h"
#include "base/mem.h"
#include "kernels/panels.h"
#include "model/carve.h"
#include "model/convert.h"
#include "model/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { PRODUCTS_MIN = 3, ROW_GROUP = ENX_PANEL_ROWS };

/* Rows of activations quantized in blocks of 32 and of 256, each where some matrix wants it. */
typedef struct acts {
    enx_act_q8 *small;
    enx_act_k  *large;
} acts;

/* out [rows][w.row_count] = x [rows][w.col_count] times w. */
typedef struct product {
    enx_matrix   w;
    const float *x;
    acts         acts; /* x, quantized */
    float       *out;
    uint32_t     rows;
} product;

struct enx_forward {
    enx_forward_options options;
    const enx_hparams  *hparams;
    const enx_weights  *weights;
    enx_kernels         kernels;
    uint32_t            thread_count;
    uint32_t            q_width;
    uint32_t            kv_width;
    size_t              widest;         /* columns of any matrix */
    atomic_bool         is_interrupted; /* somebody asked for it */
    bool                was_interrupted;
    enx_kv             *kv;    /* owned */
    void               *block; /* owned: everything below */
    uint64_t            block_bytes;
    float              *cosines; /* [context][rope_width / 2] */
    float              *sines;
    float              *window_cosines; /* of the layers with a window; may be the same arrays */
    float              *window_sines;
    enx_row            *rows;
    float              *x, *h, *q, *k, *v, *a, *gate, *up;
    acts                acts;
    /* Experts only; see route_rows() and sort_visits(). */
    float              *router;        /* [rows][experts]: how much a row prefers each */
    uint32_t           *chosen;        /* [rows][used]: experts, then the places of the visits */
    float              *shares;        /* [rows][used], add up to 1 */
    uint32_t           *visit_experts; /* [visits] */
    uint32_t           *first_visits;  /* [experts + 1] */
    float              *visit_x;    /* [visits][width]: what experts see, then what they answer */
    acts                visit_acts; /* [visits][blocks of width] */
    acts                head_acts;  /* [ENX_FORWARD_HEAD_ROWS][blocks of width] */
    float              *head_x;     /* [ENX_FORWARD_HEAD_ROWS][width] */

    /* The phase that runs. */
    uint32_t         row_count;
    uint32_t         layer_index; /* layer_count: behind the last */
    enx_profile_work attention;   /* of one layer */
    uint32_t         visit_count;
    const enx_layer *layer;
    product         *products; /* [PRODUCTS_MIN, or a gate and an up for each expert] */
    uint32_t         product_count;
};

/* ---- phases ------------------------------------------------------------ */

typedef void (*phase_fn)(void *user, uint32_t part, uint32_t part_count);

/* `work`: what the profile says that it was. */
static void run_work(enx_forward *f, enx_phase phase, phase_fn fn, enx_profile_work work)
{
    enx_profile   *profile = f->options.profile;
    const uint64_t start_ns = enx_profile_now(profile);
    if (f->thread_count == 1) fn(f, 0, 1);
    else enx_pool_run(f->options.pool, fn, f, f->thread_count);
    enx_profile_add(profile, f->layer_index, phase, start_ns, work);
}

static void run_phase(enx_forward *f, enx_phase phase, phase_fn fn)
{
    run_work(f, phase, fn, (enx_profile_work){ 0 });
}

/* The first item of a part when `count` items are cut into equal parts. */
static uint32_t cut(uint32_t count, uint32_t part, uint32_t part_count)
{
    return (uint32_t)((uint64_t)count * part / part_count);
}

typedef struct span {
    uint32_t first, end;
} span;

/* The rows of a part. */
static span rows_of(const enx_forward *f, uint32_t part, uint32_t part_count)
{
    return (span){ cut(f->row_count, part, part_count), cut(f->row_count, part + 1, part_count) };
}

/* From row `row` on, rows being n numbers wide. */
static acts acts_from(acts all, size_t row, size_t n)
{
    return (acts){ all.small + row * (n / ENX_SMALL_BLOCK), all.large + row * (n / ENX_K_BLOCK) };
}

static bool wants_small(const enx_forward *f, size_t n)
{
    return f->weights->has_acts && n % ENX_SMALL_BLOCK == 0;
}

static bool wants_large(const enx_forward *f, size_t n)
{
    return f->weights->has_acts_k && n % ENX_K_BLOCK == 0;
}

static void quantize_row(enx_forward *f, uint32_t row, const float *x, size_t n)
{
    const acts out = acts_from(f->acts, row, n);
    if (wants_small(f, n)) f->kernels.act_from_f32(out.small, x, n);
    if (wants_large(f, n)) f->kernels.act_k_from_f32(out.large, x, n);
}

static void copy_acts(const enx_forward *f, acts to, acts from, size_t n)
{
    if (wants_small(f, n)) memcpy(to.small, from.small, n / ENX_SMALL_BLOCK * sizeof *to.small);
    if (wants_large(f, n)) memcpy(to.large, from.large, n / ENX_K_BLOCK * sizeof *to.large);
}

static void norm_row(enx_forward *f, uint32_t row, const float *gain)
{
    const size_t width = f->hparams->width;
    float       *h = f->h + row * width;
    f->kernels.rmsnorm(h, f->x + row * width, gain, width, f->hparams->rms_epsilon);
    quantize_row(f, row, h, width);
}

/* x += what attention or feed-forward left in h; `gain`: its norm, or NULL. */
static void add_row(enx_forward *f, uint32_t row, const float *gain)
{
    const size_t width = f->hparams->width;
    float       *h = f->h + row * width;
    if (gain) f->kernels.rmsnorm(h, h, gain, width, f->hparams->rms_epsilon);
    f->kernels.add(f->x + row * width, f->h + row * width, width);
}

/* A row of a matrix that is laid out in panels. */
static void gather_row(const enx_forward *f, float *out, const enx_matrix *w, uint32_t row)
{
    const enx_quant quant = enx_quant_of(w->type);
    const size_t    values = enx_quant_is_large(quant) ? ENX_K_BLOCK : ENX_SMALL_BLOCK;
    uint8_t         block[ENX_QUANT_BYTES_MAX];
    for (size_t b = 0; b < w->col_count / values; b++) {
        enx_panels_block(block, quant, w->data, w->col_count, row, b);
        f->kernels.f32_from_quant[quant](out + b * values, block, values);
    }
}

static void embed_row(enx_forward *f, uint32_t row)
{
    const enx_matrix *embed = &f->weights->embed;
    const size_t      n = embed->col_count;
    const uint32_t    token = f->rows[row].token;
    if (embed->is_panels) gather_row(f, f->x + row * n, embed, token);
    else
        enx_tensor_to_f32(&f->kernels, embed->type, f->x + row * n,
                          embed->data + token * embed->row_bytes, n);
    if (!f->hparams->arch->has_scaled_embedding) return;
    const float scale = sqrtf((float)n);
    for (size_t i = 0; i < n; i++) f->x[row * n + i] *= scale;
}

/* Does the layer that runs see the latest positions only? */
static bool is_window_layer(const enx_forward *f)
{
    const uint32_t period = f->hparams->window_period;
    return f->hparams->arch->has_window && (period == 0 || (f->layer_index + 1) % period != 0);
}

static void enter_layer(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward *f = user;
    const span   rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        if (f->layer_index == 0) embed_row(f, row);
        else add_row(f, row, f->layer[-1].ffn_post_norm);
        norm_row(f, row, f->layer->attn_norm);
    }
}

static void rotate_heads(enx_forward *f, float *heads, uint32_t count, const float *gain,
                         uint32_t position)
{
    const size_t   d = f->hparams->head_width, half = f->hparams->rope_width / 2;
    const bool     is_window = is_window_layer(f);
    const unsigned still = f->hparams->arch->still_period;
    const bool     is_still = still > 0 && (f->layer_index + 1) % still == 0;
    const float   *c = (is_window ? f->window_cosines : f->cosines) + position * half;
    const float   *s = (is_window ? f->window_sines : f->sines) + position * half;
    for (uint32_t i = 0; i < count; i++, heads += d) {
        if (gain) f->kernels.rmsnorm(heads, heads, gain, d, f->hparams->rms_epsilon);
        if (is_still) continue;
        if (f->hparams->arch->has_split_rope) f->kernels.rope_halves(heads, c, s, half);
        else f->kernels.rope_pairs(heads, c, s, half);
    }
}

static void add_biases(const enx_forward *f, float *q, float *k, float *v)
{
    f->kernels.add(q, f->layer->q_bias, f->q_width);
    f->kernels.add(k, f->layer->k_bias, f->kv_width);
    f->kernels.add(v, f->layer->v_bias, f->kv_width);
}

/* Add biases, norm and rotate queries and keys; put keys and values into the cache. */
static void place_rows(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward       *f = user;
    const enx_hparams *hp = f->hparams;
    const span         rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        float *q = f->q + row * (size_t)f->q_width, *k = f->k + row * (size_t)f->kv_width;
        float *v = f->v + row * (size_t)f->kv_width;
        if (hp->arch->has_qkv_bias) add_biases(f, q, k, v);
        rotate_heads(f, q, hp->head_count, f->layer->q_norm, f->rows[row].position);
        rotate_heads(f, k, hp->kv_head_count, f->layer->k_norm, f->rows[row].position);
        for (uint32_t i = 0; i < f->q_width; i++) q[i] *= hp->query_scale;
        if (!f->rows[row].is_stored) enx_kv_store(f->kv, f->layer_index, &f->rows[row], k, v, part);
    }
}

static void attend(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward       *f = user;
    const enx_kv_layer layer = {
        .index = f->layer_index,
        .window_tokens = is_window_layer(f) ? f->hparams->window_tokens : 0,
        .sinks = f->layer->sinks,
    };
    enx_kv_attend(f->kv, &layer, f->q, f->a, part, part_count);
}

static void leave_attention(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward *f = user;
    const span   rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++)
        quantize_row(f, row, f->a + row * (size_t)f->q_width, f->q_width);
}

static void enter_ffn(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward *f = user;
    const span   rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        const size_t width = f->hparams->width;
        if (f->layer->o_bias) f->kernels.add(f->h + row * width, f->layer->o_bias, width);
        add_row(f, row, f->layer->attn_post_norm);
        norm_row(f, row, f->layer->ffn_norm);
    }
}

static void gelu_mul(float *gate, const float *up, size_t n)
{
    const float a = 0.797884561f, b = 0.044715f; /* a = sqrt(2 / pi) */
    for (size_t i = 0; i < n; i++) {
        const float x = gate[i];
        gate[i] = 0.5f * x * (1 + tanhf(a * x * (1 + b * x * x))) * up[i];
    }
}

static float clamp(float x, float most) { return fminf(fmaxf(x, -most), most); }

static void clamped_mul(float *gate, const float *up, size_t n)
{
    const float most = 7, slope = 1.702f;
    for (size_t i = 0; i < n; i++) {
        const float x = fminf(gate[i], most);
        gate[i] = x / (1 + expf(-slope * x)) * (1 + clamp(up[i], most));
    }
}

static void gate_visits(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward   *f = user;
    const size_t   n = f->hparams->ffn_width;
    const uint32_t end = cut(f->visit_count, part + 1, part_count);
    for (uint32_t visit = cut(f->visit_count, part, part_count); visit < end; visit++) {
        float *gate = f->gate + visit * n, *up = f->up + visit * n;
        if (f->layer->gate_bias) {
            f->kernels.add(gate, f->layer->gate_bias + f->visit_experts[visit] * n, n);
            f->kernels.add(up, f->layer->up_bias + f->visit_experts[visit] * n, n);
        }
        switch (f->hparams->arch->gate) {
        case ENX_GATE_SILU:
            f->kernels.silu_mul(gate, gate, up, n);
            break;
        case ENX_GATE_GELU:
            gelu_mul(gate, up, n);
            break;
        case ENX_GATE_CLAMPED:
            clamped_mul(gate, up, n);
            break;
        }
        quantize_row(f, visit, gate, n);
    }
}

static void leave_layers(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward *f = user;
    const span   rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        add_row(f, row, f->layer->ffn_post_norm);
        norm_row(f, row, f->weights->out_norm);
    }
}

/* ---- products ---------------------------------------------------------- */

static void multiply(const enx_forward *f, const product *p, uint32_t first,
                     const enx_matmul_shape *shape)
{
    const enx_matrix *w = &p->w;
    const enx_quant   quant = enx_quant_of(w->type);
    float            *out = p->out + first;
    const void       *rows = w->data + first * w->row_bytes;
    if (w->type == ENX_TENSOR_F32) f->kernels.matmul_f32(out, rows, p->x, shape);
    else if (w->type == ENX_TENSOR_F16) f->kernels.matmul_f16(out, rows, p->x, shape);
    else if (w->type == ENX_TENSOR_BF16) f->kernels.matmul_bf16(out, rows, p->x, shape);
    else if (enx_quant_is_large(quant))
        f->kernels.matmul_quant(out, quant, rows, p->acts.large, shape);
    else f->kernels.matmul_quant(out, quant, rows, p->acts.small, shape);
}

/* Outputs are cut between panels. */
static void multiply_part(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward *f = user;
    for (uint32_t i = 0; i < f->product_count; i++) {
        const product *p = &f->products[i];
        const uint32_t rows = p->w.row_count, groups = (rows + ROW_GROUP - 1) / ROW_GROUP;
        const uint32_t first = cut(groups, part, part_count) * ROW_GROUP;
        const uint32_t end = cut(groups, part + 1, part_count) * ROW_GROUP;
        const uint32_t last = end < rows ? end : rows;
        if (first < last)
            multiply(f, p, first,
                     &(enx_matmul_shape){ .row_count = last - first,
                                          .col_count = p->w.col_count,
                                          .batch_count = p->rows,
                                          .out_stride = rows });
    }
}

static void multiply_all(enx_forward *f, enx_phase phase)
{
    enx_profile_work work = { 0 };
    for (uint32_t i = 0; i < f->product_count; i++) {
        const enx_matrix *w = &f->products[i].w;
        work.bytes += w->row_count * w->row_bytes;
        work.operations += 2ull * f->products[i].rows * w->row_count * w->col_count;
    }
    run_work(f, phase, multiply_part, work);
}

/* Products of all rows. */
static void run_products(enx_forward *f, enx_phase phase, const product *products, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        f->products[i] = products[i];
        f->products[i].acts = f->acts;
        f->products[i].rows = f->row_count;
    }
    f->product_count = count;
    multiply_all(f, phase);
}

/* ---- experts ----------------------------------------------------------- */

/* For each row the experts it likes best, the best first, and their shares: softmax over these. */
static void route_rows(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward   *f = user;
    const uint32_t experts = f->hparams->expert_count, used = f->hparams->expert_used_count;
    const span     rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        float *likes = f->router + row * (size_t)experts;
        float *shares = f->shares + row * (size_t)used;
        if (f->layer->router_bias) f->kernels.add(likes, f->layer->router_bias, experts);
        for (uint32_t i = 0; i < used; i++) {
            const size_t best = f->kernels.argmax(likes, experts);
            f->chosen[row * used + i] = (uint32_t)best;
            shares[i] = likes[best];
            likes[best] = -INFINITY;
        }
        f->kernels.softmax(shares, used);
    }
}

/* A counting sort: from the experts that rows chose to the places of their visits. */
static void sort_visits(enx_forward *f)
{
    const uint32_t experts = f->hparams->expert_count;
    const uint32_t visits = f->row_count * f->hparams->expert_used_count;
    memset(f->first_visits, 0, (experts + 1) * sizeof *f->first_visits);
    for (uint32_t i = 0; i < visits; i++) f->first_visits[f->chosen[i] + 1]++;
    for (uint32_t e = 0; e < experts; e++) f->first_visits[e + 1] += f->first_visits[e];
    for (uint32_t i = 0; i < visits; i++) {
        const uint32_t expert = f->chosen[i], place = f->first_visits[expert]++;
        f->visit_experts[place] = expert;
        f->chosen[i] = place;
    }
    /* Each start has moved to the next one's. */
    memmove(f->first_visits + 1, f->first_visits, experts * sizeof *f->first_visits);
    f->first_visits[0] = 0;
    f->visit_count = visits;
}

static void send_rows(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward   *f = user;
    const size_t   width = f->hparams->width;
    const uint32_t used = f->hparams->expert_used_count;
    const span     rows = rows_of(f, part, part_count);
    for (uint32_t i = rows.first * used; i < rows.end * used; i++) {
        const uint32_t row = i / used, place = f->chosen[i];
        memcpy(f->visit_x + place * width, f->h + row * width, width * sizeof *f->h);
        copy_acts(f, acts_from(f->visit_acts, place, width), acts_from(f->acts, row, width), width);
    }
}

/* One product for each expert that has visitors; from x and acts, of rows `cols` wide, to out. */
static void add_expert_products(enx_forward *f, const enx_matrix *w, const float *x, acts quantized,
                                float *out)
{
    for (uint32_t e = 0; e < f->hparams->expert_count; e++) {
        const size_t   first = f->first_visits[e];
        const uint32_t rows = f->first_visits[e + 1] - f->first_visits[e];
        if (rows == 0) continue;
        f->products[f->product_count++] =
            (product){ .w = enx_matrix_of_expert(w, e),
                       .x = x + first * w->col_count,
                       .acts = acts_from(quantized, first, w->col_count),
                       .out = out + first * w->row_count,
                       .rows = rows };
    }
}

static void mix_visits(void *user, uint32_t part, uint32_t part_count)
{
    enx_forward   *f = user;
    const size_t   width = f->hparams->width;
    const uint32_t used = f->hparams->expert_used_count;
    const span     rows = rows_of(f, part, part_count);
    for (uint32_t row = rows.first; row < rows.end; row++) {
        float *h = f->h + row * width;
        memset(h, 0, width * sizeof *h);
        for (uint32_t i = row * used; i < (row + 1) * used; i++) {
            float      *answer = f->visit_x + f->chosen[i] * width;
            const float share = f->shares[i];
            if (f->layer->down_bias)
                f->kernels.add(answer, f->layer->down_bias + f->visit_experts[f->chosen[i]] * width,
                               width);
            for (size_t j = 0; j < width; j++) h[j] += share * answer[j];
        }
    }
}

static void run_experts(enx_forward *f)
{
    const enx_layer *l = f->layer;
    run_products(f, ENX_PHASE_ROUTE, &(product){ .w = l->router, .x = f->h, .out = f->router }, 1);
    run_phase(f, ENX_PHASE_ROUTE, route_rows);
    sort_visits(f);
    run_phase(f, ENX_PHASE_ROUTE, send_rows);
    f->product_count = 0;
    add_expert_products(f, &l->gate, f->visit_x, f->visit_acts, f->gate);
    add_expert_products(f, &l->up, f->visit_x, f->visit_acts, f->up);
    multiply_all(f, ENX_PHASE_GATE_UP);
    run_phase(f, ENX_PHASE_GATE, gate_visits);
    f->product_count = 0;
    add_expert_products(f, &l->down, f->gate, f->acts, f->visit_x);
    multiply_all(f, ENX_PHASE_DOWN);
    run_phase(f, ENX_PHASE_ROUTE, mix_visits);
}

/* ---- the layers -------------------------------------------------------- */

/* Tiles for the rows, and what attention to them is: a score and a weighted value for each position
 * of each head. */
static void plan_attention(enx_forward *f)
{
    const enx_hparams *hp = f->hparams;
    uint64_t           read_before, seen_before, read, seen;
    enx_kv_reads(f->kv, &read_before, &seen_before);
    enx_kv_plan(f->kv, f->rows, f->row_count);
    enx_kv_reads(f->kv, &read, &seen);
    f->attention.bytes =
        (read - read_before) * enx_kv_page_bytes(f->kv) / ENX_KV_PAGE / hp->layer_count;
    f->attention.operations = 4 * (seen - seen_before) * f->q_width;
}

/* Keep the rows that want a hidden state, in order. */
static void drop_rows(enx_forward *f)
{
    const size_t width = f->hparams->width, q_width = f->q_width;
    uint32_t     kept = 0;
    for (uint32_t row = 0; row < f->row_count; row++) {
        if (!f->rows[row].wants_hidden) continue;
        if (kept != row) {
            f->rows[kept] = f->rows[row];
            memcpy(f->x + kept * width, f->x + row * width, width * sizeof *f->x);
            memcpy(f->q + kept * q_width, f->q + row * q_width, q_width * sizeof *f->q);
        }
        kept++;
    }
    const bool is_fewer = kept < f->row_count;
    f->row_count = kept;
    if (is_fewer) plan_attention(f);
}

static void run_dense(enx_forward *f)
{
    const enx_layer *l = f->layer;
    const product    gate_up[] = { { .w = l->gate, .x = f->h, .out = f->gate },
                                   { .w = l->up, .x = f->h, .out = f->up } };
    run_products(f, ENX_PHASE_GATE_UP, gate_up, 2);
    f->visit_count = f->row_count;
    run_phase(f, ENX_PHASE_GATE, gate_visits);
    run_products(f, ENX_PHASE_DOWN, &(product){ .w = l->down, .x = f->gate, .out = f->h }, 1);
}

/* Was the run interrupted?  Then it has no rows any more. */
static bool take_interrupt(enx_forward *f)
{
    /* relaxed: the flag says nothing about other memory */
    f->was_interrupted = atomic_exchange_explicit(&f->is_interrupted, false, memory_order_relaxed);
    if (f->was_interrupted) f->row_count = 0;
    return f->was_interrupted;
}

static void run_layers(enx_forward *f)
{
    for (uint32_t i = 0; i < f->hparams->layer_count; i++) {
        const enx_layer *l = f->layer = &f->weights->layers[i];
        f->layer_index = i;

        run_phase(f, ENX_PHASE_NORM, enter_layer);
        const product qkv[] = { { .w = l->q, .x = f->h, .out = f->q },
                                { .w = l->k, .x = f->h, .out = f->k },
                                { .w = l->v, .x = f->h, .out = f->v } };
        run_products(f, ENX_PHASE_QKV, qkv, 3);
        run_phase(f, ENX_PHASE_PLACE, place_rows);
        if (i + 1 == f->hparams->layer_count) drop_rows(f);
        if (f->row_count == 0) return;
        run_work(f, ENX_PHASE_ATTEND, attend, f->attention);
        run_phase(f, ENX_PHASE_NORM, leave_attention);
        run_products(f, ENX_PHASE_OUT, &(product){ .w = l->o, .x = f->a, .out = f->h }, 1);

        run_phase(f, ENX_PHASE_NORM, enter_ffn);
        if (f->hparams->expert_count) run_experts(f);
        else run_dense(f);
        if (take_interrupt(f)) return;
    }
    f->layer_index = f->hparams->layer_count;
    run_phase(f, ENX_PHASE_NORM, leave_layers);
}

uint32_t enx_forward_run(enx_forward *f, const enx_row *rows, uint32_t row_count)
{
    ENX_CHECK(row_count <= f->options.batch_tokens);
    for (uint32_t i = 0; i < row_count; i++)
        ENX_CHECK(rows[i].token < f->hparams->vocab_count && rows[i].slot < f->options.slot_count &&
                  rows[i].position < f->options.context_tokens);
    f->was_interrupted = false;
    if (row_count == 0) return 0;
    memcpy(f->rows, rows, row_count * sizeof *rows);
    f->row_count = row_count;
    plan_attention(f);
    run_layers(f);
    return f->row_count;
}

bool enx_forward_was_interrupted(const enx_forward *f) { return f->was_interrupted; }

void enx_forward_interrupt(enx_forward *f)
{
    atomic_store_explicit(&f->is_interrupted, true, memory_order_relaxed);
}

/* ---- the head ---------------------------------------------------------- */

void enx_forward_logits(enx_forward *f, const uint32_t *hidden, uint32_t count, float *out)
{
    const size_t width = f->hparams->width;
    ENX_CHECK(count <= ENX_FORWARD_HEAD_ROWS);
    for (uint32_t i = 0; i < count; i++) {
        ENX_CHECK(hidden[i] < f->row_count);
        memcpy(f->head_x + i * width, f->h + hidden[i] * width, width * sizeof *f->h);
        copy_acts(f, acts_from(f->head_acts, i, width), acts_from(f->acts, hidden[i], width),
                  width);
    }
    f->products[0] = (product){ f->weights->head, f->head_x, f->head_acts, out, count };
    f->product_count = 1;
    multiply_all(f, ENX_PHASE_HEAD);
    enx_values_cap(out, (size_t)count * f->hparams->vocab_count, f->hparams->logit_cap);
}

void enx_forward_logits_of(enx_forward *f, uint32_t hidden, const uint32_t *ids, uint32_t count,
                           float *out)
{
    const enx_matrix *w = &f->weights->head;
    const size_t      cols = w->col_count;
    product           p = { *w, f->h + hidden * cols, acts_from(f->acts, hidden, cols), out, 1 };
    const enx_matmul_shape some = { count, cols, 1, count, ids }, one = { 1, cols, 1, 1, NULL };
    const uint64_t         start_ns = enx_profile_now(f->options.profile);
    ENX_CHECK(hidden < f->row_count);
    if (enx_quant_of(w->type) != ENX_QUANT_COUNT) multiply(f, &p, 0, &some);
    else
        for (uint32_t i = 0; i < count; i++, p.out++) {
            p.w.data = w->data + ids[i] * w->row_bytes;
            multiply(f, &p, 0, &one);
        }
    enx_profile_add(f->options.profile, f->layer_index, ENX_PHASE_HEAD, start_ns,
                    (enx_profile_work){ count * w->row_bytes, 2 * count * cols });
    enx_values_cap(out, count, f->hparams->logit_cap);
}

/* ---- opening ----------------------------------------------------------- */

static acts carve_acts(const enx_forward *f, enx_carver *c, uint64_t rows, uint64_t width)
{
    const enx_weights *w = f->weights;
    acts               out;
    out.small = enx_carve(c, w->has_acts ? rows * (width / ENX_SMALL_BLOCK) : 0, sizeof *out.small);
    out.large = enx_carve(c, w->has_acts_k ? rows * (width / ENX_K_BLOCK) : 0, sizeof *out.large);
    return out;
}

static void carve_experts(enx_forward *f, enx_carver *c, uint64_t visits)
{
    const uint64_t experts = f->hparams->expert_count, width = f->hparams->width;
    f->router = enx_carve(c, f->options.batch_tokens * experts, sizeof *f->router);
    f->chosen = enx_carve(c, visits, sizeof *f->chosen);
    f->shares = enx_carve(c, visits, sizeof *f->shares);
    f->visit_experts = enx_carve(c, visits, sizeof *f->visit_experts);
    f->first_visits = enx_carve(c, experts + 1, sizeof *f->first_visits);
    f->visit_x = enx_carve(c, visits * width, sizeof *f->visit_x);
    f->visit_acts = carve_acts(f, c, visits, width);
}

/* Have layers with a window a rotation of their own? */
static bool has_window_angles(const enx_forward *f)
{
    return f->hparams->window_rope_base != f->hparams->rope_base ||
           f->hparams->arch->window_base > 0;
}

static void carve_all(enx_forward *f, enx_carver *c)
{
    const enx_hparams *hp = f->hparams;
    const uint64_t     n = f->options.batch_tokens, width = hp->width, ffn = hp->ffn_width;
    const uint64_t     half = hp->rope_width / 2, experts = hp->expert_count;
    const uint64_t     used = experts ? hp->expert_used_count : 1, visits = n * used;
    f->cosines = enx_carve(c, f->options.context_tokens * half, sizeof *f->cosines);
    f->sines = enx_carve(c, f->options.context_tokens * half, sizeof *f->sines);
    f->window_cosines = f->cosines;
    f->window_sines = f->sines;
    if (has_window_angles(f)) {
        f->window_cosines = enx_carve(c, f->options.context_tokens * half, sizeof *f->cosines);
        f->window_sines = enx_carve(c, f->options.context_tokens * half, sizeof *f->sines);
    }
    f->rows = enx_carve(c, n, sizeof *f->rows);
    f->x = enx_carve(c, n * width, sizeof *f->x);
    f->h = enx_carve(c, n * width, sizeof *f->h);
    f->q = enx_carve(c, n * f->q_width, sizeof *f->q);
    f->k = enx_carve(c, n * f->kv_width, sizeof *f->k);
    f->v = enx_carve(c, n * f->kv_width, sizeof *f->v);
    f->a = enx_carve(c, n * f->q_width, sizeof *f->a);
    f->gate = enx_carve(c, visits * ffn, sizeof *f->gate);
    f->up = enx_carve(c, visits * ffn, sizeof *f->up);
    f->acts = carve_acts(f, c, visits, f->widest);
    f->products =
        enx_carve(c, 2 * experts > PRODUCTS_MIN ? 2 * experts : PRODUCTS_MIN, sizeof *f->products);
    if (experts) carve_experts(f, c, visits);
    f->head_x = enx_carve(c, ENX_FORWARD_HEAD_ROWS * width, sizeof *f->head_x);
    f->head_acts = carve_acts(f, c, ENX_FORWARD_HEAD_ROWS, width);
}

/* The pair that turns `turns` times within the context of training, as a real number. */
static double pair_of_turns(const enx_hparams *hp, double turns)
{
    const double length = hp->rope_scaling.original_tokens / (turns * 2 * M_PI);
    return hp->rope_width * log(length) / (2 * log((double)hp->rope_base));
}

/* How much of pair i's pace is kept: YaRN keeps pairs that turn 32 times or more, stretches those
 * that turn less than once, and blends between; linear scaling stretches all. */
static double kept_pace(const enx_hparams *hp, size_t i)
{
    if (!hp->rope_scaling.is_yarn) return 0;
    const double low = fmax(0, floor(pair_of_turns(hp, 32)));
    const double high = fmin(hp->rope_width - 1, ceil(pair_of_turns(hp, 1)));
    return 1 - fmin(1, fmax(0, ((double)i - low) / fmax(0.001, high - low)));
}

static void fill_angles(enx_forward *f)
{
    const enx_hparams      *hp = f->hparams;
    const enx_rope_scaling *scaling = &hp->rope_scaling;
    const bool              is_long = f->options.context_tokens > scaling->original_tokens;
    const float            *factors =
        is_long && f->weights->long_factors ? f->weights->long_factors : f->weights->rope_factors;
    const size_t half = hp->rope_width / 2;
    const double size = (double)scaling->attention_factor;
    for (size_t i = 0; i < half; i++) {
        const double kept = kept_pace(hp, i);
        double       frequency = pow(hp->rope_base, -(double)i / (double)half);
        if (factors) frequency /= (double)factors[i];
        frequency *= kept + (1 - kept) / (double)scaling->factor;
        for (size_t p = 0; p < f->options.context_tokens; p++) {
            f->cosines[p * half + i] = (float)(size * cos((double)p * frequency));
            f->sines[p * half + i] = (float)(size * sin((double)p * frequency));
        }
    }
}

/* Layers with a base of their own are neither stretched nor given factors. */
static void fill_window_angles(enx_forward *f)
{
    const size_t half = f->hparams->rope_width / 2;
    for (size_t i = 0; i < half; i++) {
        const double frequency =
            pow((double)f->hparams->window_rope_base, -(double)i / (double)half);
        for (size_t p = 0; p < f->options.context_tokens; p++) {
            f->window_cosines[p * half + i] = (float)cos((double)p * frequency);
            f->window_sines[p * half + i] = (float)sin((double)p * frequency);
        }
    }
}

static enx_status check_options(const enx_forward_options *o, enx_report *report)
{
    const struct {
        const char *name;
        uint32_t    value, max;
    } sizes[] = {
        { "slots", o->slot_count, ENX_FORWARD_SLOTS_MAX },
        { "positions of a slot", o->context_tokens, ENX_MODEL_CONTEXT_MAX },
        { "rows of a batch", o->batch_tokens, ENX_FORWARD_BATCH_MAX },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
            return ENX_FAIL(report, LIMIT, "%u %s were asked for, 1 to %u are possible",
                            sizes[i].value, sizes[i].name, sizes[i].max);
    return ENX_OK;
}

static void set_sizes(enx_forward *f)
{
    const enx_hparams *hp = f->hparams;
    f->q_width = hp->head_count * hp->head_width;
    f->kv_width = hp->kv_head_count * hp->head_width;
    f->widest = hp->width > hp->ffn_width ? hp->width : hp->ffn_width;
    if (f->q_width > f->widest) f->widest = f->q_width;
    f->thread_count = f->options.pool ? enx_pool_thread_count(f->options.pool) : 1;
}

static enx_status open_kv(enx_forward *f, enx_report *report)
{
    const enx_forward_options *o = &f->options;
    return enx_kv_open(&f->kv,
                       &(enx_kv_options){ .hparams = f->hparams,
                                          .kernels = &f->kernels,
                                          .slot_count = o->slot_count,
                                          .context_tokens = o->context_tokens,
                                          .page_count = o->page_count,
                                          .row_count = o->batch_tokens,
                                          .thread_count = f->thread_count,
                                          .type = o->cache },
                       report);
}

static enx_status take_block(enx_forward *f, enx_report *report)
{
    enx_carver c = { 0 };
    carve_all(f, &c);
    f->block_bytes = c.used_bytes;
    f->block = c.is_overflown ? NULL : enx_mem_new(c.used_bytes, 1);
    if (!f->block)
        return ENX_FAIL(report, NOMEM,
                        "no memory for %llu MiB of activations (%u rows, %u positions); "
                        "ask for smaller batches or a shorter context",
                        (unsigned long long)(c.used_bytes >> 20), f->options.batch_tokens,
                        f->options.context_tokens);
    c = (enx_carver){ .base = f->block };
    carve_all(f, &c);
    return ENX_OK;
}

enx_status enx_forward_open(enx_forward **out, const enx_forward_options *options,
                            enx_report *report)
{
    ENX_CHECK(out && options && options->model);
    ENX_CHECK(!options->profile ||
              options->profile->layer_count == enx_model_hparams(options->model)->layer_count);
    ENX_TRY(check_options(options, report));
    enx_forward *f = ENX_MEM_NEW(enx_forward, 1);
    if (!f) return ENX_FAIL(report, NOMEM, "no memory for a forward pass");
    f->options = *options;
    f->hparams = enx_model_hparams(options->model);
    f->weights = enx_model_weights(options->model);
    enx_kernels_init(&f->kernels, options->cpu_flags);
    set_sizes(f);
    enx_status status = open_kv(f, report);
    if (status == ENX_OK) status = take_block(f, report);
    if (status != ENX_OK) {
        enx_forward_close(&f);
        return status;
    }
    fill_angles(f);
    if (has_window_angles(f)) fill_window_angles(f);
    *out = f;
    return ENX_OK;
}

void enx_forward_close(enx_forward **handle)
{
    if (!*handle) return;
    enx_kv_close(&(*handle)->kv);
    enx_mem_free((*handle)->block);
    enx_mem_free(*handle);
    *handle = NULL;
}

enx_kv *enx_forward_kv(enx_forward *forward) { return forward->kv; }

const enx_kernels *enx_forward_kernels(const enx_forward *forward) { return &forward->kernels; }

uint64_t enx_forward_memory_bytes(const enx_forward *forward)
{
    return sizeof *forward + forward->block_bytes + enx_kv_memory_bytes(forward->kv);
}
