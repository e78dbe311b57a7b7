/* SPDX-License-Identifier: Apache-2.0 */
/* canon.h - JSON in the one form that the grammar of a schema knows.
 *
 * A model that is not masked writes an object's members in any order, with white space and escapes
 * as it likes.  The grammar of schema.h has the order of the schema and little white space.  What
 * it accepts after this is valid.  The value stays the same, numbers with a fraction to 15 digits.
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_CANON_H
#define ENX_TEXT_CANON_H

#include "base/buf.h"
#include "text/mask.h"

#include <jansson.h>

enum { ENX_CANON_DEPTH_MAX = 64, ENX_CANON_BYTES_MAX = 8 << 20 };

/* Append the JSON text [size_bytes] compactly, members in the order of the `properties` of `schema`
 * (NULL: as they come), others after them.  ENX_FORMAT: no JSON; ENX_LIMIT; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_canon_append(enx_buf *out, const json_t *schema, const char *text,
                                         size_t size_bytes, enx_report *report);

/* Is the whole text one that the automaton accepts?  *at receives the first byte that it refuses,
 * size_bytes when only the end is missing.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_canon_matches(const enx_automaton *automaton, const char *text,
                                          size_t size_bytes, bool *is_match, size_t *at);

#endif /* ENX_TEXT_CANON_H */
