/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_check.c - every level of every kernel against the scalar one.
 *
 *     kernel_check [--seed N] [--bench] [KERNEL]
 *
 * Lengths around each vector width, odd alignments, guard zones behind outputs, several kinds of
 * data.  Exact kernels must agree bit for bit; bounded ones within the bound that stands beside
 * their check.  A level that this processor lacks is a visible SKIP.
 */
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/panels.h"
#include "plat/clock.h"
#include "quant_blocks.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 2048, ROWS_MAX = 40, BATCH_MAX = 20, LONG_BATCH = 110, GUARD = 64, SHIFTS = 3 };

#define EPSILON 0x1p-23

typedef enum fill { FILL_UNIT, FILL_MIXED, FILL_SPARSE, FILL_TINY, FILL_CONSTANT, FILL_COUNT } fill;

static const size_t lengths[] = { 1,  2,  3,  7,  8,   9,   15,  16,  17,  31,  32,   33,
                                  47, 48, 64, 65, 100, 127, 128, 255, 320, 864, N_MAX };
enum { LENGTH_COUNT = sizeof lengths / sizeof *lengths };

static enx_kernels reference, level;
static enx_rng     rng;
static unsigned    failure_count;
static bool        is_bench;

static bool check(bool ok, const char *kernel, size_t n, int kind, double got, double want)
{
    if (!ok && failure_count++ < 20)
        printf("# %s %s n=%zu fill=%d got %a want %a\n", level.name, kernel, n, kind, got, want);
    return ok;
}

static float draw(fill kind)
{
    const double unit = enx_rng_unit(&rng) * 2 - 1;
    switch (kind) {
    case FILL_UNIT:
        return (float)unit;
    case FILL_MIXED:
        return (float)(unit * exp2((double)enx_rng_below(&rng, 17) - 8));
    case FILL_SPARSE:
        return enx_rng_below(&rng, 8) ? 0.0f : (float)unit;
    case FILL_TINY:
        return (float)(unit * 0x1p-120);
    default:
        return -0.75f;
    }
}

static void fill_f32(float *out, size_t n, fill kind)
{
    for (size_t i = 0; i < n; i++) out[i] = draw(kind);
}

/* ---- guarded outputs --------------------------------------------------- */

static uint8_t want_bytes[1 << 18], got_bytes[1 << 18];

static void guard_set(void *out, size_t size_bytes) { memset(out, 0xA5, size_bytes + GUARD); }

static bool guard_holds(const void *out, size_t size_bytes)
{
    const uint8_t *at = out;
    for (size_t i = 0; i < GUARD; i++)
        if (at[size_bytes + i] != 0xA5) return false;
    return true;
}

static void check_exact(const char *kernel, size_t n, fill kind, const void *got, const void *want,
                        size_t size_bytes)
{
    check(memcmp(got, want, size_bytes) == 0, kernel, n, (int)kind, 0, 0);
    check(guard_holds(got, size_bytes), kernel, n, -1, 0, 0);
}

/* ---- conversions ------------------------------------------------------- */

static void test_f16_all_bits(void)
{
    static uint16_t bits[1 << 16];
    static float    want[1 << 16], got[1 << 16];
    for (size_t i = 0; i < 1 << 16; i++) bits[i] = (uint16_t)i;
    reference.f32_from_f16(want, bits, 1 << 16);
    level.f32_from_f16(got, bits, 1 << 16);
    check(memcmp(got, want, sizeof got) == 0, "f32_from_f16", 1 << 16, -1, 0, 0);
    static uint16_t back[1 << 16];
    level.f16_from_f32(back, want, 1 << 16);
    for (size_t i = 0; i < 1 << 16; i++) /* a signalling NaN comes back quiet */
        check(back[i] == (isnan(want[i]) ? i | 0x200u : i), "f16_from_f32 round trip", i, -1,
              back[i], (double)i);
    for (size_t i = 0; i < 1 << 20; i++) { /* between the halves: rounding */
        const uint32_t word = (uint32_t)enx_rng_u64(&rng);
        float          value;
        uint16_t       a, b;
        memcpy(&value, &word, sizeof value);
        reference.f16_from_f32(&a, &value, 1);
        level.f16_from_f32(&b, &value, 1);
        check(a == b, "f16_from_f32", 1, -1, b, a);
    }
}

