/* SPDX-License-Identifier: Apache-2.0 */
/* calibration.c - how likely an answer is wrong, learnt from answers whose truth is known. */
#include "backend/exam.h"

#include <math.h>
#include <string.h>

enum { FEATURES = ENX_CALIBRATION_FEATURES, STEPS_MAX = 50 };

static const double ridge = 1e-2;

static double chance(const double c[FEATURES], const double x[FEATURES])
{
    double sum = 0;
    for (int i = 0; i < FEATURES; i++) sum += c[i] * x[i];
    return 1.0 / (1.0 + exp(-fmax(fmin(sum, 30), -30)));
}

/* Solve the symmetric positive system in place by elimination; the ridge keeps pivots away from 0.
 */
static void solve(double a[FEATURES][FEATURES], double b[FEATURES])
{
    for (int p = 0; p < FEATURES; p++)
        for (int row = 0; row < FEATURES; row++) {
            if (row == p) continue;
            const double factor = a[row][p] / a[p][p];
            for (int k = p; k < FEATURES; k++) a[row][k] -= factor * a[p][k];
            b[row] -= factor * b[p];
        }
    for (int i = 0; i < FEATURES; i++) b[i] /= a[i][i];
}

/* Gradient and Hessian of the penalized log-likelihood at c. */
static void curvature(double hessian[FEATURES][FEATURES], double gradient[FEATURES],
                      const double c[FEATURES], const double (*x)[FEATURES], const bool *is_wrong,
                      size_t count)
{
    memset(hessian, 0, sizeof(double) * FEATURES * FEATURES);
    for (int i = 0; i < FEATURES; i++) {
        const double pull = i ? ridge * (double)count : 1e-6;
        gradient[i] = -pull * c[i];
        hessian[i][i] = pull;
    }
    for (size_t n = 0; n < count; n++) {
        const double p = chance(c, x[n]), weight = p * (1 - p) + 1e-9;
        for (int i = 0; i < FEATURES; i++) {
            gradient[i] += ((is_wrong[n] ? 1.0 : 0.0) - p) * x[n][i];
            for (int k = 0; k < FEATURES; k++) hessian[i][k] += weight * x[n][i] * x[n][k];
        }
    }
}

void enx_calibration_fit(double      coefficients[FEATURES], const double (*features)[FEATURES],
                         const bool *is_wrong, size_t count)
{
    double wrong = 0;
    for (size_t n = 0; n < count; n++) wrong += is_wrong[n];
    const double base = (wrong + 1) / ((double)count + 2);
    double       c[FEATURES] = { log(base / (1 - base)) };
    for (int step = 0; step < STEPS_MAX && wrong > 0 && wrong < (double)count; step++) {
        double hessian[FEATURES][FEATURES], move[FEATURES], size = 0;
        curvature(hessian, move, c, features, is_wrong, count);
        solve(hessian, move);
        for (int i = 0; i < FEATURES; i++) size += fabs(move[i]);
        const double shrink = size > 4 ? 4 / size : 1;
        for (int i = 0; i < FEATURES; i++) c[i] += shrink * move[i];
        if (size < 1e-9) break;
    }
    for (int i = 0; i < FEATURES; i++) coefficients[i] = isfinite(c[i]) ? c[i] : 0;
}
