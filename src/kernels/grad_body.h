/* SPDX-License-Identifier: Apache-2.0 */
/* grad_body.h - the trainer's loops, written once over 16 lanes.
 *
 * Private to grad_*.c: each includes this file under its own -m flags with GRAD_LEVEL, GRAD_BIND,
 * GRAD_STRIP and GRAD_BLOCK_ROWS defined.  The lanes are a compiler vector; a level without 512-bit
 * registers gets them as two or four narrower ones.  Sums always run over 16 lanes and then
 * pairwise, so that the order is the same for every length and thread.  Comparisons are made a
 * strip, one register, at a time: gcc 12 takes those of wider vectors apart, lane by lane.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_GRAD_BODY_H
#define ENX_KERNELS_GRAD_BODY_H

#include "base/check.h"
#include "kernels/grad.h"

#include <math.h>
#include <string.h>

typedef float    lanes __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));
typedef uint32_t ulanes __attribute__((vector_size(64)));
enum { LANES = 16 };

enum { STRIP = GRAD_STRIP }; /* a divisor of LANES */
typedef float   strip __attribute__((vector_size(4 * GRAD_STRIP)));
typedef int32_t istrip __attribute__((vector_size(4 * GRAD_STRIP)));

/* Lanes that cross a call go through memory. */
#define LANES_INLINE static inline __attribute__((always_inline))

/* Half a head may be 8 wide. */
typedef float eight __attribute__((vector_size(32)));
typedef float four __attribute__((vector_size(16)));
enum { EIGHT = 8 };

static inline eight load_eight(const float *p)
{
    eight v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_eight(float *p, eight v) { memcpy(p, &v, sizeof v); }

LANES_INLINE lanes load(const float *p)
{
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

LANES_INLINE void store(float *p, lanes v) { memcpy(p, &v, sizeof v); }

LANES_INLINE strip load_strip(const float *p)
{
    strip v;
    memcpy(&v, p, sizeof v);
    return v;
}

LANES_INLINE void store_strip(float *p, strip v) { memcpy(p, &v, sizeof v); }

LANES_INLINE strip splat(float x) { return (strip){ 0 } + x; }

/* Halves onto each other, down to one. */
LANES_INLINE float lanes_sum(lanes v)
{
    eight low, high;
    four  a, b;
    memcpy(&low, &v, sizeof low);
    memcpy(&high, (const char *)&v + sizeof low, sizeof high);
    low += high;
    memcpy(&a, &low, sizeof a);
    memcpy(&b, (const char *)&low + sizeof a, sizeof b);
    a += b;
    return (a[0] + a[2]) + (a[1] + a[3]);
}

LANES_INLINE strip strip_max(strip a, strip b)
{
    const istrip more = a > b;
    return (strip)(((istrip)a & more) | ((istrip)b & ~more));
}

LANES_INLINE float row_max(const float *x, size_t n)
{
    strip top0 = load_strip(x), top1 = load_strip(x + LANES - STRIP);
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j += 2 * STRIP) {
            top0 = strip_max(load_strip(x + i + j), top0);
            top1 = strip_max(load_strip(x + i + (j + STRIP) % LANES), top1);
        }
    float tops[STRIP], highest;
    store_strip(tops, strip_max(top0, top1));
    highest = tops[0];
    for (size_t i = 1; i < STRIP; i++) highest = tops[i] > highest ? tops[i] : highest;
    return highest;
}

/* e^x for x <= 88; below -87 it is 0.  Relative error < 2e-7: 2^n * p(r), r in [-ln2/2, ln2/2]. */
LANES_INLINE strip strip_exp(strip x)
{
    const strip  low = splat(-87.0f);
    const istrip keep = x > low;
    x = (strip)(((istrip)x & keep) | ((istrip)low & ~keep));
    const strip shifter = splat(12582912.0f); /* 1.5 * 2^23 rounds to an integer */
    const strip t = x * 1.44269504f + shifter;
    const strip n = t - shifter;
    const strip r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    strip       p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const istrip bits = ((istrip)t << 23) + (istrip)p;
    return (strip)(bits & keep);
}

/* row[i] = e^((row[i] - highest) scale); returns the sum.  n: a multiple of LANES. */
LANES_INLINE float exp_row(float *row, size_t n, float highest, float scale)
{
    lanes sum = { 0 };
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = i; j < i + LANES; j += STRIP)
            store_strip(row + j, strip_exp((load_strip(row + j) - highest) * scale));
        sum += load(row + i);
    }
    return lanes_sum(sum);
}

