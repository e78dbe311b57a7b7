/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - how enxame functions say that they failed.
 *
 * Two halves.  The *code* is an enum: cheap to return, complete to switch on.
 * The *report* is a caller-owned struct that carries the sentence a person
 * will read.  A NULL report is always allowed: the code alone is the contract.
 *
 * Layer: base.  Depends on: libc only.  Thread-safety: no shared state.
 */
#ifndef ENX_BASE_STATUS_H
#define ENX_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/* One row per failure class: X(name, text for people, process exit code). */
/* clang-format off */
#define ENX_STATUS_MAP(X) \
    X(OK,          "success",                    0) \
    X(INVALID,     "invalid argument",           64) \
    X(NOMEM,       "out of memory or budget",    71) \
    X(IO,          "input/output error",         74) \
    X(FORMAT,      "malformed data",             65) \
    X(UNSUPPORTED, "not supported",              69) \
    X(NOTFOUND,    "not found",                  66) \
    X(LIMIT,       "limit exceeded",             75) \
    X(AGAIN,       "try again",                  75) \
    X(BUDGET,      "budget spent",               73) \
    X(CANCELED,    "canceled",                   130)
/* clang-format on */

/* clang-format off */
typedef enum enx_status {
#define X(name, text, exit_code) ENX_##name,
    ENX_STATUS_MAP(X)
#undef X
    ENX_STATUS_COUNT
} enx_status;
/* clang-format on */

enum { ENX_REPORT_TEXT_MAX = 400 };

/* Filled by the function that detected the failure; outer frames may prefix
 * context with enx_report_wrap().  Never allocated, never freed. */
typedef struct enx_report {
    enx_status  status;
    int         line; /* where it was detected, for developers */
    const char *file;
    char        text[ENX_REPORT_TEXT_MAX];
} enx_report;

#if defined(__GNUC__)
#define ENX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ENX_MUST_USE          __attribute__((warn_unused_result))
#else
#define ENX_PRINTF(fmt, args)
#define ENX_MUST_USE
#endif

const char *enx_status_text(enx_status status);
int         enx_status_exit_code(enx_status status);

/* Record a failure and return its status, so that callers write
 *     return ENX_FAIL(report, FORMAT, "tensor %s: offset past end", name);  */
enx_status enx_report_set(enx_report *report, enx_status status, const char *file, int line,
                          const char *format, ...) ENX_PRINTF(5, 6);

/* Prefix "context: " to an existing report while unwinding. */
void enx_report_wrap(enx_report *report, const char *format, ...) ENX_PRINTF(2, 3);

#define ENX_FAIL(report, name, ...) \
    enx_report_set((report), ENX_##name, __FILE__, __LINE__, __VA_ARGS__)

/* Early return for functions that hold nothing that needs releasing. */
#define ENX_TRY(expression)                                    \
    do {                                                       \
        const enx_status enx_try_status_ = (expression);       \
        if (enx_try_status_ != ENX_OK) return enx_try_status_; \
    } while (0)

#endif /* ENX_BASE_STATUS_H */
