/* SPDX-License-Identifier: Apache-2.0 */
/* exam.h - grading one model on damaged text whose truth is known, and calibrating its doubts.
 *
 * Rows are JSON lines {"id", "language", "domain", "text"}: the text is the truth.  Each row is
 * damaged at levels 1, 2 and 3 and given to the model; answers are scored by domain and level
 * (text/score.h).  The same answers teach a calibration: the chance that an answer differs from
 * the truth, from the model's own log-probabilities, by logistic regression for each level.
 *
 * Layer: backend.  Thread-safety: one owner thread.
 */
#ifndef ENX_BACKEND_EXAM_H
#define ENX_BACKEND_EXAM_H

#include "backend/ask.h"
#include "base/status.h"
#include "plat/pool.h"
#include "text/score.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_EXAM_DOMAINS_MAX = 8,
    ENX_EXAM_LEVELS = 4, /* index 0 is unused: nothing is damaged there */
    ENX_EXAM_ROWS_MAX = 1 << 20,
    ENX_EXAM_BYTES_MAX = 1 << 28,
    ENX_EXAM_DOMAIN_BYTES_MAX = 24,
    ENX_EXAM_SLOTS = 16,
    ENX_EXAM_RESAMPLE_SIZE = 400,
};

typedef struct enx_exam_options {
    const enx_skill *skill;       /* borrowed */
    const char      *rows_path;   /* JSON lines */
    uint32_t         rows_max;    /* of each domain; 0: all */
    uint32_t         resamplings; /* of the certificate over all answers; 0: none */
    bool             is_blind;    /* the prompt names neither language nor level */
    enx_pool        *pool;        /* borrowed, may be NULL */
    const char      *cpu;         /* cap on the kernels (engine.h) */
} enx_exam_options;

/* What certificates claimed of populations drawn, with replacement, from graded answers, and how
 * often the claim was false.  A population has ENX_EXAM_RESAMPLE_SIZE answers (or all). */
typedef struct enx_resampling {
    uint32_t rounds, certified, violations;
    double   delta;
    double   mean_alpha; /* claimed */
    double   mean_rate;  /* true */
} enx_resampling;

typedef struct enx_exam {
    uint32_t       domain_count;
    char           domains[ENX_EXAM_DOMAINS_MAX][ENX_EXAM_DOMAIN_BYTES_MAX];
    enx_score      scores[ENX_EXAM_DOMAINS_MAX][ENX_EXAM_LEVELS];
    uint64_t       tokens_in, tokens_out;
    uint64_t       elapsed_us;
    uint64_t       broken; /* answers that failed or did not reduce to their input */
    /* error chance = 1 / (1 + exp(-(c . features))), loaded.h; fitted on all domains together */
    double         calibration[ENX_EXAM_LEVELS][ENX_CALIBRATION_FEATURES];
    double         brier[ENX_EXAM_LEVELS]; /* mean squared error of that chance on the same rows */
    enx_resampling resampling[ENX_EXAM_LEVELS]; /* a level is a class of its own */
} enx_exam;

/* ENX_NOTFOUND, ENX_FORMAT (file and line of a bad row), ENX_UNSUPPORTED (the model cannot
 * restore), ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_exam_run(enx_exam *out, const enx_exam_options *options,
                                     enx_report *report);

/* Certify `rounds` populations drawn from answers by their true labels, at most 60 labels each.
 * ENX_NOMEM. */
ENX_MUST_USE enx_status enx_exam_resample(enx_resampling *out, const bool *is_wrong, size_t count,
                                          uint32_t rounds, double delta, enx_report *report);

/* Write the model of `skill` again with its calibration to `path`. */
ENX_MUST_USE enx_status enx_exam_write_calibration(const enx_exam *exam, const enx_skill *skill,
                                                   const char *path, enx_report *report);

/* Logistic regression by Newton's method with a small ridge on all but the constant:
 * P(wrong) from features [count][ENX_CALIBRATION_FEATURES].  Always returns finite numbers; with
 * no rows, or all alike, a constant chance of (wrong + 1) / (count + 2). */
void enx_calibration_fit(double coefficients[ENX_CALIBRATION_FEATURES],
                         const double (*features)[ENX_CALIBRATION_FEATURES], const bool *is_wrong,
                         size_t count);

#endif /* ENX_BACKEND_EXAM_H */
