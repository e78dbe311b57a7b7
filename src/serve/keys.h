/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - who may ask, how fast, and for how much money.
 *
 *     keys:
 *       - {name: ana, key: sk-…, usd: 5, requests_per_min: 60, tokens_per_min: 100000}
 *       - {name: rui, key: sk-…, all_jobs: true}
 *
 * Only name and key are needed; what is not given is not limited.  A request's worst case is held
 * back before it runs and settled after it, so a budget is never overrun.  What each has spent
 * outlives the process in a file of its own.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_KEYS_H
#define ENX_SERVE_KEYS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_KEYS_MAX = 1000,
    ENX_KEYS_BYTES_MAX = 1 << 20,
    ENX_KEY_BYTES_MIN = 16,
    ENX_KEY_BYTES_MAX = 255,
};

typedef struct enx_keys enx_keys;
typedef struct enx_key  enx_key;

/* `text` is the YAML, `path` its name for messages, `spent_path` where the sums are kept (NULL:
 * nowhere).  ENX_FORMAT, ENX_INVALID: a key that is too short, or twice; ENX_LIMIT, ENX_NOMEM, and
 * the failures of reading the sums. */
ENX_MUST_USE enx_status enx_keys_open(enx_keys **out, const enx_buf *text, const char *path,
                                      const char *spent_path, enx_report *report);
void                    enx_keys_close(enx_keys **keys);

/* NULL: nobody's.  Takes as long for every text of one length. */
const enx_key *enx_keys_find(const enx_keys *keys, const char *text);
/* By the name in the file; NULL: it has none of this name any more. */
const enx_key *enx_keys_named(const enx_keys *keys, const char *name);
const char    *enx_key_name(const enx_key *key);
/* Jobs of other keys, and of the command line, are shown to this one too. */
bool           enx_key_sees_all_jobs(const enx_key *key);

/* May a request start that costs and reads and writes at most so much?  Then that is held back.
 * ENX_AGAIN: too fast, *wait_s says for how long; ENX_BUDGET: the budget does not reach. */
ENX_MUST_USE enx_status enx_keys_reserve(enx_keys *keys, const enx_key *key, uint64_t now_us,
                                         uint64_t usd_nano, uint64_t tokens, uint32_t *wait_s,
                                         enx_report *report);
/* What was reserved, and what it came to. */
void     enx_keys_settle(enx_keys *keys, const enx_key *key, uint64_t reserved_usd_nano,
                         uint64_t reserved_tokens, uint64_t usd_nano, uint64_t tokens);
uint64_t enx_keys_spent_usd_nano(enx_keys *keys, const enx_key *key);
/* What is neither spent nor held; UINT64_MAX: no budget. */
uint64_t enx_keys_left_usd_nano(enx_keys *keys, const enx_key *key);
/* Write the sums, if they have changed. */
ENX_MUST_USE enx_status enx_keys_save(enx_keys *keys, enx_report *report);

#endif /* ENX_SERVE_KEYS_H */
