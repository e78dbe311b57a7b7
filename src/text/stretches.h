/* SPDX-License-Identifier: Apache-2.0 */
/* stretches.h - has a text been seen before, in part?
 *
 * A text is taken as all its stretches of ENX_STRETCH_BYTES bytes; of those that were seen a hash
 * of 64 bits is kept.
 *
 * Layer: text.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TEXT_STRETCHES_H
#define ENX_TEXT_STRETCHES_H

#include "base/status.h"

#include <stddef.h>

enum { ENX_STRETCH_BYTES = 24 };

typedef struct enx_stretches enx_stretches;

ENX_MUST_USE enx_status enx_stretches_open(enx_stretches **out, enx_report *report);
void                    enx_stretches_close(enx_stretches **stretches);

ENX_MUST_USE enx_status enx_stretches_add(enx_stretches *stretches, const char *text,
                                          size_t size_bytes, enx_report *report);

/* Of a text's stretches, the share that was seen or that stands in the text before; 1 for a text
 * shorter than a stretch.  Quadratic in the text: meant for paragraphs. */
double enx_stretches_share(const enx_stretches *stretches, const char *text, size_t size_bytes);

#endif /* ENX_TEXT_STRETCHES_H */
