/* SPDX-License-Identifier: Apache-2.0 */
/* kv.h - keys and values of many sequences, in pages that they may share, and attention over them.
 *
 * A page holds the keys and values of 16 positions in all layers.  A slot's table says which page
 * holds which of its positions; whoever owns the tables (engine/prefix.h) decides who shares what.
 *
 *     enx_kv_store()      what a row is, at its position
 *     enx_kv_plan()       once a pass: rows that see the same pages lie together in tiles
 *     enx_kv_attend()     each layer: a page that a tile shares is read once for all its rows
 *
 * The numbers of a row do not depend on the tile that it is in (kernels.h, attend_scores).
 *
 * Layer: model.  Thread-safety: one owner thread; parts of one attend(), and stores of different
 * positions, may run at the same time.
 */
#ifndef ENX_MODEL_KV_H
#define ENX_MODEL_KV_H

#include "kernels/kernels.h"
#include "model/model.h"

enum { ENX_KV_PAGE = 16 }; /* positions; a block of the kernels' */

typedef struct enx_kv enx_kv;

/* "f16", "f32" or "q8"; NULL: f16.  ENX_INVALID with the three names. */
ENX_MUST_USE enx_status enx_kv_type_parse(enx_kv_type *out, const char *text, enx_report *report);

typedef struct enx_row {
    uint32_t token;
    uint32_t slot;
    uint32_t position;
    bool     wants_hidden;
    bool     is_stored; /* its key and value are there already, and somebody may be reading them */
} enx_row;

typedef struct enx_kv_options {
    const enx_hparams *hparams; /* borrowed, as the kernels */
    const enx_kernels *kernels;
    uint32_t           slot_count;
    uint32_t           context_tokens; /* positions of a slot */
    uint32_t           page_count;     /* 0: a page for each 16 positions of each slot, and tables
                                          that say so */
    uint32_t           row_count;      /* of a pass, at most */
    uint32_t           thread_count;
    enx_kv_type        type;
} enx_kv_options;

/* What attention is in one layer. */
typedef struct enx_kv_layer {
    uint32_t     index;
    uint32_t     window_tokens; /* positions that a row sees, itself included; 0: all */
    const float *sinks;         /* [head_count] or NULL */
} enx_kv_layer;

/* ENX_NOMEM with the size that was needed. */
ENX_MUST_USE enx_status enx_kv_open(enx_kv **out, const enx_kv_options *options,
                                    enx_report *report);
void                    enx_kv_close(enx_kv **kv);
uint64_t                enx_kv_memory_bytes(const enx_kv *kv);
uint64_t                enx_kv_page_bytes(const enx_kv *kv);
/* Of the keys and values of 16 positions, before there is a place for them. */
uint64_t                enx_kv_page_size(const enx_hparams *hparams, enx_kv_type type);
uint32_t                enx_kv_page_count(const enx_kv *kv);

/* [context_tokens / 16, rounded up] pages of a slot, to be written between passes. */
uint32_t *enx_kv_table(enx_kv *kv, uint32_t slot);
void      enx_kv_copy_page(enx_kv *kv, uint32_t to, uint32_t from);

/* k, v [kv_head_count * head_width].  `thread` < thread_count: whose scratch memory to use. */
void enx_kv_store(enx_kv *kv, uint32_t layer, const enx_row *row, const float *k, const float *v,
                  uint32_t thread);

/* rows [row_count], borrowed until the next plan; those of one slot in rising position. */
void enx_kv_plan(enx_kv *kv, const enx_row *rows, uint32_t row_count);
/* q, out [rows of the plan][head_count * head_width]; queries are rotated and scaled. */
void enx_kv_attend(enx_kv *kv, const enx_kv_layer *layer, const float *q, float *out, uint32_t part,
                   uint32_t part_count);
/* Positions that a layer of all passes so far had to read, and what it would have been without
 * tiles. */
void enx_kv_reads(const enx_kv *kv, uint64_t *read, uint64_t *wanted);

#endif /* ENX_MODEL_KV_H */
