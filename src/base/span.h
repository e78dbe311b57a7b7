/* SPDX-License-Identifier: Apache-2.0 */
/* span.h - a borrowed piece of text.
 *
 * Layer: base.  Thread-safety: no shared state.
 */
#ifndef ENX_BASE_SPAN_H
#define ENX_BASE_SPAN_H

#include <stddef.h>

typedef struct enx_span {
    const char *text; /* [size_bytes], not zero-terminated */
    size_t      size_bytes;
} enx_span;

#endif /* ENX_BASE_SPAN_H */
