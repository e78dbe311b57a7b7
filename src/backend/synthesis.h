/* SPDX-License-Identifier: Apache-2.0 */
/* synthesis.h - text that a model writes for a smaller one to learn from, and what of it is kept.
 *
 * A candidate is a paragraph: the first bytes of a line of real text, and what the model says comes
 * next.  Three filters:
 *
 *   short     paragraphs of few bytes, and bytes that are no UTF-8
 *   copies    more than a fifth of its stretches of bytes (text/stretches.h) stand in the real
 * text, in what is kept already, or in itself before unlikely  of each round of ENX_SYNTHESIS_ROUND
 * candidates only the share stays that the model itself finds likeliest, by a byte
 *
 * What comes out is a pure function of model, real text and options.
 *
 * Layer: backend.  Thread-safety: one owner thread; it may bring a pool.
 */
#ifndef ENX_BACKEND_SYNTHESIS_H
#define ENX_BACKEND_SYNTHESIS_H

#include "backend/loaded.h"
#include "base/buf.h"
#include "base/status.h"
#include "plat/pool.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_SYNTHESIS_BYTES_MAX = 64 << 20, /* of real text, and of what is written */
    ENX_SYNTHESIS_ROUND = 128,
    ENX_SYNTHESIS_BEGINNING = 16, /* bytes of real text, at most */
    ENX_SYNTHESIS_SHORT = 48,     /* bytes of a paragraph, at least */
};

typedef struct enx_synthesis {
    uint64_t candidates, short_ones, copies, unlikely, kept;
    double   bits_per_byte;      /* of all candidates, by the model itself */
    double   bits_per_byte_kept; /* of those that were kept */
    uint64_t tokens_out;
} enx_synthesis;

typedef struct enx_synthesis_options {
    const char *like; /* real text, a paragraph a line */
    size_t      like_bytes;
    size_t      bytes;       /* wanted, about */
    double      keep;        /* share that stays, above 0 and at most 1 */
    double      temperature; /* above 0 */
    uint64_t    seed;
    enx_pool   *pool; /* borrowed, may be NULL */
    const char *cpu;  /* cap on the kernels (engine.h) */
    /* After each round; false stops.  May be NULL. */
    bool (*on_round)(void *user, const enx_synthesis *so_far, size_t bytes);
    void *user;
} enx_synthesis_options;

/* Append paragraphs, a line each, to `text`, which is empty.  ENX_INVALID: an option out of range,
 * or real text without a line of ENX_SYNTHESIS_SHORT bytes; ENX_CANCELED: stopped, what was kept is
 * in `text`; ENX_LIMIT: the model writes hardly anything but copies. */
ENX_MUST_USE enx_status enx_synthesis_run(enx_synthesis *out, enx_buf *text,
                                          const enx_loaded            *loaded,
                                          const enx_synthesis_options *options, enx_report *report);

#endif /* ENX_BACKEND_SYNTHESIS_H */
