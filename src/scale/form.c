/* SPDX-License-Identifier: Apache-2.0 */
/* form.c - four laws and their derivatives.
 *
 * A sum of powers is, in logarithms, the log of a sum of exponentials; its derivative by each
 * exponent is that term's share of the sum.
 */
#include "scale/form.h"

#include <math.h>

const enx_form_info enx_form_infos[ENX_FORMS_COUNT] = {
    [ENX_FORM_CHINCHILLA] = { "chinchilla",
                              "L = E + A N^-alpha + B D^-beta",
                              { "A", "B", "E", "alpha", "beta" },
                              5,
                              4500,
                              1 },
    [ENX_FORM_TIED] = { "tied",
                        "L = E + A N^-alpha + B D^-alpha",
                        { "A", "B", "E", "alpha" },
                        4,
                        900,
                        1 },
    [ENX_FORM_KAPLAN] = { "kaplan",
                          "L = ((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D",
                          { "Nc", "Dc", "alpha_N", "alpha_D" },
                          4,
                          768,
                          1 },
    [ENX_FORM_BROKEN] = { "broken",
                          "L = E + A C^-c0 (1 + (C/d)^(1/f))^(-c1 f)",
                          { "A", "E", "c0", "d", "c1", "f" },
                          6,
                          270,
                          0 },
};

/* ln(e^u + e^v), and the share of the first. */
static double log_sum2(double u, double v, double *share)
{
    const double gap = v - u, ratio = exp(-fabs(gap));
    *share = gap > 0 ? ratio / (1 + ratio) : 1 / (1 + ratio);
    return fmax(u, v) + log1p(ratio);
}

/* params: a, b, e, alpha, beta; the last one left out where it is alpha.  In units of E: where A or
 * B is exp(700) times that, the result is infinite, and no search goes there. */
static double chinchilla(const double *p, double beta, const enx_point *at, double share[3])
{
    const double u = exp(p[0] - p[3] * at->params - p[2]), v = exp(p[1] - beta * at->tokens - p[2]);
    const double sum = 1 + u + v;
    share[0] = u / sum;
    share[1] = v / sum;
    share[2] = 1 / sum;
    return p[2] + log(sum);
}

static double value_chinchilla(const double *p, const enx_point *at, double *g)
{
    const double value = chinchilla(p, p[4], at, g);
    g[3] = -g[0] * at->params;
    g[4] = -g[1] * at->tokens;
    return value;
}

static double value_tied(const double *p, const enx_point *at, double *g)
{
    const double value = chinchilla(p, p[3], at, g);
    g[3] = -g[0] * at->params - g[1] * at->tokens;
    return value;
}

/* params: ln Nc, ln Dc, alpha_N / alpha_D, alpha_D */
static double value_kaplan(const double *p, const enx_point *at, double *g)
{
    double       share;
    const double sum = log_sum2(p[2] * (p[0] - at->params), p[1] - at->tokens, &share);
    g[0] = p[3] * share * p[2];
    g[1] = p[3] * (1 - share);
    g[2] = p[3] * share * (p[0] - at->params);
    g[3] = sum;
    return p[3] * sum;
}

/* params: a, e, c0, ln d, c1, ln f.  A change of slope from c0 to c0 + c1 around C = d, over about
 * f of ln C. */
static double value_broken(const double *p, const enx_point *at, double *g)
{
    const double width = exp(p[5]), z = (at->flops - p[3]) / width;
    const double soft = z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
    const double turned = 1 / (1 + exp(-z));
    double       share;
    const double value = log_sum2(p[0] - p[2] * at->flops - p[4] * width * soft, p[1], &share);
    g[0] = share;
    g[1] = 1 - share;
    g[2] = -share * at->flops;
    g[3] = share * p[4] * turned;
    g[4] = -share * width * soft;
    g[5] = -share * p[4] * width * (soft - z * turned);
    return value;
}

double enx_form_value(enx_form form, const double *params, const enx_point *at, double *gradient)
{
    switch (form) {
    case ENX_FORM_CHINCHILLA:
        return value_chinchilla(params, at, gradient);
    case ENX_FORM_TIED:
        return value_tied(params, at, gradient);
    case ENX_FORM_KAPLAN:
        return value_kaplan(params, at, gradient);
    default:
        return value_broken(params, at, gradient);
    }
}

void enx_form_natural(enx_form form, const double *p, double *out)
{
    const uint32_t count = enx_form_infos[form].param_count;
    for (uint32_t i = 0; i < count; i++) out[i] = p[i];
    switch (form) {
    case ENX_FORM_KAPLAN:
        out[0] = exp(p[0]);
        out[1] = exp(p[1]);
        out[2] = p[2] * p[3];
        return;
    case ENX_FORM_BROKEN:
        for (int i = 0; i < 2; i++) out[i] = exp(p[i]);
        out[3] = exp(p[3]);
        out[5] = exp(p[5]);
        return;
    default:
        for (int i = 0; i < 3; i++) out[i] = exp(p[i]);
    }
}

void enx_form_shift(enx_form form, double *p, const enx_point *by)
{
    switch (form) {
    case ENX_FORM_KAPLAN:
        p[0] -= by->params;
        p[1] -= by->tokens;
        return;
    case ENX_FORM_BROKEN:
        p[0] -= p[2] * by->flops;
        p[3] -= by->flops;
        return;
    default:
        p[0] -= p[3] * by->params;
        p[1] -= (form == ENX_FORM_TIED ? p[3] : p[4]) * by->tokens;
    }
}

/* Take a digit off a number written in mixed bases. */
static uint32_t take(uint32_t *index, uint32_t base)
{
    const uint32_t digit = *index % base;
    *index /= base;
    return digit;
}

static void start_broken(uint32_t index, const enx_form_frame *f, double *p)
{
    static const double slopes[] = { 0.05, 0.15, 0.4 }, turns[] = { -0.1, 0.1, 0.4 };
    static const double widths[] = { 0.3, 1 }, floors[] = { 0.05, 0.3, 3 };
    const double        span = f->high.flops - f->low.flops;
    p[2] = slopes[take(&index, 3)];
    p[4] = turns[take(&index, 3)];
    p[5] = log(widths[take(&index, 2)]);
    p[1] = f->low.loss - floors[take(&index, 3)];
    p[3] = f->low.flops + span * (1 + take(&index, 5)) / 6;
    p[0] = f->high.loss + p[2] * f->low.flops;
}

void enx_form_start(enx_form form, uint32_t index, const enx_form_frame *frame, double *p)
{
    static const double ratios[] = { 0.5, 1, 1.5 }, powers[] = { 0.05, 0.1, 0.2, 0.4 };
    switch (form) {
    case ENX_FORM_KAPLAN:
        p[0] = 5 + 5.0 * take(&index, 8);
        p[1] = 5 + 5.0 * take(&index, 8);
        p[2] = ratios[take(&index, 3)];
        p[3] = powers[take(&index, 4)];
        return;
    case ENX_FORM_BROKEN:
        start_broken(index, frame, p);
        return;
    default:
        p[0] = 5.0 * take(&index, 6);
        p[1] = 5.0 * take(&index, 6);
        p[2] = -1 + 0.5 * take(&index, 5);
        p[3] = 0.5 * take(&index, 5);
        if (form == ENX_FORM_CHINCHILLA) p[4] = 0.5 * take(&index, 5);
    }
}