static void to_bf16(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ulanes u;
        memcpy(&u, in + i, sizeof u);
        u = (u + 0x7FFF + ((u >> 16) & 1)) >> 16;
        const halves h = __builtin_convertvector(u, halves);
        memcpy(out + i, &h, sizeof h);
    }
    for (; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + i, sizeof u);
        out[i] = (uint16_t)((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
    }
}

/* All widths below are multiples of LANES: the trainer refuses other sizes. */

static float row_dot(const float *a, const float *b, size_t n)
{
    lanes  sum0 = { 0 }, sum1 = { 0 };
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sum0 += load(a + i) * load(b + i);
        sum1 += load(a + i + LANES) * load(b + i + LANES);
    }
    for (; i < n; i += LANES) sum0 += load(a + i) * load(b + i);
    return lanes_sum(sum0 + sum1);
}

static void rmsnorm(float *y, float *rstd, const float *x, const float *gain, size_t rows, size_t c,
                    float epsilon)
{
    for (size_t row = 0; row < rows; row++, x += c, y += c) {
        const float r = 1.0f / sqrtf(row_dot(x, x, c) / (float)c + epsilon);
        rstd[row] = r;
        for (size_t i = 0; i < c; i += LANES) store(y + i, load(x + i) * r * load(gain + i));
    }
}

/* y_i = x_i r g_i, r = (mean x^2 + e)^-1/2: dx_i = r (dy_i g_i - x_i r^2 mean_j(dy_j g_j x_j)). */
static void rmsnorm_back(float *dx, float *dgain, const float *dy, const float *x,
                         const float *gain, const float *rstd, size_t rows, size_t c)
{
    for (size_t row = 0; row < rows; row++, x += c, dy += c, dx += c) {
        const float r = rstd[row];
        lanes       sum = { 0 };
        for (size_t i = 0; i < c; i += LANES) {
            const lanes dyx = load(dy + i) * load(x + i);
            sum += dyx * load(gain + i);
            store(dgain + i, load(dgain + i) + dyx * r);
        }
        const float pull = lanes_sum(sum) * r * r / (float)c;
        for (size_t i = 0; i < c; i += LANES)
            store(dx + i, load(dx + i) + r * (load(dy + i) * load(gain + i) - load(x + i) * pull));
    }
}

static void head_rope(float *y, float *rstd, const float *x, size_t stride, const float *gain,
                      const uint32_t *positions, const float *cosines, const float *sines,
                      size_t rows, size_t head_count, size_t d, float epsilon)
{
    const size_t half = d / 2;
    for (size_t row = 0; row < rows; row++) {
        const float *cosine = cosines + positions[row] * half,
                    *sine = sines + positions[row] * half;
        for (size_t head = 0; head < head_count; head++) {
            const float *in = x + row * stride + head * d;
            float       *out = y + (row * head_count + head) * d;
            const float  r = 1.0f / sqrtf(row_dot(in, in, d) / (float)d + epsilon);
            rstd[row * head_count + head] = r;
            for (size_t i = 0; i < half; i += EIGHT) {
                const eight a = load_eight(in + i) * r * load_eight(gain + i);
                const eight b = load_eight(in + half + i) * r * load_eight(gain + half + i);
                const eight cos_i = load_eight(cosine + i), sin_i = load_eight(sine + i);
                store_eight(out + i, a * cos_i - b * sin_i);
                store_eight(out + half + i, b * cos_i + a * sin_i);
            }
        }
    }
}

static void head_rope_back(float *dx, float *dgain, float *dy, const float *x, size_t stride,
                           const float *gain, const float *rstd, const uint32_t *positions,
                           const float *cosines, const float *sines, size_t rows, size_t head_count,
                           size_t d)
{
    const size_t half = d / 2;
    for (size_t row = 0; row < rows; row++) {
        const float *cosine = cosines + positions[row] * half,
                    *sine = sines + positions[row] * half;
        for (size_t head = 0; head < head_count; head++) {
            float *dout = dy + (row * head_count + head) * d;
            for (size_t i = 0; i < half; i += EIGHT) {
                const eight da = load_eight(dout + i), db = load_eight(dout + half + i);
                const eight cos_i = load_eight(cosine + i), sin_i = load_eight(sine + i);
                store_eight(dout + i, da * cos_i + db * sin_i);
                store_eight(dout + half + i, db * cos_i - da * sin_i);
            }
            float *din = dx + row * stride + head * d;
            memset(din, 0, d * sizeof *din);
            rmsnorm_back(din, dgain, dout, x + row * stride + head * d, gain,
                         rstd + row * head_count + head, 1, d);
        }
    }
}

