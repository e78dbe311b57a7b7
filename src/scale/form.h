/* SPDX-License-Identifier: Apache-2.0 */
/* form.h - shapes that a scaling law may have, in the variables they are fitted in.
 *
 *     chinchilla   L = E + A N^-alpha + B D^-beta
 *     tied         the same with beta = alpha
 *     kaplan       L = ((Nc/N)^(alpha_N/alpha_D) + Dc/D)^alpha_D
 *     broken       L = E + A C^-c0 (1 + (C/d)^(1/f))^(-c1 f)
 *
 * Each is ln L as a function of ln N, ln D, ln C and parameters that may be any real numbers.
 *
 * Layer: scale.  Thread-safety: no shared state.
 * Source: arXiv 2203.15556 (chinchilla), 2001.08361 (kaplan), 2210.14891 (broken).
 */
#ifndef ENX_SCALE_FORM_H
#define ENX_SCALE_FORM_H

#include <stdint.h>

typedef enum enx_form {
    ENX_FORM_CHINCHILLA,
    ENX_FORM_TIED,
    ENX_FORM_KAPLAN,
    ENX_FORM_BROKEN,
    ENX_FORMS_COUNT
} enx_form;

enum { ENX_FORM_PARAMS_MAX = 6 };

/* Natural logarithms of a run; a form reads the sizes that it needs only. */
typedef struct enx_point {
    double params, tokens, flops;
    double loss;
} enx_point;

typedef struct enx_form_info {
    const char *name;
    const char *formula;
    const char *keys[ENX_FORM_PARAMS_MAX]; /* of the parameters as people write them */
    uint32_t    param_count;
    uint32_t    start_count; /* of enx_form_start */
    uint32_t    needs_sizes; /* 1: N and D; 0: C is enough */
} enx_form_info;

extern const enx_form_info enx_form_infos[ENX_FORMS_COUNT];

/* ln L at `at`, and its derivative by each parameter into gradient[param_count]. */
double enx_form_value(enx_form form, const double *params, const enx_point *at, double *gradient);

/* The parameters as people write them: E, A, B ... instead of their logarithms. */
void enx_form_natural(enx_form form, const double *params, double *out);

/* The same law with every size divided by exp(by's), as ln N -> ln N - by->params. */
void enx_form_shift(enx_form form, double *params, const enx_point *by);

/* What starts are laid around: the data's corners. */
typedef struct enx_form_frame {
    enx_point low, high; /* of the data */
} enx_form_frame;

/* Start number `index`, of a grid that covers what a law may be (chinchilla: the 4,500 of the
 * paper's appendix). */
void enx_form_start(enx_form form, uint32_t index, const enx_form_frame *frame, double *params);

#endif /* ENX_SCALE_FORM_H */
