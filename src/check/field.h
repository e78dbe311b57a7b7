/* SPDX-License-Identifier: Apache-2.0 */
/* field.h - the values under a path of names in a JSON value.
 *
 * Layer: check.  Thread-safety: no shared state.
 */
#ifndef ENX_CHECK_FIELD_H
#define ENX_CHECK_FIELD_H

#include <jansson.h>
#include <stdbool.h>

enum { ENX_FIELD_BYTES_MAX = 256 };

/* A text, a number as its shortest digits, true or false. */
typedef bool (*enx_field_fn)(void *user, const char *value);

/* Call `fn` with every value under `path` (NULL or "": the value itself), lists being walked, nulls
 * and objects left out.  false as soon as `fn` says so. */
bool enx_field_each(const json_t *value, const char *path, enx_field_fn fn, void *user);

#endif /* ENX_CHECK_FIELD_H */
