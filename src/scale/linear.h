/* SPDX-License-Identifier: Apache-2.0 */
/* linear.h - Bayesian regression on three columns, in closed form.
 *
 *     1 = x . m / y + sigma noise / sqrt(weight)
 *
 * a run's loss y divided into its three columns x, so that sigma is relative.  The belief about the
 * coefficients m and sigma^2 is normal-inverse-gamma before and after; the evidence and the
 * forecast, a Student t, are formulas.
 *
 * Layer: scale.  Thread-safety: one owner thread; not shared.
 * Source: Bishop, "Pattern Recognition and Machine Learning", 2006, ch. 3 and exercise 3.12.
 */
#ifndef ENX_SCALE_LINEAR_H
#define ENX_SCALE_LINEAR_H

enum { ENX_LINEAR_COLUMNS = 3 };

typedef struct enx_linear_prior {
    double mean[ENX_LINEAR_COLUMNS];
    double deviation[ENX_LINEAR_COLUMNS]; /* for a sigma of `noise` */
    double noise;                         /* sigma^2 is near noise^2 ... */
    double noise_weight;                  /* ... as after twice this many runs */
} enx_linear_prior;

typedef struct enx_linear {
    double precision[ENX_LINEAR_COLUMNS * ENX_LINEAR_COLUMNS]; /* by sigma^-2 */
    double right[ENX_LINEAR_COLUMNS];
    double total, freedom;
    double log_prior; /* half the ln of the prior precision's determinant */
    double noise_sum; /* b of the prior */
} enx_linear;

typedef struct enx_linear_posterior {
    double mean[ENX_LINEAR_COLUMNS];
    double spread[ENX_LINEAR_COLUMNS * ENX_LINEAR_COLUMNS]; /* covariance by sigma^2 */
    double scale;                                           /* sigma^2 as the t has it */
    double freedom;                                         /* degrees of freedom of the t */
    double evidence; /* ln, less terms that depend on the runs' number and losses alone */
} enx_linear_posterior;

void enx_linear_begin(enx_linear *l, const enx_linear_prior *prior);
void enx_linear_add(enx_linear *l, const double x[ENX_LINEAR_COLUMNS], double y, double weight);
void enx_linear_solve(const enx_linear *l, enx_linear_posterior *out);

/* The forecast at x of the mean of `weight` runs: the t's centre and its scale. */
double enx_linear_predict(const enx_linear_posterior *p, const double x[ENX_LINEAR_COLUMNS],
                          double weight, double *scale);

#endif /* ENX_SCALE_LINEAR_H */
