/* SPDX-License-Identifier: Apache-2.0 */
/* forward.h - a batch of tokens of many sequences through the layers.
 *
 * A row is one token at one position of one slot.  A slot is a sequence; its keys and values are in
 * pages (kv.h), its positions are filled in order, several in one batch if need be, and going on
 * again at an earlier position forgets the old ones from there.  Rows of one slot must come in
 * rising position.  A page that several slots share is filled by one of them, in the same batch as
 * the others' rows behind it or in an earlier one.
 *
 * After a run, the rows that asked for it have a hidden state (the input of the head), in row
 * order; logits are computed from those on demand, for the whole vocabulary or for some tokens.
 *
 * A row's numbers depend on its slot's tokens alone: not on the other rows, nor on the threads.
 *
 * Layer: model.  Thread-safety: one owner thread; several may share a model.
 */
#ifndef ENX_MODEL_FORWARD_H
#define ENX_MODEL_FORWARD_H

#include "kernels/kernels.h"
#include "model/kv.h"
#include "model/model.h"
#include "model/profile.h"
#include "plat/pool.h"

enum {
    ENX_FORWARD_SLOTS_MAX = 1024,
    ENX_FORWARD_BATCH_MAX = 1 << 14,
    ENX_FORWARD_HEAD_ROWS = 16, /* rows of one call of enx_forward_logits */
};

typedef struct enx_forward enx_forward;

typedef struct enx_forward_options {
    const enx_model *model; /* borrowed */
    uint32_t         slot_count;
    uint32_t         context_tokens; /* positions of a slot */
    uint32_t         page_count;     /* as of enx_kv_options */
    uint32_t         batch_tokens;   /* rows of a run */
    unsigned         cpu_flags;      /* of enx_cpu_detect */
    enx_pool        *pool;           /* borrowed, may be NULL: one thread */
    enx_kv_type      cache;          /* what keys and values are kept in */
    enx_profile     *profile;        /* borrowed, of as many layers; NULL: none */
} enx_forward_options;

/* ENX_LIMIT: a zero or a number above its limit (ENX_MODEL_CONTEXT_MAX for positions).
 * ENX_NOMEM with the size that was needed. */
ENX_MUST_USE enx_status enx_forward_open(enx_forward **out, const enx_forward_options *options,
                                         enx_report *report);
void                    enx_forward_close(enx_forward **forward);

/* rows [row_count], row_count <= batch_tokens.  Returns how many hidden states there are; none
 * where the run was interrupted, and the keys and values of its rows are then worth nothing. */
uint32_t enx_forward_run(enx_forward *forward, const enx_row *rows, uint32_t row_count);
/* From any thread: the run that goes on, or else the next one, ends after the layer that it is in.
 */
void     enx_forward_interrupt(enx_forward *forward);
bool     enx_forward_was_interrupted(const enx_forward *forward); /* the last run */

/* out [count][vocab_count]: logits of hidden states hidden[0 .. count);
 * count <= ENX_FORWARD_HEAD_ROWS. */
void enx_forward_logits(enx_forward *forward, const uint32_t *hidden, uint32_t count, float *out);
/* out [count]: logits of the tokens `ids` at one hidden state; the same numbers, bit for bit. */
void enx_forward_logits_of(enx_forward *forward, uint32_t hidden, const uint32_t *ids,
                           uint32_t count, float *out);

enx_kv            *enx_forward_kv(enx_forward *forward);
const enx_kernels *enx_forward_kernels(const enx_forward *forward);
uint64_t           enx_forward_memory_bytes(const enx_forward *forward);

#endif /* ENX_MODEL_FORWARD_H */