static void test_conversions(size_t n, fill kind, size_t shift)
{
    static float    x[N_MAX + SHIFTS];
    static uint16_t h[N_MAX + SHIFTS];
    fill_f32(x + shift, n, kind);
    guard_set(got_bytes, n * 2);
    reference.f16_from_f32((uint16_t *)want_bytes, x + shift, n);
    level.f16_from_f32((uint16_t *)got_bytes, x + shift, n);
    check_exact("f16_from_f32", n, kind, got_bytes, want_bytes, n * 2);
    for (size_t i = 0; i < n; i++) h[shift + i] = (uint16_t)(enx_rng_u64(&rng) & 0x7BFF);
    guard_set(got_bytes, n * 4);
    reference.f32_from_f16((float *)want_bytes, h + shift, n);
    level.f32_from_f16((float *)got_bytes, h + shift, n);
    check_exact("f32_from_f16", n, kind, got_bytes, want_bytes, n * 4);
    guard_set(got_bytes, n * 4);
    reference.f32_from_bf16((float *)want_bytes, h + shift, n);
    level.f32_from_bf16((float *)got_bytes, h + shift, n);
    check_exact("f32_from_bf16", n, kind, got_bytes, want_bytes, n * 4);
}

/* ---- quantized blocks -------------------------------------------------- */

/* Numbers of any bits, -128 among them, with scales from tiny to large. */
static void fill_q8_0(uint8_t *out, size_t block_count)
{
    enx_block_q8_0 block;
    for (size_t b = 0; b < block_count; b++, out += sizeof block) {
        const uint16_t scale =
            (uint16_t)(enx_rng_below(&rng, 0x5000) | (enx_rng_below(&rng, 2) << 15));
        block.d[0] = (uint8_t)scale;
        block.d[1] = (uint8_t)(scale >> 8);
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) {
            const uint64_t r = enx_rng_u64(&rng);
            block.q[i] = r % 7 == 0 ? (r & 8 ? -128 : 127) : (int8_t)(r >> 8);
        }
        memcpy(out, &block, sizeof block);
    }
}

static void test_quantize(size_t n, fill kind, size_t shift)
{
    static float x[N_MAX + SHIFTS];
    if (n % ENX_SMALL_BLOCK) return;
    fill_f32(x + shift, n, kind);
    const size_t size_bytes = n / ENX_SMALL_BLOCK * sizeof(enx_act_q8);
    guard_set(got_bytes, size_bytes);
    reference.act_from_f32((enx_act_q8 *)want_bytes, x + shift, n);
    level.act_from_f32((enx_act_q8 *)got_bytes, x + shift, n);
    check_exact("act_from_f32", n, kind, got_bytes, want_bytes, size_bytes);
}

/* Any bits at all, NaN and infinite scales left out. */
static void test_quants(size_t shift)
{
    static uint8_t blocks[8 * 210 + SHIFTS];
    for (size_t i = 0; i < ENX_QUANT_COUNT; i++) {
        const quant_layout *l = &quant_layouts[i];
        const size_t        n = 8u * l->values;
        quant_fill(l, blocks + shift, n, draw(FILL_MIXED), &rng);
        guard_set(got_bytes, n * 4);
        reference.f32_from_quant[i]((float *)want_bytes, blocks + shift, n);
        level.f32_from_quant[i]((float *)got_bytes, blocks + shift, n);
        check_exact(enx_tensor_type_name(l->type), n, FILL_MIXED, got_bytes, want_bytes, n * 4);
    }
}

static void test_act_k(size_t n, fill kind, size_t shift)
{
    static float x[N_MAX + SHIFTS];
    if (n % ENX_K_BLOCK) return;
    fill_f32(x + shift, n, kind);
    const size_t size_bytes = n / ENX_K_BLOCK * sizeof(enx_act_k);
    guard_set(got_bytes, size_bytes);
    reference.act_k_from_f32((enx_act_k *)want_bytes, x + shift, n);
    level.act_k_from_f32((enx_act_k *)got_bytes, x + shift, n);
    check_exact("act_k_from_f32", n, kind, got_bytes, want_bytes, size_bytes);
}

/* ---- products with quantized weights ----------------------------------- */

enum { QUANT_N = 768, QUANT_BYTES = QUANT_N * 2, ACT_BYTES = QUANT_N * 2 };

static _Alignas(8) uint8_t acts[BATCH_MAX * ACT_BYTES];
static float xs[LONG_BATCH * N_MAX];

static size_t act_bytes(enx_quant quant, size_t n)
{
    return enx_quant_is_large(quant) ? n / ENX_K_BLOCK * sizeof(enx_act_k)
                                     : n / ENX_SMALL_BLOCK * sizeof(enx_act_q8);
}

/* Each product within what rounding may change: half a step of the largest activation, and floats'
 * own. */
