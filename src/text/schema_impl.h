/* SPDX-License-Identifier: Apache-2.0 */
/* schema_impl.h - what the files of schema.h share.
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_SCHEMA_IMPL_H
#define ENX_TEXT_SCHEMA_IMPL_H

#include "base/buf.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { ENX_SCHEMA_PATH_BYTES = 512 };

/* Rules are finished in `out` one by one, in any order; each is written in a buffer of its own
 * first, because the rules that it names are written meanwhile. */
typedef struct enx_schema_writer {
    enx_buf      *out;
    const json_t *root;
    json_t       *merged;     /* array that keeps schemas that are not in the file */
    unsigned      rule_count; /* names are r0, r1, … */
    char          path[ENX_SCHEMA_PATH_BYTES]; /* of the schema being read, for reports */
    size_t        path_bytes;
    enx_report   *report;
} enx_schema_writer;

#define SCHEMA_FAIL(w, code, ...) enx_schema_fail((w), ENX_##code, __FILE__, __LINE__, __VA_ARGS__)
ENX_PRINTF(5, 6)
enx_status enx_schema_fail(const enx_schema_writer *w, enx_status status, const char *file,
                           int line, const char *format, ...);

/* jansson counts references in values that are only read. */
#define MUTABLE(value) ((json_t *)(uintptr_t)(value))

typedef enum enx_schema_keyword {
    ENX_SCHEMA_NOTE,    /* limits nothing, or is unknown */
    ENX_SCHEMA_HELD,    /* what a grammar takes keeps to it */
    ENX_SCHEMA_REFUSED, /* limits, and no grammar can promise it */
} enx_schema_keyword;
enx_schema_keyword enx_schema_keyword_of(const char *name);

/* Does any keyword but `name` limit what is valid? */
bool enx_schema_has_beside(const json_t *schema, const char *name);
/* Is the value one of the list, or the list itself? */
bool enx_schema_is_listed(const json_t *list, const json_t *value);

/* Follow $ref and merge allOf until neither is left; *out is borrowed from the writer. */
ENX_MUST_USE enx_status enx_schema_resolve(enx_schema_writer *w, const json_t *schema,
                                           const json_t **out);
/* One choice of anyOf or oneOf together with what stands beside `key`; borrowed as well. */
ENX_MUST_USE enx_status enx_schema_choose(enx_schema_writer *w, const json_t *schema,
                                          const char *key, const json_t *choice,
                                          const json_t **out);

/* A bounded number, in units of 10^-decimals. */
typedef struct enx_schema_range {
    int64_t  least, most;
    unsigned decimals;
    uint64_t multiple; /* of so many units; at least 1 */
} enx_schema_range;

enum {
    ENX_SCHEMA_DIGITS_MAX = 15,   /* of a bounded number, in all: a double holds them */
    ENX_SCHEMA_MULTIPLE_MAX = 50, /* without the zeros at its end */
    ENX_SCHEMA_DECIMALS_MAX = 6,
};

/* Append an expression for the decimal numbers in the range. */
ENX_MUST_USE enx_status enx_schema_add_range(enx_schema_writer *w, const enx_schema_range *range,
                                             enx_buf *body);

/* Append an expression for the strings of JSON, without quotation marks, that have a match. */
ENX_MUST_USE enx_status enx_schema_add_pattern(enx_schema_writer *w, const char *pattern,
                                               enx_buf *body);

/* Append a literal of the grammar that matches these bytes, which are UTF-8. */
ENX_MUST_USE enx_status enx_schema_add_literal(enx_buf *body, const char *text, size_t size_bytes);

#endif /* ENX_TEXT_SCHEMA_IMPL_H */
