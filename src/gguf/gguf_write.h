/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_write.h - writes GGUF v3 files that gguf.h and llama.cpp read.
 *
 * Usage: open, add keys, add tensors (metadata and data, borrowed until finish), finish into a
 * buffer, hand that to enx_file_write.  A failed add is remembered and returned by finish, so
 * that callers need one check.
 *
 * Layer: gguf.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_GGUF_GGUF_WRITE_H
#define ENX_GGUF_GGUF_WRITE_H

#include "base/buf.h"
#include "gguf/gguf.h"

typedef struct enx_gguf_writer enx_gguf_writer;

ENX_MUST_USE enx_status enx_gguf_writer_open(enx_gguf_writer **out, enx_report *report);
void                    enx_gguf_writer_close(enx_gguf_writer **writer);

void enx_gguf_add_u32(enx_gguf_writer *writer, const char *key, uint32_t value);
void enx_gguf_add_u64(enx_gguf_writer *writer, const char *key, uint64_t value);
void enx_gguf_add_f32(enx_gguf_writer *writer, const char *key, float value);
void enx_gguf_add_f64(enx_gguf_writer *writer, const char *key, double value);
void enx_gguf_add_bool(enx_gguf_writer *writer, const char *key, bool value);
void enx_gguf_add_str(enx_gguf_writer *writer, const char *key, const char *value);
void enx_gguf_add_strs(enx_gguf_writer *writer, const char *key, const enx_gguf_str *values,
                       uint64_t count);
void enx_gguf_add_u8s(enx_gguf_writer *writer, const char *key, const uint8_t *values,
                      uint64_t count);
void enx_gguf_add_i32s(enx_gguf_writer *writer, const char *key, const int32_t *values,
                       uint64_t count);
void enx_gguf_add_f32s(enx_gguf_writer *writer, const char *key, const float *values,
                       uint64_t count);
/* Copy every key of `source` whose name does not start with `skip_prefix` (NULL: all).  What says
 * how the source is laid out (general.alignment, split.*) is left out here and below. */
void enx_gguf_add_from(enx_gguf_writer *writer, const enx_gguf *source, const char *skip_prefix);

/* Copy every key of `source` but those of these names. */
void enx_gguf_add_except(enx_gguf_writer *writer, const enx_gguf *source, const char *const *names,
                         size_t name_count);

/* Copy only the keys whose name starts with `prefix`. */
void enx_gguf_add_only(enx_gguf_writer *writer, const enx_gguf *source, const char *prefix);

/* `data` holds enx_tensor_row_bytes(type, dims[0]) * dims[1] * ... bytes, borrowed until finish. */
void enx_gguf_add_tensor(enx_gguf_writer *writer, const char *name, enx_tensor_type type,
                         uint32_t dim_count, const uint64_t *dims, const void *data);

/* Append the whole file to `buf`.  ENX_LIMIT, ENX_NOMEM, or the first failed add. */
ENX_MUST_USE enx_status enx_gguf_writer_finish(enx_gguf_writer *writer, enx_buf *buf,
                                               enx_report *report);

#endif /* ENX_GGUF_GGUF_WRITE_H */