static void check_quant_products(const float *got, const float *w, const float *x,
                                 const enx_matmul_shape *s)
{
    const size_t n = s->col_count;
    for (size_t j = 0; j < s->batch_count; j++)
        for (size_t r = 0; r < s->row_count; r++) {
            double sum = 0, most = 0, size = 0;
            for (size_t c = 0; c < n; c++) {
                const double weight = (double)w[r * n + c], input = (double)x[j * n + c];
                most = fmax(most, fabs(input));
                size += fabs(weight);
                sum += weight * input;
            }
            const double out = (double)got[j * s->out_stride + r];
            check(fabs(out - sum) <= size * fmax(most / 253, (double)ENX_ACT_TINY) + 1e-38,
                  "quantized product", n, -1, out, sum);
        }
}

/* A row is the same alone and in company, in its place and by its number. */
static void check_rows_alone(enx_quant quant, const uint8_t *panels, const float *want,
                             const enx_matmul_shape *s)
{
    uint32_t ids[ROWS_MAX];
    float    some[ROWS_MAX];
    for (size_t r = 0; r < s->row_count; r++) ids[r] = (uint32_t)(s->row_count - 1 - r);
    for (size_t j = 0; j < s->batch_count; j++) {
        const enx_matmul_shape one = { s->row_count, s->col_count, 1, s->row_count, ids };
        level.matmul_quant(some, quant, panels, acts + j * act_bytes(quant, s->col_count), &one);
        for (size_t r = 0; r < s->row_count; r++)
            check(some[r] == want[j * s->out_stride + ids[r]], "matmul_quant by id", s->col_count,
                  (int)quant, (double)some[r], (double)want[j * s->out_stride + ids[r]]);
    }
}

static void test_matmul_quant(enx_quant quant, fill kind, size_t rows, size_t batch)
{
    static uint8_t         bytes[ROWS_MAX * QUANT_BYTES + SHIFTS];
    static uint8_t         laid_out[(ROWS_MAX + ENX_PANEL_ROWS) * QUANT_BYTES + SHIFTS];
    uint8_t               *panels = laid_out + enx_rng_below(&rng, SHIFTS);
    static float           w[ROWS_MAX * QUANT_N];
    const size_t           block = enx_quant_is_large(quant) ? ENX_K_BLOCK : ENX_SMALL_BLOCK;
    const size_t           n = block * (1 + enx_rng_below(&rng, QUANT_N / block));
    uint8_t               *blocks = bytes + enx_rng_below(&rng, SHIFTS);
    const enx_matmul_shape shape = { rows, n, batch, rows + 3, NULL };
    const size_t           size_bytes = ((batch - 1) * shape.out_stride + rows) * sizeof(float);
    float                 *got = (float *)got_bytes, *want = (float *)want_bytes;
    if (quant == ENX_QUANT_Q8_0) fill_q8_0(blocks, rows * n / block);
    else quant_fill(&quant_layouts[quant], blocks, rows * n, draw(FILL_MIXED), &rng);
    fill_f32(xs, batch * n, kind);
    if (enx_quant_is_large(quant)) reference.act_k_from_f32((void *)acts, xs, batch * n);
    else reference.act_from_f32((void *)acts, xs, batch * n);
    enx_panels_from_rows(panels, quant, blocks, rows, n);
    memset(want_bytes, 0xA5, size_bytes);
    guard_set(got_bytes, size_bytes);
    reference.matmul_quant(want, quant, panels, acts, &shape);
    level.matmul_quant(got, quant, panels, acts, &shape);
    check_exact("matmul_quant", n, kind, got, want, size_bytes);
    check_rows_alone(quant, panels, want, &shape);
    reference.f32_from_quant[quant](w, blocks, rows * n);
    check_quant_products(got, w, xs, &shape);
}

/* ---- products with float weights --------------------------------------- */

typedef enum float_type { FLOAT_F32, FLOAT_F16, FLOAT_BF16, FLOAT_COUNT } float_type;

static const char *const float_products[FLOAT_COUNT] = { "matmul_f32", "matmul_f16",
                                                         "matmul_bf16" };

/* Weights of each type, and what they are worth. */
typedef struct float_weights {
    float    worth[ROWS_MAX * N_MAX];
    uint16_t bits[ROWS_MAX * N_MAX];
} float_weights;

static void fill_weights(float_weights *w, float_type type, size_t n, fill kind)
{
    fill_f32(w->worth, n, kind);
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, &w->worth[i], sizeof word);
        w->bits[i] = type == FLOAT_F16 ? enx_f16_of_f32(w->worth[i]) : (uint16_t)(word >> 16);
    }
    if (type == FLOAT_F16) reference.f32_from_f16(w->worth, w->bits, n);
    if (type == FLOAT_BF16) reference.f32_from_bf16(w->worth, w->bits, n);
}

