/* SPDX-License-Identifier: Apache-2.0 */
/* minimise.c - BFGS for a handful of variables. */
#include "scale/minimise.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

enum { VARIABLES = ENX_MINIMISE_VARIABLES_MAX, LINE_STEPS_MAX = 40 };

static const double sufficient = 1e-4, curvature = 0.9; /* of the Wolfe conditions */

typedef struct descent {
    enx_objective objective;
    void         *user;
    uint32_t      n;
    double       *x; /* the caller's */
    double        gradient[VARIABLES], direction[VARIABLES];
    double        inverse[VARIABLES * VARIABLES];
    enx_minimum   minimum;
} descent;

static double dot(const double *a, const double *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double largest(const double *a, uint32_t n)
{
    double max = 0;
    for (uint32_t i = 0; i < n; i++) max = fmax(max, fabs(a[i]));
    return max;
}

static void set_unit(descent *d, double size)
{
    memset(d->inverse, 0, sizeof d->inverse);
    for (uint32_t i = 0; i < d->n; i++) d->inverse[i * d->n + i] = size;
}

/* direction = -inverse gradient; where that does not go down, straight down. */
static double set_direction(descent *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        d->direction[i] = -dot(&d->inverse[i * d->n], d->gradient, d->n);
    const double slope = dot(d->direction, d->gradient, d->n);
    if (slope < 0) return slope;
    set_unit(d, 1 / fmax(1, largest(d->gradient, d->n)));
    for (uint32_t i = 0; i < d->n; i++) d->direction[i] = -d->inverse[0] * d->gradient[i];
    return dot(d->direction, d->gradient, d->n);
}

static double evaluate(descent *d, const double *x, double *gradient)
{
    d->minimum.evaluations++;
    const double value = d->objective(d->user, x, gradient);
    return isfinite(value) && isfinite(largest(gradient, d->n)) ? value : INFINITY;
}

/* Find a step that is neither too long nor too short; false: none goes down. */
static bool search_line(descent *d, double slope, double x[VARIABLES], double gradient[VARIABLES],
                        double *value)
{
    double low = 0, high = INFINITY, step = 1;
    bool   has_better = false;
    for (int i = 0; i < LINE_STEPS_MAX; i++) {
        double at[VARIABLES], g[VARIABLES];
        for (uint32_t k = 0; k < d->n; k++) at[k] = d->x[k] + step * d->direction[k];
        const double v = evaluate(d, at, g);
        const bool   is_low = v <= d->minimum.value + sufficient * step * slope;
        if (is_low && v < d->minimum.value && (!has_better || v < *value)) {
            memcpy(x, at, sizeof at);
            memcpy(gradient, g, sizeof g);
            *value = v;
            has_better = true;
        }
        if (!is_low) high = step;
        else if (dot(g, d->direction, d->n) < curvature * slope) low = step;
        else break;
        step = isinf(high) ? 2 * low : (low + high) / 2;
    }
    return has_better;
}

/* The rank-two update; s is the step, y what it did to the gradient. */
static void update(descent *d, const double *s, const double *y, bool is_first)
{
    const uint32_t n = d->n;
    const double   sy = dot(s, y, n);
    double         hy[VARIABLES];
    if (!(sy > 1e-300)) return;
    if (is_first) set_unit(d, sy / dot(y, y, n));
    for (uint32_t i = 0; i < n; i++) hy[i] = dot(&d->inverse[i * n], y, n);
    const double scale = (1 + dot(y, hy, n) / sy) / sy;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
            d->inverse[i * n + j] += scale * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / sy;
}

/* One step; false when there is nothing left to gain. */
static bool step_down(descent *d, const enx_minimise_options *o)
{
    double       x[VARIABLES] = { 0 }, gradient[VARIABLES] = { 0 }, s[VARIABLES], y[VARIABLES];
    double       value = d->minimum.value;
    const double slope = set_direction(d);
    if (!search_line(d, slope, x, gradient, &value)) return false;
    for (uint32_t i = 0; i < d->n; i++) {
        s[i] = x[i] - d->x[i];
        y[i] = gradient[i] - d->gradient[i];
    }
    update(d, s, y, d->minimum.steps == 0 && !o->inverse_hessian);
    memcpy(d->x, x, d->n * sizeof *x);
    memcpy(d->gradient, gradient, sizeof gradient);
    const double gain = d->minimum.value - value;
    d->minimum.value = value;
    d->minimum.gradient = largest(gradient, d->n);
    d->minimum.steps++;
    return gain > o->value_change * fabs(value);
}

enx_minimum enx_minimise(double *x, enx_objective objective, void *user,
                         const enx_minimise_options *o, double *inverse_hessian_out)
{
    const uint32_t n = o->variable_count;
    ENX_CHECK(n > 0 && n <= VARIABLES);
    descent d = { .objective = objective, .user = user, .n = n, .x = x };
    d.minimum.value = evaluate(&d, x, d.gradient);
    d.minimum.gradient = largest(d.gradient, n);
    ENX_CHECK(isfinite(d.minimum.value));
    set_unit(&d, 1 / fmax(1, d.minimum.gradient));
    if (o->inverse_hessian) memcpy(d.inverse, o->inverse_hessian, n * n * sizeof *d.inverse);
    while (d.minimum.gradient > o->gradient_max && d.minimum.steps < o->steps_max)
        if (!step_down(&d, o)) break;
    if (inverse_hessian_out) memcpy(inverse_hessian_out, d.inverse, n * n * sizeof *d.inverse);
    return d.minimum;
}
