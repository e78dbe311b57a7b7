/* SPDX-License-Identifier: Apache-2.0 */
/* prefix.h - which page of keys and values is whose, and which beginnings are remembered.
 *
 * A tree over tokens, a page (16 positions) a node: the path from the root to a node is the text
 * that the node's page was computed for.  Sequences that begin alike hold the same pages, from the
 * moment they are submitted on: whoever comes first fills them.  What nobody holds any more stays
 * in the tree until its memory is needed; the longest unused goes first.
 *
 *     enx_prefix_take()      a sequence begins: the pages for all that it may become
 *     enx_prefix_filled()    how much of a page is there; _set_filled() after more was computed
 *     enx_prefix_release()   it is over: its whole pages, and the piece behind them, are remembered
 *
 * Bookkeeping alone: what is in the pages is model/kv.h's.  All memory is taken at open.
 *
 * Layer: engine.  Thread-safety: one owner thread.
 */
#ifndef ENX_ENGINE_PREFIX_H
#define ENX_ENGINE_PREFIX_H

#include "base/status.h"
#include "model/kv.h"

#include <stdint.h>

enum { ENX_PREFIX_PAGES_MAX = 1 << 22 };
#define ENX_PREFIX_NO_PAGE UINT32_MAX

typedef struct enx_prefix enx_prefix;

typedef struct enx_chain {
    uint32_t *pages; /* [page_count], the caller's memory */
    uint32_t  page_count;
    uint32_t  tree_count; /* of these the first, which others may hold too */
    uint32_t  copy_from;  /* ENX_PREFIX_NO_PAGE, or a page whose beginning is that of the page at
                             copy_index: to be copied before anything else happens */
    uint32_t  copy_index;
    uint32_t  known_count; /* with a copy: positions from the start that need not be computed */
} enx_chain;

/* ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_prefix_open(enx_prefix **out, uint32_t page_count, enx_report *report);
void                    enx_prefix_close(enx_prefix **prefix);
uint64_t                enx_prefix_memory_bytes(const enx_prefix *prefix);

/* Take the pages of a sequence that begins with `prompt` [prompt_count] and may grow to
 * `most` >= prompt_count positions; chain->pages has room for all.  false: they are not to be had
 * before another sequence is released; nothing is taken. */
bool     enx_prefix_take(enx_prefix *prefix, const uint32_t *prompt, uint32_t prompt_count,
                         uint32_t most, enx_chain *chain);
/* Positions of a page that are computed, or are in the batch that comes next. */
uint32_t enx_prefix_filled(const enx_prefix *prefix, uint32_t page);
void     enx_prefix_set_filled(enx_prefix *prefix, uint32_t page, uint32_t count);
/* Give the pages back; tokens [evaluated] is what the sequence was computed for. */
void     enx_prefix_release(enx_prefix *prefix, enx_chain *chain, const uint32_t *tokens,
                            uint32_t evaluated);

/* Pages that nobody holds: free ones, and those that are only remembered. */
uint32_t enx_prefix_available(const enx_prefix *prefix);
uint32_t enx_prefix_remembered(const enx_prefix *prefix);
/* Remembered pages that gave way so far. */
uint64_t enx_prefix_evicted(const enx_prefix *prefix);

#endif /* ENX_ENGINE_PREFIX_H */