/* The product from row `first` of w on. */
static void multiply_floats(float *out, float_type type, const float_weights *w, size_t first,
                            const float *x, const enx_matmul_shape *s)
{
    const size_t at = first * s->col_count;
    if (type == FLOAT_F32) level.matmul_f32(out, w->worth + at, x, s);
    if (type == FLOAT_F16) level.matmul_f16(out, w->bits + at, x, s);
    if (type == FLOAT_BF16) level.matmul_bf16(out, w->bits + at, x, s);
}

/* The same bits for a row of x alone, and where the outputs are cut in two. */
static void check_float_cuts(float_type type, const float_weights *w, const float *got,
                             const enx_matmul_shape *s)
{
    static float     rest[LONG_BATCH * (ROWS_MAX + 1)];
    float            alone[ROWS_MAX];
    const size_t     n = s->col_count, first = enx_rng_below(&rng, s->row_count);
    enx_matmul_shape one = *s, part = *s;
    one.batch_count = 1;
    part.row_count -= first;
    multiply_floats(rest, type, w, first, xs, &part);
    for (size_t j = 0; j < s->batch_count; j++) {
        const float *row = got + j * s->out_stride;
        multiply_floats(alone, type, w, 0, xs + j * n, &one);
        check(memcmp(alone, row, s->row_count * 4) == 0, float_products[type], n, -2,
              (double)alone[0], (double)row[0]);
        check(memcmp(rest + j * s->out_stride, row + first, part.row_count * 4) == 0,
              float_products[type], n, -3, (double)rest[j * s->out_stride], (double)row[first]);
    }
}

/* The classical bound of a sum of n products: n * eps * sum |w x|, twice (both sides round). */
static void test_matmul_float(float_type type, size_t n, fill kind, size_t rows, size_t batch)
{
    static float_weights   w;
    const enx_matmul_shape shape = { rows, n, batch, rows + 1, NULL };
    const size_t           size_bytes = ((batch - 1) * (rows + 1) + rows) * sizeof(float);
    float                 *got = (float *)got_bytes;
    fill_weights(&w, type, rows * n, kind);
    fill_f32(xs, batch * n, kind);
    guard_set(got, size_bytes);
    multiply_floats(got, type, &w, 0, xs, &shape);
    check(guard_holds(got, size_bytes), float_products[type], n, -1, 0, 0);
    check_float_cuts(type, &w, got, &shape);
    for (size_t j = 0; j < batch; j++)
        for (size_t r = 0; r < rows; r++) {
            const double out = (double)got[j * shape.out_stride + r];
            double       want = 0, magnitude = 0;
            for (size_t c = 0; c < n; c++) {
                const double term = (double)w.worth[r * n + c] * (double)xs[j * n + c];
                want += term;
                magnitude += fabs(term);
            }
            const double bound = (double)(n + 1) * (EPSILON * magnitude + 0x1p-149);
            check(fabs(out - want) <= bound, float_products[type], n, (int)kind, out, want);
        }
}

/* ---- the rest of a layer ----------------------------------------------- */

/* Within `ulps` units of the expected value's own size, or of `floor` when that is larger. */
static void check_near(const char *kernel, size_t n, fill kind, double got, double want,
                       double ulps, double floor)
{
    const double size = fabs(want) > floor ? fabs(want) : floor;
    check(fabs(got - want) <= ulps * EPSILON * size + 0x1p-126, kernel, n, (int)kind, got, want);
}

static void test_rows(size_t n, fill kind, size_t shift)
{
    static float x[N_MAX + SHIFTS], y[N_MAX + SHIFTS];
    float       *got = (float *)got_bytes;
    fill_f32(x + shift, n, kind);
    fill_f32(y + shift, n, FILL_UNIT);
    const float *a = x + shift, *b = y + shift;
    double       squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)a[i] * a[i];
    guard_set(got, n * 4);
    level.rmsnorm(got, a, b, n, 1e-6f);
    check(guard_holds(got, n * 4), "rmsnorm", n, -1, 0, 0);
    for (size_t i = 0; i < n; i++) /* half the error of a sum of n squares, and five roundings */
        check_near("rmsnorm", n, kind, got[i], a[i] / sqrt(squares / (double)n + 1e-6f) * b[i],
                   (double)n / 2 + 5, 0);
    guard_set(got, n * 4);
    level.silu_mul(got, a, b, n);
    check(guard_holds(got, n * 4), "silu_mul", n, -1, 0, 0);
    for (size_t i = 0; i < n; i++) /* exp's error grows with its argument */
        check_near("silu_mul", n, kind, got[i], a[i] / (1 + exp(-(double)a[i])) * b[i],
                   8 + fabs((double)a[i]), 0x1p-80);
    guard_set(got, n * 4);
    memcpy(got, a, n * 4);
    memcpy(want_bytes, a, n * 4);
    reference.add((float *)want_bytes, b, n);
    level.add(got, b, n);
    check_exact("add", n, kind, got, want_bytes, n * 4);
}