/* Below -80 the result is as good as 0, and e^-x would leave the range of f32. */
LANES_INLINE strip sigmoid(strip x)
{
    return 1.0f / (1.0f + strip_exp(-strip_max(x, splat(-80.0f))));
}

static void silu_mul(float *s, const float *gate_up, size_t rows, size_t f)
{
    for (size_t row = 0; row < rows; row++, s += f, gate_up += 2 * f)
        for (size_t i = 0; i < f; i += STRIP) {
            const strip g = load_strip(gate_up + i);
            store_strip(s + i, g * sigmoid(g) * load_strip(gate_up + f + i));
        }
}

static void silu_mul_back(float *dgate_up, const float *ds, const float *gate_up, size_t rows,
                          size_t f)
{
    for (size_t row = 0; row < rows; row++, ds += f, gate_up += 2 * f, dgate_up += 2 * f)
        for (size_t i = 0; i < f; i += STRIP) {
            const strip g = load_strip(gate_up + i), u = load_strip(gate_up + f + i);
            const strip ds_i = load_strip(ds + i), sg = sigmoid(g);
            store_strip(dgate_up + i, ds_i * u * sg * (1.0f + g * (1.0f - sg)));
            store_strip(dgate_up + f + i, ds_i * g * sg);
        }
}

/* ---- Small products for attention -------------------------------------------------------
 *
 * c[m][n] = sum_k a(m, k) b[k][n], a(m, k) = a[m * a_row + k * a_column], over blocks of rows
 * and two strips of columns held in registers: GRAD_STRIP is the level's register, and
 * GRAD_BLOCK_ROWS, a divisor of 32, as many rows as fit.  Each number of c is one sum over rising
 * k, so the shape of the blocks changes no bit.  `triangle` skips what causality makes zero: LOWER
 * sums k < m + the block's rows, UPPER sums k >= m. */
enum { BLOCK_ROWS = GRAD_BLOCK_ROWS, BLOCK_COLUMNS = 2 * STRIP };
typedef enum triangle { LOWER, UPPER } triangle;

static inline void block_product(float *c, size_t c_stride, const float *a, size_t a_row,
                                 size_t a_column, const float *b, size_t b_stride, size_t k_first,
                                 size_t k_end)
{
    strip sum[BLOCK_ROWS][2] = { { { 0 } } };
    for (size_t k = k_first; k < k_end; k++) {
        const strip b0 = load_strip(b + k * b_stride), b1 = load_strip(b + k * b_stride + STRIP);
        for (size_t r = 0; r < BLOCK_ROWS; r++) {
            const float x = a[r * a_row + k * a_column];
            sum[r][0] += x * b0;
            sum[r][1] += x * b1;
        }
    }
    for (size_t r = 0; r < BLOCK_ROWS; r++) {
        store_strip(c + r * c_stride, sum[r][0]);
        store_strip(c + r * c_stride + STRIP, sum[r][1]);
    }
}

/* The same for one strip: a narrow head where registers are wide. */
static inline void half_block_product(float *c, size_t c_stride, const float *a, size_t a_row,
                                      size_t a_column, const float *b, size_t b_stride,
                                      size_t k_first, size_t k_end)
{
    strip sum[BLOCK_ROWS] = { { 0 } };
    for (size_t k = k_first; k < k_end; k++) {
        const strip b_k = load_strip(b + k * b_stride);
        for (size_t r = 0; r < BLOCK_ROWS; r++) sum[r] += a[r * a_row + k * a_column] * b_k;
    }
    for (size_t r = 0; r < BLOCK_ROWS; r++) store_strip(c + r * c_stride, sum[r]);
}

