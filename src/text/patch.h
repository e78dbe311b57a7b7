/* SPDX-License-Identifier: Apache-2.0 */
/* patch.h - unified diffs as models write them: read with distrust, applied exactly or not at all.
 *
 * Numbers of lines are not believed: a hunk goes where the lines that it keeps and removes stand
 * one after the other, behind the hunk before it.  Where they stand in several places, the stated
 * line decides, and must be one of them.  Names are taken without a first "a/" and "b/".  A file
 * whose last line a hunk touches ends with a line break afterwards.
 *
 *     --- a/src/f.c          /dev/null: the file is new
 *     +++ b/src/f.c          /dev/null: it is removed
 *     @@ -3,2 +3,2 @@        numbers may be missing
 *      kept
 *     -removed
 *     +added
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TEXT_PATCH_H
#define ENX_TEXT_PATCH_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_PATCH_BYTES_MAX = 1 << 20,
    ENX_PATCH_FILES_MAX = 64,
    ENX_PATCH_HUNKS_MAX = 1024, /* of all files */
    ENX_PATCH_NAME_MAX = 512,   /* bytes, with the zero byte */
};

typedef struct enx_patch enx_patch;

typedef struct enx_patch_file {
    const char *name; /* relative; parts neither empty nor "." nor ".." nor ".git" */
    bool        is_new, is_removed;
} enx_patch_file;

/* ENX_FORMAT: no patch, or a line that belongs to none · ENX_INVALID: a name that leads elsewhere,
 * or comes twice · ENX_LIMIT, ENX_NOMEM.  `text` is copied. */
ENX_MUST_USE enx_status enx_patch_open(enx_patch **out, const char *text, size_t size_bytes,
                                       enx_report *report);
void                    enx_patch_close(enx_patch **patch);

size_t         enx_patch_file_count(const enx_patch *patch);
/* Names are borrowed until close. */
enx_patch_file enx_patch_file_get(const enx_patch *patch, size_t index);

/* Append file number `index` as the patch makes it of `text` ("" for a new one).  ENX_INVALID: a
 * hunk that fits nowhere, or in several places, by its number and first line; then `out` may hold a
 * part. */
ENX_MUST_USE enx_status enx_patch_apply(const enx_patch *patch, size_t index, const char *text,
                                        size_t size_bytes, enx_buf *out, enx_report *report);

#endif /* ENX_TEXT_PATCH_H */
