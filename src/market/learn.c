/* SPDX-License-Identifier: Apache-2.0 */
/* learn.c - two least squares: of the levels for the rate, of the steps for the noise.
 *
 * Errors of levels hang together from year to year, so their standard error is too small; what a
 * forecast needs is the spread of steps.
 */
#include "market/learn.h"

#include "base/check.h"

#include <math.h>

static enx_status check_rows(const double *units, const double *cost, uint32_t count,
                             enx_report *report)
{
    if (count < ENX_LEARN_POINTS_MIN || count > ENX_LEARN_POINTS_MAX)
        return ENX_FAIL(report, INVALID, "%u rows, a fit takes from %d to %d", count,
                        ENX_LEARN_POINTS_MIN, ENX_LEARN_POINTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!(units[i] > 0 && units[i] < INFINITY) || !(cost[i] > 0 && cost[i] < INFINITY))
            return ENX_FAIL(report, INVALID, "row %u: units %g and cost %g; both are above 0",
                            i + 1, units[i], cost[i]);
        if (i > 0 && !(units[i] > units[i - 1]))
            return ENX_FAIL(report, INVALID,
                            "row %u: units are %g after %g; they are all made so far, and rise",
                            i + 1, units[i], units[i - 1]);
    }
    return ENX_OK;
}

static void fit_levels(enx_learning *out, const double *units, const double *cost, double n)
{
    double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    for (uint32_t i = 0; i < n; i++) {
        x += log(units[i]) / n;
        y += log(cost[i]) / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        const double dx = log(units[i]) - x, dy = log(cost[i]) - y;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    out->exponent = xy / xx;
    const double rest = fmax(0, yy - xy * out->exponent);
    out->exponent_se = sqrt(rest / (n - 2) / xx);
    out->fit = yy > 0 ? 1 - rest / yy : 1;
    out->rate = 1 - exp2(out->exponent);
}

static void fit_steps(enx_learning *out, const double *units, const double *cost, uint32_t count)
{
    double xx = 0, xy = 0, rest = 0;
    for (uint32_t i = 1; i < count; i++) {
        const double dx = log(units[i] / units[i - 1]);
        xx += dx * dx;
        xy += dx * log(cost[i] / cost[i - 1]);
    }
    out->step_exponent = xy / xx;
    for (uint32_t i = 1; i < count; i++) {
        const double error =
            log(cost[i] / cost[i - 1]) - out->step_exponent * log(units[i] / units[i - 1]);
        rest += error * error;
    }
    out->noise_sd = sqrt(rest / (count - 2.0)); /* count - 1 steps, one parameter */
}

enx_status enx_learn_fit(enx_learning *out, const double *units, const double *cost, uint32_t count,
                         enx_report *report)
{
    ENX_CHECK(out && units && cost);
    ENX_TRY(check_rows(units, cost, count, report));
    fit_levels(out, units, cost, count);
    fit_steps(out, units, cost, count);
    return ENX_OK;
}