static void test_rope(size_t half, fill kind)
{
    static float x[2 * N_MAX], c[N_MAX], s[N_MAX];
    if (half > N_MAX / 2) return;
    fill_f32(x, 2 * half, kind);
    for (size_t i = 0; i < half; i++) {
        const double angle = enx_rng_unit(&rng) * 100;
        c[i] = (float)cos(angle);
        s[i] = (float)sin(angle);
    }
    for (int pairs = 0; pairs < 2; pairs++) {
        float *got = (float *)got_bytes;
        guard_set(got, half * 8);
        memcpy(got, x, half * 8);
        (pairs ? level.rope_pairs : level.rope_halves)(got, c, s, half);
        check(guard_holds(got, half * 8), "rope", half, -1, 0, 0);
        for (size_t i = 0; i < half; i++) {
            const size_t p = pairs ? 2 * i : i, q = pairs ? 2 * i + 1 : half + i;
            const double size = fabs((double)x[p]) + fabs((double)x[q]);
            check_near("rope", half, kind, got[p], (double)x[p] * c[i] - (double)x[q] * s[i], 2,
                       size);
            check_near("rope", half, kind, got[q], (double)x[p] * s[i] + (double)x[q] * c[i], 2,
                       size);
        }
    }
}

static void test_softmax(size_t n, fill kind, size_t shift)
{
    static float x[N_MAX + SHIFTS];
    fill_f32(x + shift, n, kind);
    double most = -INFINITY, sum = 0;
    size_t best = 0;
    for (size_t i = 0; i < n; i++)
        if (x[shift + i] > most) most = x[shift + i], best = i;
    for (size_t i = 0; i < n; i++) sum += exp(x[shift + i] - most);
    check(level.argmax(x + shift, n) == best, "argmax", n, (int)kind, 0, (double)best);
    const double lse = most + log(sum);
    check_near("log_sum_exp", n, kind, level.log_sum_exp(x + shift, n), lse, (double)n / 8 + 8,
               fabs(most) + 1);
    float *got = (float *)got_bytes;
    guard_set(got, n * 4);
    memcpy(got, x + shift, n * 4);
    level.softmax(got, n);
    check(guard_holds(got, n * 4), "softmax", n, -1, 0, 0);
    for (size_t i = 0; i < n; i++) /* the shift x - max rounds once: |x - max| / 2 ulp in exp */
        check_near("softmax", n, kind, got[i], exp(x[shift + i] - most) / sum,
                   (double)n / 4 + 8 + fabs(x[shift + i] - most), 0);
}

enum { QUERIES = 14, HEAD_WIDTH_MAX = 256, SEEN_MAX = 320 };

/* Queries, their outputs and weights, each in a place of its own. */
typedef struct attention {
    size_t       q_count, width, count;
    float        q[QUERIES][HEAD_WIDTH_MAX], weights[QUERIES][SEEN_MAX];
    float        scores[QUERIES][SEEN_MAX + 16], out[QUERIES][HEAD_WIDTH_MAX + 16];
    uint16_t     k[SEEN_MAX * HEAD_WIDTH_MAX], v[SEEN_MAX * HEAD_WIDTH_MAX];
    float        wide_k[SEEN_MAX * HEAD_WIDTH_MAX], wide_v[SEEN_MAX * HEAD_WIDTH_MAX];
    int8_t       byte_k[SEEN_MAX * (HEAD_WIDTH_MAX + 4)], byte_v[SEEN_MAX * (HEAD_WIDTH_MAX + 4)];
    const float *q_at[QUERIES], *weights_at[QUERIES];
    float       *scores_at[QUERIES], *out_at[QUERIES];
} attention;

static void fill_attention(attention *a, size_t count, fill kind, size_t width)
{
    const size_t numbers = (count + 15) / 16 * 16 * width;
    a->q_count = 1 + enx_rng_below(&rng, QUERIES);
    a->width = width;
    a->count = count;
    for (size_t i = 0; i < QUERIES; i++) {
        fill_f32(a->q[i], width, kind);
        fill_f32(a->weights[i], count, FILL_UNIT);
        a->q_at[i] = a->q[i];
        a->weights_at[i] = a->weights[i];
        a->scores_at[i] = a->scores[i];
        a->out_at[i] = a->out[i];
    }
    for (size_t i = 0; i < numbers; i++) {
        a->k[i] = enx_f16_of_f32(draw(FILL_MIXED));
        a->v[i] = enx_f16_of_f32(draw(FILL_MIXED));
        a->wide_k[i] = enx_f32_of_f16(a->k[i]);
        a->wide_v[i] = enx_f32_of_f16(a->v[i]);
    }
}

