/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - JSON Schema as a grammar: every text that the grammar matches is valid.
 *
 * The other way round it is narrower: properties come in the order of the schema, with little
 * white space, numbers without exponent where they are bounded, and so on (docs/schema.md).  What
 * a grammar cannot promise (uniqueItems, not, …) is refused by name, never left out in silence;
 * but oneOf is taken as anyOf.
 * By the specification's own rule, keywords that it does not know are ignored, and formats.
 *
 * Source: json-schema.org, draft 2020-12; `pattern` by ECMA-262 without look-around and references.
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_SCHEMA_H
#define ENX_TEXT_SCHEMA_H

#include "base/status.h"
#include "text/grammar.h"

/* The grammar of the schema's values.  `json` is borrowed for the call.  ENX_FORMAT (not JSON, or
 * not a schema), ENX_UNSUPPORTED (a keyword), ENX_INVALID (nothing can be valid, or nothing that
 * ends), ENX_NOTFOUND ($ref), ENX_LIMIT, ENX_NOMEM; texts name the place as a JSON pointer. */
ENX_MUST_USE enx_status enx_schema_open(enx_grammar **out, const char *json, size_t size_bytes,
                                        enx_report *report);

#endif /* ENX_TEXT_SCHEMA_H */
