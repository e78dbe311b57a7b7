/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c - well-formed UTF-8. */
#include "text/utf8.h"

#include "base/check.h"

/* What a lead byte asks for: how many bytes in all (0: no lead), and the range of the second. */
typedef struct lead {
    uint8_t size_bytes, second_first, second_last;
} lead;

static lead lead_of(uint8_t byte)
{
    if (byte < 0x80) return (lead){ 1, 0, 0 };
    if (byte < 0xC2) return (lead){ 0, 0, 0 };
    if (byte < 0xE0) return (lead){ 2, 0x80, 0xBF };
    if (byte == 0xE0) return (lead){ 3, 0xA0, 0xBF };
    if (byte == 0xED) return (lead){ 3, 0x80, 0x9F };
    if (byte < 0xF0) return (lead){ 3, 0x80, 0xBF };
    if (byte == 0xF0) return (lead){ 4, 0x90, 0xBF };
    if (byte < 0xF4) return (lead){ 4, 0x80, 0xBF };
    if (byte == 0xF4) return (lead){ 4, 0x80, 0x8F };
    return (lead){ 0, 0, 0 };
}

/* How many of the bytes are the start of a character, or all of one; 0: not even the first. */
static size_t count_well_formed(const uint8_t *bytes, size_t size_bytes, lead first)
{
    if (first.size_bytes == 0) return 0;
    const size_t limit = size_bytes < first.size_bytes ? size_bytes : first.size_bytes;
    size_t       count = 1;
    if (count < limit && bytes[1] >= first.second_first && bytes[1] <= first.second_last) count++;
    while (count >= 2 && count < limit && (bytes[count] & 0xC0) == 0x80) count++;
    return count;
}

size_t enx_utf8_decode(const char *bytes, size_t size_bytes, uint32_t *character)
{
    ENX_CHECK(bytes && size_bytes > 0);
    const uint8_t *at = (const uint8_t *)bytes;
    const lead     first = lead_of(at[0]);
    if (first.size_bytes == 0 || count_well_formed(at, size_bytes, first) < first.size_bytes) {
        *character = ENX_UTF8_INVALID;
        return 1;
    }
    uint32_t value = first.size_bytes == 1 ? at[0] : at[0] & (0x7Fu >> first.size_bytes);
    for (size_t i = 1; i < first.size_bytes; i++) value = value << 6 | (at[i] & 0x3Fu);
    *character = value;
    return first.size_bytes;
}

size_t enx_utf8_complete_prefix(const char *bytes, size_t size_bytes)
{
    ENX_CHECK(bytes || size_bytes == 0);
    const uint8_t *text = (const uint8_t *)bytes;
    for (size_t held = 1; held < ENX_UTF8_BYTES_MAX && held <= size_bytes; held++) {
        const uint8_t *at = text + size_bytes - held;
        const lead     first = lead_of(*at);
        if (first.size_bytes > held && count_well_formed(at, held, first) == held)
            return size_bytes - held;
    }
    return size_bytes;
}