static void check_scores(const attention *a, fill kind, const char *name)
{
    for (size_t i = 0; i < a->q_count; i++)
        for (size_t p = 0; p < a->count; p++) {
            double want = 0, size = 0;
            for (size_t d = 0; d < a->width; d++) {
                const double key = (double)a->wide_k[(p / 16 * a->width + d) * 16 + p % 16];
                want += (double)a->q[i][d] * key;
                size += fabs((double)a->q[i][d] * key);
            }
            check_near(name, a->count, kind, (double)a->scores[i][p], want, (double)a->width + 1,
                       size);
        }
}

/* Bytes with scales in the place of what was drawn; the wide numbers become what they stand for. */
static void fill_bytes(attention *a)
{
    const size_t width = a->width, block = (width + 4) * 16;
    for (size_t p = 0; p < (a->count + 15) / 16 * 16; p++) {
        const float scales[] = { fabsf(draw(FILL_UNIT)), fabsf(draw(FILL_UNIT)) };
        int8_t     *keys = a->byte_k + p / 16 * block, *value = a->byte_v + p * (width + 4);
        for (size_t d = 0; d < width; d++) {
            keys[d * 16 + p % 16] = (int8_t)((int)enx_rng_below(&rng, 255) - 127);
            value[d] = (int8_t)((int)enx_rng_below(&rng, 255) - 127);
            a->wide_k[(p / 16 * width + d) * 16 + p % 16] =
                scales[0] * (float)keys[d * 16 + p % 16];
            a->wide_v[p * width + d] = scales[1] * (float)value[d];
        }
        memcpy(keys + width * 16 + p % 16 * 4, &scales[0], 4);
        memcpy(value + width, &scales[1], 4);
    }
}

/* Outputs begin at 1: a call adds to what is there. */
static void check_mixes(const attention *a, fill kind, const char *name)
{
    for (size_t i = 0; i < a->q_count; i++)
        for (size_t d = 0; d < a->width; d++) {
            double want = 1, size = 1;
            for (size_t p = 0; p < a->count; p++) {
                const double value = (double)a->wide_v[p * a->width + d];
                want += (double)a->weights[i][p] * value;
                size += fabs((double)a->weights[i][p] * value);
            }
            check_near(name, a->count, kind, (double)a->out[i][d], want, (double)a->count + 2,
                       size);
        }
}

static void start_outputs(attention *a)
{
    for (size_t i = 0; i < QUERIES; i++)
        for (size_t d = 0; d < a->width; d++) a->out[i][d] = 1;
}

/* One query at a time, in two stretches: the same bits. */
static void check_stretches(attention *a)
{
    static attention one;
    const size_t     cut = a->count / 2 / 16 * 16;
    one = *a;
    start_outputs(&one);
    for (size_t i = 0; i < a->q_count; i++) {
        float       *scores = one.scores[i], *rest = scores + cut, *out = one.out[i];
        const float *q = one.q[i], *weights = one.weights[i], *more = weights + cut;
        level.attend_scores(&scores, &q, 1, a->k, a->width, cut, a->v);
        level.attend_scores(&rest, &q, 1, a->k + cut * a->width, a->width, a->count - cut, a->v);
        level.attend_mix(&out, &weights, 1, a->v, a->width, cut, a->k);
        level.attend_mix(&out, &more, 1, a->v + cut * a->width, a->width, a->count - cut, a->k);
        check(memcmp(scores, a->scores[i], a->count * 4) == 0, "attend_scores cut", a->count, -1, 0,
              0);
        check(memcmp(out, a->out[i], a->width * 4) == 0, "attend_mix cut", a->count, -1, 0, 0);
    }
}

