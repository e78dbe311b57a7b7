/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - which bytes these are: SHA-256 in hexadecimal.
 *
 * Layer: plat.  Thread-safety: no shared state.
 */
#ifndef ENX_PLAT_DIGEST_H
#define ENX_PLAT_DIGEST_H

#include "base/status.h"

enum { ENX_DIGEST_TEXT = 65 }; /* 64 lower-case digits and the zero byte */

/* ENX_NOMEM: the library has no memory. */
ENX_MUST_USE enx_status enx_digest(char out[ENX_DIGEST_TEXT], const void *bytes, size_t size_bytes,
                                   enx_report *report);

#endif /* ENX_PLAT_DIGEST_H */
