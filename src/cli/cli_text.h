/* SPDX-License-Identifier: Apache-2.0 */
/* cli_text.h - texts as the items of a job, and their answers as texts again.
 *
 * An item is a paragraph (swarm/assemble.h), or a piece of one that is very long.  Everything
 * between items stays where it is.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_TEXT_H
#define ENX_CLI_CLI_TEXT_H

#include "swarm/swarm.h"

enum { CLI_PIECE_BYTES = 8192 };

typedef struct cli_items {
    enx_span *spans; /* owned; each borrows its text */
    uint32_t  count, capacity;
} cli_items;

void                    cli_items_deinit(cli_items *items);
/* Append the items of a text, which is borrowed as long as they are used.  ENX_LIMIT: more than
 * ENX_SWARM_ITEMS_MAX; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_items_add(cli_items *items, const char *text, size_t size_bytes,
                                      enx_report *report);

/* Append the text with items first .. first + count - 1, which are its own, replaced by their
 * answers.  ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status cli_items_assemble(const cli_items *items, uint32_t first, uint32_t count,
                                           const enx_swarm *swarm, const char *text,
                                           size_t size_bytes, enx_buf *out, enx_report *report);

#endif /* ENX_CLI_CLI_TEXT_H */