/* The same bits for one query alone, in two stretches. */
static void check_byte_stretches(attention *a)
{
    static attention one;
    const size_t     cut = a->count / 2 / 16 * 16, stride = a->width + 4;
    one = *a;
    start_outputs(&one);
    for (size_t i = 0; i < a->q_count; i++) {
        float        *scores = one.scores[i], *rest = scores + cut, *out = one.out[i];
        const float  *q = one.q[i], *weights = one.weights[i], *more = weights + cut;
        const int8_t *k = a->byte_k, *v = a->byte_v;
        level.attend_scores_q8(&scores, &q, 1, k, a->width, cut, v);
        level.attend_scores_q8(&rest, &q, 1, k + cut * stride, a->width, a->count - cut, v);
        level.attend_mix_q8(&out, &weights, 1, v, a->width, cut, k);
        level.attend_mix_q8(&out, &more, 1, v + cut * stride, a->width, a->count - cut, k);
        check(memcmp(scores, a->scores[i], a->count * 4) == 0, "attend_scores_q8 cut", a->count, -1,
              0, 0);
        check(memcmp(out, a->out[i], a->width * 4) == 0, "attend_mix_q8 cut", a->count, -1, 0, 0);
    }
}

static void test_byte_attention(attention *a, fill kind)
{
    const size_t scores_bytes = (a->count + 15) / 16 * 16 * 4;
    fill_bytes(a);
    for (size_t i = 0; i < QUERIES; i++) guard_set(a->scores[i], scores_bytes);
    level.attend_scores_q8(a->scores_at, a->q_at, a->q_count, a->byte_k, a->width, a->count,
                           a->byte_v);
    for (size_t i = 0; i < QUERIES; i++)
        check(guard_holds(a->scores[i], scores_bytes), "attend_scores_q8", a->count, -1, 0, 0);
    check_scores(a, kind, "attend_scores_q8");
    for (size_t i = 0; i < QUERIES; i++) guard_set(a->out[i], a->width * 4);
    start_outputs(a);
    level.attend_mix_q8(a->out_at, a->weights_at, a->q_count, a->byte_v, a->width, a->count,
                        a->byte_k);
    for (size_t i = 0; i < QUERIES; i++)
        check(guard_holds(a->out[i], a->width * 4), "attend_mix_q8", a->count, -1, 0, 0);
    check_mixes(a, kind, "attend_mix_q8");
    check_byte_stretches(a);
}

static void test_attention(size_t count, fill kind, size_t width)
{
    static attention a;
    if (count > SEEN_MAX) return;
    fill_attention(&a, count, kind, width);
    const size_t scores_bytes = (count + 15) / 16 * 16 * 4;
    for (size_t i = 0; i < QUERIES; i++) guard_set(a.scores[i], scores_bytes);
    level.attend_scores_f32(a.scores_at, a.q_at, a.q_count, a.wide_k, width, count, a.wide_v);
    check_scores(&a, kind, "attend_scores_f32");
    level.attend_scores(a.scores_at, a.q_at, a.q_count, a.k, width, count, a.v);
    for (size_t i = 0; i < QUERIES; i++)
        check(guard_holds(a.scores[i], scores_bytes), "attend_scores", count, -1, 0, 0);
    check_scores(&a, kind, "attend_scores");

    start_outputs(&a);
    level.attend_mix_f32(a.out_at, a.weights_at, a.q_count, a.wide_v, width, count, a.wide_k);
    check_mixes(&a, kind, "attend_mix_f32");
    for (size_t i = 0; i < QUERIES; i++) guard_set(a.out[i], width * 4);
    start_outputs(&a);
    level.attend_mix(a.out_at, a.weights_at, a.q_count, a.v, width, count, a.k);
    for (size_t i = 0; i < QUERIES; i++)
        check(guard_holds(a.out[i], width * 4), "attend_mix", count, -1, 0, 0);
    check_mixes(&a, kind, "attend_mix");
    check_stretches(&a);
    test_byte_attention(&a, kind);
}

static void test_level(void)
{
    static const size_t widths[] = { 2, 4, 18, 32, 48, 64, 128 };
    test_f16_all_bits();
    for (size_t i = 0; i < 300; i++) test_quants(i % SHIFTS);
    for (size_t i = 0; i < 30u * ENX_QUANT_COUNT; i++)
        test_matmul_quant((enx_quant)(i % ENX_QUANT_COUNT),
                          (fill)(i / ENX_QUANT_COUNT % FILL_COUNT),
                          1 + enx_rng_below(&rng, ROWS_MAX), 1 + enx_rng_below(&rng, BATCH_MAX));
    for (fill kind = 0; kind < FILL_COUNT; kind++)
        for (size_t l = 0; l < LENGTH_COUNT; l++) {
            const size_t n = lengths[l];
            for (size_t shift = 0; shift < SHIFTS; shift++) {
                test_conversions(n, kind, shift);
                test_quantize(n, kind, shift);
                test_act_k(n, kind, shift);
                test_rows(n, kind, shift);
                test_softmax(n, kind, shift);
            }
            test_rope(n, kind);
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                test_attention(n, kind, widths[w]);
            /* Long batches now and then: they are slow. */
            const uint64_t most = n <= 1024 && enx_rng_below(&rng, 4) == 0 ? LONG_BATCH : BATCH_MAX;
            for (float_type type = 0; type < FLOAT_COUNT; type++)
                test_matmul_float(type, n, kind, 1 + enx_rng_below(&rng, ROWS_MAX),
                                  1 + enx_rng_below(&rng, most));
        }
}

