/* SPDX-License-Identifier: Apache-2.0 */
/* minimise.h - the lowest point of a function of a few variables whose gradient is known.
 *
 * BFGS with a dense inverse Hessian and a weak Wolfe line search by bisection, which does not
 * need the second derivative to be continuous: what is fitted here has kinks in its gradient.
 *
 * Layer: scale.  Thread-safety: no shared state.
 * Source: Nocedal, Wright, "Numerical Optimization", 2006, ch. 6; Lewis, Overton, "Nonsmooth
 * optimization via quasi-Newton methods", Math. Program. 141, 2013 (the line search).
 */
#ifndef ENX_SCALE_MINIMISE_H
#define ENX_SCALE_MINIMISE_H

#include <stdbool.h>
#include <stdint.h>

enum { ENX_MINIMISE_VARIABLES_MAX = 8 };

/* The value at x[n], and its gradient into gradient[n].  Not finite: a place nobody may go. */
typedef double (*enx_objective)(void *user, const double *x, double *gradient);

typedef struct enx_minimise_options {
    uint32_t      variable_count;
    uint32_t      steps_max;
    double        gradient_max;    /* done when no component is larger */
    double        value_change;    /* ... or when a step lowers the value by less than this part */
    const double *inverse_hessian; /* [n * n], to start from; NULL: a multiple of the unit matrix */
} enx_minimise_options;

typedef struct enx_minimum {
    double   value;
    double   gradient; /* its largest component */
    uint32_t steps, evaluations;
} enx_minimum;

/* Go downhill from x, in place.  Never ends higher than it began.  The value at x must be finite.
 * inverse_hessian_out, if not NULL, is [n * n]: the last estimate, for the next start nearby. */
enx_minimum enx_minimise(double *x, enx_objective objective, void *user,
                         const enx_minimise_options *options, double *inverse_hessian_out);

#endif /* ENX_SCALE_MINIMISE_H */
