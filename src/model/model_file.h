/* SPDX-License-Identifier: Apache-2.0 */
/* model_file.h - a model's file, or its files: large models come in parts.
 *
 * Part number n of c is called <name>-0000n-of-0000c.gguf.  The first part has all metadata; each
 * has split.no (from 0), split.count and split.tensors.count, the tensors of all parts together.
 * The first part is named, the others are found beside it.
 *
 * Layer: model.  Thread-safety: immutable after open; may be shared.
 * Source: llama.cpp, tools/gguf-split (the names of files and keys).
 */
#ifndef ENX_MODEL_MODEL_FILE_H
#define ENX_MODEL_MODEL_FILE_H

#include "gguf/gguf.h"
#include "plat/file.h"

enum { ENX_MODEL_FILE_PARTS_MAX = 1024 };

typedef struct enx_model_file {
    enx_gguf *gguf; /* the tensors of all parts, the keys of the first */
    enx_file *parts;
    uint32_t  part_count;
    uint64_t  size_bytes; /* of all parts */
} enx_model_file;

/* Map and open.  The zero value is safe to close.  Texts name the path of the file that is wrong.
 * ENX_NOTFOUND (also for a part that is missing), ENX_IO, ENX_FORMAT (parts of different models,
 * another part than the first, a name that does not say what the file says), and all that
 * enx_gguf_open may return. */
ENX_MUST_USE enx_status enx_model_file_open(enx_model_file *out, const char *path,
                                            enx_report *report);
void                    enx_model_file_close(enx_model_file *file);

#endif /* ENX_MODEL_MODEL_FILE_H */
