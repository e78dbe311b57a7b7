/* SPDX-License-Identifier: Apache-2.0 */
/* surface.h - the loss as a function of parameters and tokens, from several forms of law at once.
 *
 * No form is right everywhere.  Chinchilla's, its tied form and Kaplan's are fitted robustly, and a
 * Bayesian average over the exponents of Chinchilla's form is taken; each then forecasts the larger
 * runs from the smaller ones, and the better it did that, the more it counts.  How far all of them
 * together were off there, and how far they differ, widens the interval.
 *
 * Layer: scale.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_SCALE_SURFACE_H
#define ENX_SCALE_SURFACE_H

#include "base/status.h"
#include "scale/form.h"

#include <stdbool.h>

enum { ENX_SURFACE_RUNS_MIN = 5 };

typedef enum enx_voice {
    ENX_VOICE_CHINCHILLA,
    ENX_VOICE_TIED,
    ENX_VOICE_KAPLAN,
    ENX_VOICE_BAYES,
    ENX_VOICES_COUNT
} enx_voice;

extern const char *const enx_voice_names[ENX_VOICES_COUNT];

typedef struct enx_surface enx_surface;

/* ln L = log_loss, give or take `deviation`. */
typedef struct enx_surface_outlook {
    double loss, low, high;
    double deviation;
    double voices[ENX_VOICES_COUNT]; /* what each says; NAN: it is silent */
} enx_surface_outlook;

typedef struct enx_surface_info {
    double   weight[ENX_VOICES_COUNT]; /* these add up to 1 */
    double   error[ENX_VOICES_COUNT];  /* mean |ln(forecast / loss)| on held-out larger runs */
    double   held_error;               /* the same for all together, root mean square */
    uint32_t held_count;               /* runs forecast; 0: too few runs to hold any out */
    double   params[5], deviations[5]; /* of the Bayesian average: A, B, E, alpha, beta */
} enx_surface_info;

/* Fit all; release by enx_surface_close.  ENX_INVALID: fewer than ENX_SURFACE_RUNS_MIN runs, or N
 * or D that does not vary; ENX_NOMEM.  About a second for 240 runs. */
ENX_MUST_USE enx_status enx_surface_open(enx_surface **out, const enx_point *points,
                                         uint32_t point_count, enx_report *report);
void                    enx_surface_close(enx_surface **surface);
const enx_surface_info *enx_surface_get(const enx_surface *surface);

/* The loss of a run of N parameters and D tokens; `level` 0.9: low and high leave 5 % each. */
enx_surface_outlook enx_surface_forecast(const enx_surface *surface, double n, double d,
                                         double level);

/* The N that makes the forecast smallest at compute C, D being C / (6 N), within 10 times of the
 * sizes seen. */
double enx_surface_optimal_params(const enx_surface *surface, double flops);

#endif /* ENX_SCALE_SURFACE_H */