/* c [rows][columns], columns a multiple of 16, rows of 32; inner = length of the sum. */
static void product(float *c, size_t c_stride, const float *a, size_t a_row, size_t a_column,
                    const float *b, size_t b_stride, size_t rows, size_t columns, size_t inner,
                    triangle part)
{
    for (size_t m = 0; m < rows; m += BLOCK_ROWS) {
        const size_t k_first = part == UPPER ? m : 0;
        const size_t k_end = part == LOWER && m + BLOCK_ROWS < inner ? m + BLOCK_ROWS : inner;
        const float *a_m = a + m * a_row;
        size_t       n = 0;
        for (; n + BLOCK_COLUMNS <= columns; n += BLOCK_COLUMNS)
            block_product(c + m * c_stride + n, c_stride, a_m, a_row, a_column, b + n, b_stride,
                          k_first, k_end);
        if (n < columns)
            half_block_product(c + m * c_stride + n, c_stride, a_m, a_row, a_column, b + n,
                               b_stride, k_first, k_end);
    }
}

/* scores[m][n] for n <= m, and the rest of the 16 columns that hold the last one. */
static void lower_scores(float *scores, const float *a, const float *b_t, size_t padded, size_t d)
{
    for (size_t m = 0; m < padded; m += BLOCK_ROWS)
        for (size_t n = 0; n < m + BLOCK_ROWS; n += BLOCK_COLUMNS)
            block_product(scores + m * padded + n, padded, a + m * d, d, 1, b_t + n, padded, 0, d);
}

enum { PADDING = 2 * LANES }; /* of a segment's tokens */

static size_t padded_count(size_t n) { return (n + PADDING - 1) & ~(size_t)(PADDING - 1); }

/* Rows of heads are short: 64 bytes at a time are faster than a call. */
static void copy_rows(float *out, size_t out_stride, const float *in, size_t in_stride, size_t n,
                      size_t d)
{
    for (size_t j = 0; j < d; j += LANES)
        for (size_t i = 0; i < n; i++)
            store(out + i * out_stride + j, load(in + i * in_stride + j));
}

/* Copy [n][d] at `stride` into a dense, zero-padded [padded][d]. */
static void gather(float *out, const float *in, size_t stride, size_t n, size_t padded, size_t d)
{
    copy_rows(out, d, in, stride, n, d);
    memset(out + n * d, 0, (padded - n) * d * sizeof *out);
}

static void scatter(float *out, size_t stride, const float *in, size_t n, size_t d)
{
    copy_rows(out, stride, in, d, n, d);
}

/* Copy [n][d] at `stride` into the turned, zero-padded [d][padded], 8 rows at a time: one line of
 * the cache for each of d. */
static void gather_turned(float *out, const float *in, size_t stride, size_t n, size_t padded,
                          size_t d)
{
    size_t i = 0;
    for (; i + EIGHT <= n; i += EIGHT)
        for (size_t j = 0; j < d; j++) {
            eight column;
            for (size_t k = 0; k < EIGHT; k++) column[k] = in[(i + k) * stride + j];
            store_eight(out + j * padded + i, column);
        }
    for (; i < padded; i++)
        for (size_t j = 0; j < d; j++) out[j * padded + i] = i < n ? in[i * stride + j] : 0;
}

/* Softmax of the lower triangle in place; the rest of the 16 columns that hold the diagonal becomes
 * 0.  What lies right of these is never read: block rows are fewer. */
static void causal_softmax(float *scores, size_t padded, float scale)
{
    for (size_t m = 0; m < padded; m++) {
        float       *row = scores + m * padded;
        const size_t end = (m + LANES) & ~(size_t)(LANES - 1);
        for (size_t n = m + 1; n < end; n++) row[n] = -1e30f;
        const float inverse = 1.0f / exp_row(row, end, row_max(row, end), scale);
        for (size_t n = 0; n < end; n += LANES) store(row + n, load(row + n) * inverse);
    }
}

static void attention(float *out, const float *q, const float *k, const float *v, size_t c,
                      size_t v_stride, size_t n, size_t d, float *scratch)
{
    const size_t padded = padded_count(n);
    float       *scores = scratch, *dense = scores + padded * padded, *turned = dense + padded * d;
    gather_turned(turned, k, c, n, padded, d);
    gather(dense, q, c, n, padded, d);
    lower_scores(scores, dense, turned, padded, d);
    causal_softmax(scores, padded, 1.0f / sqrtf((float)d));
    gather(turned, v, v_stride, n, padded, d);
    product(dense, d, scores, padded, 1, turned, d, padded, d, padded, LOWER);
    scatter(out, c, dense, n, d);
}

