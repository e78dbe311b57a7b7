/* SPDX-License-Identifier: Apache-2.0 */
/* fit.h - the classical estimate of a law, from many starts.
 *
 * The objective is a sum over runs (not a mean: that is so flat that searches stop early), of
 * Huber's function, delta 1e-3, of ln(predicted) - ln(measured); or of half the square of
 * predicted - measured.
 *
 * Layer: scale.  Thread-safety: immutable after open; resamples may be made at the same time.
 * Source: arXiv 2203.15556, approach 3; 2404.10102 (the sum, the standard errors).
 */
#ifndef ENX_SCALE_FIT_H
#define ENX_SCALE_FIT_H

#include "base/status.h"
#include "scale/form.h"

enum {
    ENX_FIT_RESAMPLES_MAX = 100000,
    ENX_FIT_COLUMNS_MAX = ENX_FORM_PARAMS_MAX + 2, /* of a row: parameters, and what follows */
};

#define ENX_FIT_HUBER_DELTA 1e-3

typedef enum enx_estimator {
    ENX_ESTIMATOR_HUBER,   /* of the logarithm; outliers count little */
    ENX_ESTIMATOR_SQUARES, /* of the loss itself */
} enx_estimator;

typedef struct enx_fit enx_fit;

typedef struct enx_fit_result {
    double   params[ENX_FORM_PARAMS_MAX];  /* as in form.h */
    double   natural[ENX_FORM_PARAMS_MAX]; /* as people write them */
    double   objective;
    double   gradient;                 /* of the objective, its largest component, sizes centred */
    uint32_t starts, followed, agreed; /* tried; gone down from; that ended at the same minimum */
    double   residual_rms, residual_median, residual_max; /* of ln L; the last two without sign */
} enx_fit_result;

/* Fit; release by enx_fit_close.  `points` is copied.  ENX_INVALID: no more points than
 * parameters, or all of one size (nothing to tell exponents by); ENX_NOMEM. */
ENX_MUST_USE enx_status enx_fit_open(enx_fit **out, enx_form form, enx_estimator estimator,
                                     const enx_point *points, uint32_t point_count,
                                     enx_report *report);
void                    enx_fit_close(enx_fit **fit);
const enx_fit_result   *enx_fit_get(const enx_fit *fit);

/* Fit again to resample number `index` of `seed`: as many points, drawn with replacement.  The
 * search starts at the fit.  natural[param_count].  `weights` is room for [point_count]. */
void enx_fit_resample(const enx_fit *fit, uint64_t seed, uint64_t index, double *weights,
                      double *natural);

typedef struct enx_fit_errors {
    double deviation[ENX_FIT_COLUMNS_MAX];                      /* standard error */
    double low[ENX_FIT_COLUMNS_MAX], high[ENX_FIT_COLUMNS_MAX]; /* 2.5 % and 97.5 % */
} enx_fit_errors;

/* Of each of the first `column_count` columns of rows[resample_count][stride]; `room` is
 * [resample_count]. */
void enx_fit_summarise(enx_fit_errors *out, const double *rows, uint32_t resample_count,
                       uint32_t stride, uint32_t column_count, double *room);

/* exp of ln L at N, D, C = 6 N D. */
double enx_fit_loss(enx_form form, const double *params, double n, double d);

/* The N that makes the loss smallest at compute C; D = C / (6 N).  For forms with N and D. */
double enx_fit_optimal_params(enx_form form, const double *params, double flops);

#endif /* ENX_SCALE_FIT_H */
