/* SPDX-License-Identifier: Apache-2.0 */
/* held.h - a fixed piece of text that nothing is trained on, to measure every model by.
 *
 * Windows of the context's length are taken at equal distances over each file, files by their
 * sizes; which ones follows from the files and the sizes asked for alone, so all models see the
 * same text.  Each window stands by itself behind <|end|>, and every token of it counts.
 *
 * Layer: train.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TRAIN_HELD_H
#define ENX_TRAIN_HELD_H

#include "base/status.h"
#include "text/tokenizer.h"
#include "train/net.h"

#include <stdint.h>

enum { ENX_HELD_BYTES_MAX = 1 << 26 };

typedef struct enx_held enx_held;

typedef struct enx_held_options {
    const char          *folder;
    char *const         *files; /* [file_count], below folder */
    uint32_t             file_count;
    uint32_t             bytes;   /* of text, about; at most ENX_HELD_BYTES_MAX */
    uint32_t             context; /* tokens of a window at most */
    const enx_tokenizer *tokenizer;
} enx_held_options;

/* Everything is borrowed for the call.  ENX_NOTFOUND, ENX_IO, ENX_INVALID (less text than asked
 * for), ENX_NOMEM. */
ENX_MUST_USE enx_status enx_held_open(enx_held **out, const enx_held_options *options,
                                      enx_report *report);
void                    enx_held_close(enx_held **held);

/* Fill the batch with whole windows from *next on, and move *next behind them; false: no window
 * is left, and the batch is as it was. */
bool enx_held_fill(const enx_held *held, uint32_t *next, enx_batch *batch);

uint32_t enx_held_window_count(const enx_held *held);
uint64_t enx_held_bytes(const enx_held *held);
uint64_t enx_held_token_count(const enx_held *held);
/* FNV-1a over the bytes of all windows. */
uint64_t enx_held_hash(const enx_held *held);

#endif /* ENX_TRAIN_HELD_H */
