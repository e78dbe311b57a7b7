/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - files as the rest of the program wants them: whole, mapped, or atomically written.
 *
 * Layer: plat.  Thread-safety: no shared state.
 */
#ifndef ENX_PLAT_FILE_H
#define ENX_PLAT_FILE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* A read-only mapping of a whole file.  The zero value is safe to unmap. */
typedef struct enx_file {
    const uint8_t *bytes; /* NULL for an empty file */
    size_t         size_bytes;
} enx_file;

/* ENX_NOTFOUND, ENX_IO (also for directories and devices).  Texts name the path. */
ENX_MUST_USE enx_status enx_file_map(enx_file *out, const char *path, enx_report *report);
void                    enx_file_unmap(enx_file *file);

/* What lies wholly in these bytes, and in the mapping, need not stay in memory: it is read again
 * where it is touched. */
void enx_file_forget(const enx_file *file, const void *from, size_t size_bytes);

/* Append the content of `path` ("-": standard input) to `buf`, whose max_bytes is the limit.
 * ENX_NOTFOUND, ENX_IO, ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_file_read(enx_buf *buf, const char *path, enx_report *report);

/* Replace `path` as a whole or not at all: write path.tmp, fsync, rename.  ENX_IO names the
 * reason (full disk, no permission); an older file then stays as it was. */
ENX_MUST_USE enx_status enx_file_write(const char *path, const void *bytes, size_t size_bytes,
                                       enx_report *report);

/* Make `path` and its missing parents (mode 0777 less umask).  ENX_IO. */
ENX_MUST_USE enx_status enx_dir_make(const char *path, enx_report *report);

bool enx_file_exists(const char *path);

#endif /* ENX_PLAT_FILE_H */