/* ---- bench ------------------------------------------------------------- */

typedef void (*bench_fn)(size_t batch);

static void bench_f32(size_t batch)
{
    const enx_matmul_shape shape = { 4, 320, batch, 32, NULL };
    level.matmul_f32((float *)got_bytes, xs, xs, &shape);
}
static void bench_act(size_t batch) { level.act_from_f32((void *)acts, xs, 320 * batch); }
static void bench_silu(size_t batch) { level.silu_mul((float *)got_bytes, xs, xs, 864 * batch); }
static void bench_norm(size_t batch)
{
    for (size_t j = 0; j < batch; j++) level.rmsnorm((float *)got_bytes, xs, xs + 320, 320, 1e-6f);
}
/* `batch` queries that share 160 positions, as sequences with one beginning do. */
static attention shared;
static void      bench_scores(size_t batch)
{
    level.attend_scores(shared.scores_at, shared.q_at, batch, shared.k, 64, 160, shared.v);
}
static void bench_mix(size_t batch)
{
    level.attend_mix(shared.out_at, shared.weights_at, batch, shared.v, 64, 160, shared.k);
}
static void bench_softmax(size_t batch)
{
    for (size_t j = 0; j < batch; j++) level.softmax((float *)got_bytes, 150);
}

/* The fastest of many short runs: what the kernel costs when nothing disturbs it. */
static void bench_one(const char *name, bench_fn fn, size_t batch, double work)
{
    double best = 1e30;
    fill_f32(xs, BATCH_MAX * 1024, FILL_UNIT);
    memset(got_bytes, 0, 4096);
    for (int run = 0; run < 40; run++) {
        const uint64_t start = enx_clock_monotonic_us();
        size_t         calls = 0;
        uint64_t       now;
        do {
            for (int i = 0; i < 20; i++) fn(batch);
            calls += 20;
            now = enx_clock_monotonic_us();
        } while (now - start < 500);
        const double ns = (double)(now - start) * 1e3 / (double)calls;
        if (ns < best) best = ns;
    }
    printf("bench,%s,%s,%zu,%.0f ns,%.2f per ns\n", level.name, name, batch, best, work / best);
}

static void bench_level(void)
{
    bench_one("matmul_f32 4x320", bench_f32, 16, 4 * 320 * 16);
    bench_one("act_from_f32 320", bench_act, 16, 320 * 16);
    bench_one("silu_mul 864", bench_silu, 1, 864);
    bench_one("rmsnorm 320", bench_norm, 16, 320 * 16);
    fill_attention(&shared, 160, FILL_UNIT, 64);
    for (size_t batch = 1; batch <= 6; batch++) {
        bench_one("attend_scores 160x64", bench_scores, batch, 160.0 * 64 * (double)batch);
        bench_one("attend_mix 160x64", bench_mix, batch, 160.0 * 64 * (double)batch);
    }
    bench_one("softmax 150", bench_softmax, 10, 1500);
}

int main(int argc, char **argv)
{
    uint64_t seed = enx_clock_wall_us() % 1000000;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) is_bench = true;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
    }
    static const char *const names[] = { "scalar", "avx2", "avx512", "neon", "dotprod", "i8mm" };
    enum { LEVEL_COUNT = sizeof names / sizeof *names };
    const unsigned           have = enx_cpu_detect(NULL);
    printf("# kernel_check --seed %llu\n1..%d\n", (unsigned long long)seed, LEVEL_COUNT);
    enx_kernels_init(&reference, ENX_CPU_SCALAR);
    bool is_good = true;
    for (int l = 0; l < LEVEL_COUNT; l++) {
        const unsigned flags = enx_cpu_detect(names[l]) & have;
        enx_kernels_init(&level, flags);
        if (strcmp(level.name, names[l]) != 0) {
            printf("ok %d - %s # SKIP this processor or compiler lacks it\n", l + 1, names[l]);
            continue;
        }
        rng = enx_rng_open(seed, 0);
        failure_count = 0;
        if (is_bench) bench_level();
        else test_level();
        if (failure_count)
            printf("# %u failures; repeat with --seed %llu\n", failure_count,
                   (unsigned long long)seed);
        printf("%sok %d - %s\n", failure_count ? "not " : "", l + 1, names[l]);
        is_good &= failure_count == 0;
    }
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
