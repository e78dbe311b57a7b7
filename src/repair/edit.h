/* SPDX-License-Identifier: Apache-2.0 */
/* edit.h - the small changes that could mend a piece of source.
 *
 * One mark lost, doubled, strayed or taken for another, or the indentation of one line: what is
 * undone by one edit.  More damage is undone by edits one after the other.
 *
 * Layer: repair.  Thread-safety: no shared state.
 */
#ifndef ENX_REPAIR_EDIT_H
#define ENX_REPAIR_EDIT_H

#include "base/status.h"
#include "repair/scan.h"

enum { ENX_EDIT_INSERT_MAX = 40 };

typedef struct enx_edit {
    uint32_t at, remove; /* bytes */
    uint8_t  insert_bytes;
    char     insert[ENX_EDIT_INSERT_MAX];
} enx_edit;

/* The marks that may be lost in a language, as text. */
const char *enx_edit_marks(enx_code code);

/* Write text with the edit into out[size_bytes - remove + insert_bytes], and return that size. */
uint32_t enx_edit_apply(char *out, const char *text, uint32_t size_bytes, const enx_edit *edit);

/* Write the edits that leave the fewest faults of all single edits of text[from..to), each text
 * once, and return how many; *faults receives how many are left.  At most `max`; scratch is
 * overwritten.  text[size_bytes] < ENX_WINDOW_BYTES_MAX - ENX_EDIT_INSERT_MAX. */
uint32_t enx_edit_list(enx_edit *out, uint32_t max, uint32_t *faults, enx_code code,
                       const char *text, uint32_t size_bytes, uint32_t from, uint32_t to,
                       enx_scan *scratch);

#endif /* ENX_REPAIR_EDIT_H */
