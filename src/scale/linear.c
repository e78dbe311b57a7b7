/* SPDX-License-Identifier: Apache-2.0 */
/* linear.c - normal equations of three unknowns. */
#include "scale/linear.h"

#include <math.h>

enum { COLUMNS = ENX_LINEAR_COLUMNS };

/* Invert a symmetric matrix; returns its determinant. */
static double invert(const double m[COLUMNS * COLUMNS], double out[COLUMNS * COLUMNS])
{
    const double c0 = m[4] * m[8] - m[5] * m[5], c1 = m[2] * m[5] - m[1] * m[8],
                 c2 = m[1] * m[5] - m[2] * m[4];
    const double det = m[0] * c0 + m[1] * c1 + m[2] * c2, r = 1 / det;
    out[0] = c0 * r;
    out[1] = out[3] = c1 * r;
    out[2] = out[6] = c2 * r;
    out[4] = (m[0] * m[8] - m[2] * m[2]) * r;
    out[5] = out[7] = (m[1] * m[2] - m[0] * m[5]) * r;
    out[8] = (m[0] * m[4] - m[1] * m[1]) * r;
    return det;
}

void enx_linear_begin(enx_linear *l, const enx_linear_prior *prior)
{
    double product = 1;
    *l = (enx_linear){ .freedom = 2 * prior->noise_weight,
                       .noise_sum = prior->noise * prior->noise * prior->noise_weight };
    for (int k = 0; k < COLUMNS; k++) {
        const double ratio = prior->noise / prior->deviation[k], precision = ratio * ratio;
        l->precision[(COLUMNS + 1) * k] = precision;
        l->right[k] = precision * prior->mean[k];
        l->total += l->right[k] * prior->mean[k];
        product *= precision;
    }
    l->log_prior = 0.5 * log(product);
}

void enx_linear_add(enx_linear *l, const double x[COLUMNS], double y, double weight)
{
    const double w = weight / (y * y);
    for (int k = 0; k < COLUMNS; k++) {
        const double wx = w * x[k];
        l->right[k] += wx * y;
        for (int j = 0; j < COLUMNS; j++) l->precision[COLUMNS * k + j] += wx * x[j];
    }
    l->total += weight;
    l->freedom += 1;
}

void enx_linear_solve(const enx_linear *l, enx_linear_posterior *out)
{
    const double det = invert(l->precision, out->spread), a = 0.5 * l->freedom;
    double       total = l->total;
    for (int k = 0; k < COLUMNS; k++) {
        out->mean[k] = 0;
        for (int j = 0; j < COLUMNS; j++)
            out->mean[k] += out->spread[COLUMNS * k + j] * l->right[j];
        total -= out->mean[k] * l->right[k];
    }
    const double b = l->noise_sum + 0.5 * fmax(total, 0);
    out->scale = b / a;
    out->freedom = l->freedom;
    out->evidence = l->log_prior - 0.5 * log(det) - a * log(b / l->noise_sum);
}

double enx_linear_predict(const enx_linear_posterior *p, const double x[COLUMNS], double weight,
                          double *scale)
{
    double centre = 0, spread = 0;
    for (int k = 0; k < COLUMNS; k++) {
        double row = 0;
        for (int j = 0; j < COLUMNS; j++) row += p->spread[COLUMNS * k + j] * x[j];
        centre += p->mean[k] * x[k];
        spread += x[k] * row;
    }
    *scale = sqrt(p->scale * (centre * centre / weight + spread));
    return centre;
}