/* dS = P (dP - sum_n P dP) / sqrt(d), in place of dP, where causal_softmax writes. */
static void softmax_back(float *dscores, const float *p, size_t padded, float scale)
{
    for (size_t m = 0; m < padded; m++) {
        float       *dp = dscores + m * padded;
        const float *row = p + m * padded;
        const size_t end = (m + LANES) & ~(size_t)(LANES - 1);
        lanes        sum = { 0 };
        for (size_t n = 0; n < end; n += LANES) sum += load(dp + n) * load(row + n);
        const float total = lanes_sum(sum);
        for (size_t n = 0; n < end; n += LANES)
            store(dp + n, load(row + n) * (load(dp + n) - total) * scale);
    }
}

static void attention_back(float *dq, float *dk, float *dv, const float *dout, const float *q,
                           const float *k, const float *v, size_t c, size_t v_stride, size_t n,
                           size_t d, float *scratch)
{
    const size_t padded = padded_count(n), square = padded * padded, dense = padded * d;
    float       *p = scratch, *ds = p + square, *q_d = ds + square, *k_d = q_d + dense;
    float       *turned = k_d + dense, *dout_d = turned + dense, *result = dout_d + dense;
    const float  scale = 1.0f / sqrtf((float)d);
    gather(q_d, q, c, n, padded, d);
    gather(k_d, k, c, n, padded, d);
    gather(dout_d, dout, c, n, padded, d);
    gather_turned(turned, k, c, n, padded, d);
    lower_scores(p, q_d, turned, padded, d);
    causal_softmax(p, padded, scale);
    product(result, d, p, 1, padded, dout_d, d, padded, d, padded, UPPER); /* dV = P^T dO */
    scatter(dv, v_stride, result, n, d);
    gather_turned(turned, v, v_stride, n, padded, d);
    lower_scores(ds, dout_d, turned, padded, d); /* dP = dO V^T */
    softmax_back(ds, p, padded, scale);
    product(result, d, ds, padded, 1, k_d, d, padded, d, padded, LOWER);
    scatter(dq, c, result, n, d);
    product(result, d, ds, 1, padded, q_d, d, padded, d, padded, UPPER);
    scatter(dk, c, result, n, d);
}

static float cross_entropy(float *logits, size_t n, uint32_t target, float scale, float z_weight)
{
    const float highest = row_max(logits, n), at_target = logits[target];
    const float total = exp_row(logits, n, highest, 1.0f), log_sum = highest + logf(total);
    const float factor = scale * (1.0f + 2.0f * z_weight * log_sum) / total;
    for (size_t i = 0; i < n; i += LANES) store(logits + i, load(logits + i) * factor);
    logits[target] -= scale;
    return log_sum - at_target;
}

static void adamw(float *p, float *m, float *v, const float *g, size_t n, float g_scale, float lr,
                  float decay, float beta1, float beta2, float correct1, float correct2)
{
    const float step = lr / correct1, root = 1.0f / sqrtf(correct2), keep = 1.0f - lr * decay;
    for (size_t i = 0; i < n; i++) {
        const float grad = g[i] * g_scale;
        m[i] = beta1 * m[i] + (1.0f - beta1) * grad;
        v[i] = beta2 * v[i] + (1.0f - beta2) * grad * grad;
        p[i] = p[i] * keep - step * m[i] / (sqrtf(v[i]) * root + 1e-8f);
    }
}

static double sum_squares(const float *x, size_t n)
{
    double sum = 0;
    size_t i = 0;
    for (; i + 1024 <= n; i += 1024) sum += (double)row_dot(x + i, x + i, 1024);
    for (; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

void GRAD_BIND(enx_grad_kernels *table);
void GRAD_BIND(enx_grad_kernels *table)
{
    *table = (enx_grad_kernels){
        .name = GRAD_LEVEL,
        .to_bf16 = to_bf16,
        .rmsnorm = rmsnorm,
        .rmsnorm_back = rmsnorm_back,
        .head_rope = head_rope,
        .head_rope_back = head_rope_back,
        .silu_mul = silu_mul,
        .silu_mul_back = silu_mul_back,
        .attention = attention,
        .attention_back = attention_back,
        .cross_entropy = cross_entropy,
        .adamw = adamw,
        .sum_squares = sum_squares,
    };
}

#endif /* ENX_KERNELS_GRAD_BODY_H */
