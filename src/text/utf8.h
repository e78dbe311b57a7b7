/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h - UTF-8, one character at a time, from bytes that may be anything.
 *
 * Strict: overlong forms, surrogates and code points above U+10FFFF are invalid.
 *
 * Layer: text.  Thread-safety: no shared state.
 * Source: Unicode 15, table 3-7 (well-formed UTF-8 byte sequences).
 */
#ifndef ENX_TEXT_UTF8_H
#define ENX_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { ENX_UTF8_BYTES_MAX = 4 }; /* of one character */
#define ENX_UTF8_INVALID UINT32_MAX

/* The character at bytes[0]; size_bytes > 0.  Returns its bytes, 1 to 4.  Where none is well
 * formed *character is ENX_UTF8_INVALID and the result is 1: the next byte may start one. */
size_t enx_utf8_decode(const char *bytes, size_t size_bytes, uint32_t *character);

/* For text that arrives in parts: how many of the bytes can be shown now.  All of them, unless
 * they end inside a character that more bytes may yet complete; then those before it.  So at most
 * 3 bytes are held back, and invalid bytes never are. */
size_t enx_utf8_complete_prefix(const char *bytes, size_t size_bytes);

#endif /* ENX_TEXT_UTF8_H */
