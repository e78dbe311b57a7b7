/* SPDX-License-Identifier: Apache-2.0 */
/* assemble.h - a text taken apart into paragraphs, and put together again.
 *
 * A paragraph is a line without the white space (space, tab, CR, LF, VT, FF) at its ends; lines
 * with nothing else are not paragraphs.  A byte order mark at the beginning belongs to none.
 * Everything between paragraphs is kept where it is, so putting unchanged paragraphs together
 * gives the text back, byte for byte, whatever the bytes are.
 *
 * Layer: swarm.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_SWARM_ASSEMBLE_H
#define ENX_SWARM_ASSEMBLE_H

#include "base/buf.h"
#include "base/span.h"
#include "base/status.h"

#include <stdint.h>

typedef struct enx_paragraphs enx_paragraphs;

/* `text` is borrowed until close.  ENX_LIMIT: more than ENX_SWARM_ITEMS_MAX paragraphs (says how
 * many there are); ENX_NOMEM. */
ENX_MUST_USE enx_status enx_paragraphs_open(enx_paragraphs **out, const char *text,
                                            size_t size_bytes, enx_report *report);
void                    enx_paragraphs_close(enx_paragraphs **paragraphs);

/* Borrowed, in order of the text; valid until close. */
const enx_span *enx_paragraphs_spans(const enx_paragraphs *paragraphs);
uint32_t        enx_paragraphs_count(const enx_paragraphs *paragraphs);

/* Append the text with each paragraph replaced by answers[i], [enx_paragraphs_count].
 * ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status enx_paragraphs_assemble(const enx_paragraphs *paragraphs, enx_buf *out,
                                                const enx_span *answers, enx_report *report);

#endif /* ENX_SWARM_ASSEMBLE_H */
