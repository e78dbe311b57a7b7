/* SPDX-License-Identifier: Apache-2.0 */
/* runs.h - trained models as rows of a CSV file: how large, on how much text, with what loss.
 *
 * Any CSV with a header line will do; which column is what follows from its name or from a map.
 * Of parameters N, tokens D and compute C the third follows from two by C = 6 N D.
 *
 * Layer: scale.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_SCALE_RUNS_H
#define ENX_SCALE_RUNS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_RUNS_MAX = 200000,
    ENX_RUNS_COLUMNS_MAX = 256,
    ENX_RUNS_FIELD_BYTES_MAX = 4096,
    ENX_RUNS_FILTERS_MAX = 16,
    ENX_RUNS_NAME_BYTES_MAX = 128,
};

/* The most that N, D or U may be.  All arithmetic is in double: N D past 2^63 is nothing special.
 */
#define ENX_RUNS_COUNT_MAX 1e18

typedef enum enx_column {
    ENX_COLUMN_PARAMS,    /* N */
    ENX_COLUMN_TOKENS,    /* D */
    ENX_COLUMN_FLOPS,     /* C */
    ENX_COLUMN_LOSS,      /* natural logarithm a token, or bits a byte */
    ENX_COLUMN_UNIQUE,    /* U, tokens of text that differ: D / U epochs */
    ENX_COLUMN_EPOCHS,    /* the same, as D / U */
    ENX_COLUMN_SEED,      /* runs that differ in nothing else are repeats */
    ENX_COLUMN_TOKENIZER, /* losses a token of different tokenizers don't compare */
    ENX_COLUMN_BYTES,     /* bytes a token: turns a loss a token into bits a byte */
    ENX_COLUMN_RATE,      /* learning rate */
    ENX_COLUMNS_COUNT
} enx_column;

typedef struct enx_run {
    double   params, tokens, flops; /* above 0; NAN: neither given nor implied */
    double   loss;                  /* above 0, finite */
    double   unique;                /* NAN: not given */
    double   rate;                  /* NAN: not given */
    uint64_t seed;                  /* a hash of the column's text; 0: no such column */
    uint32_t line;                  /* in the file, the header is 1 */
} enx_run;

typedef struct enx_runs_options {
    const char *map;            /* "N=Model Size,C=Training FLOP"; keys as in enx_column_keys */
    const char *where;          /* "dataset=rw,decay=const": rows in which all are so */
    uint32_t    trim_worst;     /* leave out that many runs, of largest loss */
    bool        has_duplicates; /* the same run twice is counted once, not refused */
} enx_runs_options;

typedef struct enx_runs {
    enx_run *runs; /* [count], in the file's order */
    uint32_t count;
    uint32_t row_count;      /* of the file */
    uint32_t filtered_count; /* left out by `where` */
    uint32_t diverged_count; /* loss missing, not a number or infinite */
    uint32_t trimmed_count;
    uint32_t duplicate_count;
    uint32_t
        clash_count; /* runs of a size and compute that another has, and of quite another loss */
    uint32_t clash_lines[2];                                    /* of the first such pair */
    uint32_t diverged_line;                                     /* of the first; 0: none */
    bool     has_params, has_tokens, has_unique;                /* in every run */
    bool     has_seed;                                          /* the file has such a column */
    bool     is_bits;                                           /* loss is in bits a byte */
    char     names[ENX_COLUMNS_COUNT][ENX_RUNS_NAME_BYTES_MAX]; /* of columns; "": not there */
} enx_runs;

/* "N", "D", "C", "loss", "U", "epochs", "seed", "tokenizer", "bytes_per_token", "lr" */
extern const char *const enx_column_keys[ENX_COLUMNS_COUNT];

/* Read; release by enx_runs_close.  `text` is borrowed during the call.
 * ENX_FORMAT, with the line: a row with too many or too few fields, a number that is none, an open
 * quote.  ENX_INVALID: a map or filter that does not fit the header, no loss column, neither C nor
 * N and D, a number out of range, D below U, duplicates, mixed tokenizers, no run left.
 * ENX_LIMIT: rows, columns, bytes of a field.  ENX_NOMEM.  O(size + count log count). */
ENX_MUST_USE enx_status enx_runs_open(enx_runs **out, const char *text, size_t size_bytes,
                                      const enx_runs_options *options, enx_report *report);
void                    enx_runs_close(enx_runs **runs);

#endif /* ENX_SCALE_RUNS_H */
