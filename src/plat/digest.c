/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - SHA-256 of OpenSSL's libcrypto. */
#include "plat/digest.h"

#include <openssl/evp.h>

enx_status enx_digest(char out[ENX_DIGEST_TEXT], const void *bytes, size_t size_bytes,
                      enx_report *report)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char     raw[EVP_MAX_MD_SIZE];
    unsigned          raw_bytes = 0;
    if (!EVP_Digest(bytes, size_bytes, raw, &raw_bytes, EVP_sha256(), NULL) ||
        2 * raw_bytes + 1 != ENX_DIGEST_TEXT)
        return ENX_FAIL(report, NOMEM, "no SHA-256 of %zu bytes", size_bytes);
    for (unsigned i = 0; i < raw_bytes; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[2 * raw_bytes] = '\0';
    return ENX_OK;
}
