/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_write.c - builds a GGUF v3 file in memory.
 *
 * The last act of finish() is to read the new file with the distrustful parser, so whatever is
 * written can be read: duplicates, limits and bad names are found there and not checked twice.
 */
#include "gguf/gguf_write.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    WRITER_VERSION = 3,
    WRITER_ALIGNMENT = 32, /* the format's default, so general.alignment is not written */
    WRITER_META_BYTES_MAX = 1 << 28,
    WRITER_TENSORS_FIRST = 64,
};

typedef struct writer_tensor {
    const void *data; /* borrowed until finish */
    uint64_t    size_bytes;
} writer_tensor;

struct enx_gguf_writer {
    enx_status     status; /* of the first add that failed */
    enx_report     report;
    uint64_t       key_count;
    uint64_t       tensor_count;
    uint64_t       tensor_capacity;
    uint64_t       data_bytes;
    writer_tensor *tensors;
    enx_buf        keys;      /* encoded key-value pairs */
    enx_buf        directory; /* encoded tensor descriptions */
};

enx_status enx_gguf_writer_open(enx_gguf_writer **out, enx_report *report)
{
    ENX_CHECK(out);
    enx_gguf_writer *writer = ENX_MEM_NEW(enx_gguf_writer, 1);
    if (!writer) return ENX_FAIL(report, NOMEM, "gguf: no memory for a writer");
    enx_buf_init(&writer->keys, WRITER_META_BYTES_MAX);
    enx_buf_init(&writer->directory, WRITER_META_BYTES_MAX);
    *out = writer;
    return ENX_OK;
}

void enx_gguf_writer_close(enx_gguf_writer **handle)
{
    enx_gguf_writer *writer = *handle;
    if (!writer) return;
    enx_buf_deinit(&writer->keys);
    enx_buf_deinit(&writer->directory);
    enx_mem_free(writer->tensors);
    enx_mem_free(writer);
    *handle = NULL;
}

/* ---- bytes; each call does nothing after the first failure ------------- */

static void put(enx_gguf_writer *writer, enx_buf *buf, const void *bytes, size_t size_bytes)
{
    if (writer->status != ENX_OK) return;
    const enx_status status = enx_buf_append(buf, bytes, size_bytes);
    if (status == ENX_LIMIT)
        writer->status = ENX_FAIL(&writer->report, LIMIT, "gguf: more than %zu bytes of metadata",
                                  buf->max_bytes);
    else if (status != ENX_OK)
        writer->status =
            ENX_FAIL(&writer->report, NOMEM, "gguf: no memory for %zu more bytes", size_bytes);
}

static void put_u32(enx_gguf_writer *writer, enx_buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    put(writer, buf, bytes, sizeof bytes);
}

static void put_u64(enx_gguf_writer *writer, enx_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    put(writer, buf, bytes, sizeof bytes);
}

static void put_str(enx_gguf_writer *writer, enx_buf *buf, const char *data, size_t size_bytes)
{
    put_u64(writer, buf, size_bytes);
    put(writer, buf, data, size_bytes);
}

/* ---- keys -------------------------------------------------------------- */

static void put_key(enx_gguf_writer *writer, const char *key, size_t key_bytes,
                    enx_gguf_value_type type)
{
    static const char alignment[] = "general.alignment";
    if (writer->status == ENX_OK && key_bytes == sizeof alignment - 1 &&
        memcmp(key, alignment, key_bytes) == 0)
        writer->status = ENX_FAIL(&writer->report, INVALID,
                                  "gguf: %s is the writer's choice (%d); do not add it", alignment,
                                  WRITER_ALIGNMENT);
    put_str(writer, &writer->keys, key, key_bytes);
    put_u32(writer, &writer->keys, type);
    writer->key_count++;
}

static void put_array(enx_gguf_writer *writer, const char *key, enx_gguf_value_type element_type,
                      uint64_t count)
{
    put_key(writer, key, strlen(key), ENX_GGUF_ARRAY);
    put_u32(writer, &writer->keys, element_type);
    put_u64(writer, &writer->keys, count);
}

void enx_gguf_add_u32(enx_gguf_writer *writer, const char *key, uint32_t value)
{
    put_key(writer, key, strlen(key), ENX_GGUF_U32);
    put_u32(writer, &writer->keys, value);
}

void enx_gguf_add_u64(enx_gguf_writer *writer, const char *key, uint64_t value)
{
    put_key(writer, key, strlen(key), ENX_GGUF_U64);
    put_u64(writer, &writer->keys, value);
}

void enx_gguf_add_f32(enx_gguf_writer *writer, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(writer, key, strlen(key), ENX_GGUF_F32);
    put_u32(writer, &writer->keys, bits);
}

void enx_gguf_add_f64(enx_gguf_writer *writer, const char *key, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(writer, key, strlen(key), ENX_GGUF_F64);
    put_u64(writer, &writer->keys, bits);
}

void enx_gguf_add_bool(enx_gguf_writer *writer, const char *key, bool value)
{
    const uint8_t byte = value;
    put_key(writer, key, strlen(key), ENX_GGUF_BOOL);
    put(writer, &writer->keys, &byte, 1);
}

void enx_gguf_add_str(enx_gguf_writer *writer, const char *key, const char *value)
{
    put_key(writer, key, strlen(key), ENX_GGUF_STRING);
    put_str(writer, &writer->keys, value, strlen(value));
}

void enx_gguf_add_strs(enx_gguf_writer *writer, const char *key, const enx_gguf_str *values,
                       uint64_t count)
{
    put_array(writer, key, ENX_GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        put_str(writer, &writer->keys, values[i].data, (size_t)values[i].size_bytes);
}

void enx_gguf_add_u8s(enx_gguf_writer *writer, const char *key, const uint8_t *values,
                      uint64_t count)
{
    put_array(writer, key, ENX_GGUF_U8, count);
    put(writer, &writer->keys, values, (size_t)count);
}

void enx_gguf_add_i32s(enx_gguf_writer *writer, const char *key, const int32_t *values,
                       uint64_t count)
{
    put_array(writer, key, ENX_GGUF_I32, count);
    for (uint64_t i = 0; i < count; i++) put_u32(writer, &writer->keys, (uint32_t)values[i]);
}

void enx_gguf_add_f32s(enx_gguf_writer *writer, const char *key, const float *values,
                       uint64_t count)
{
    put_array(writer, key, ENX_GGUF_F32, count);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        put_u32(writer, &writer->keys, bits);
    }
}

/* A value's encoded size: values lie in the file as they will lie in the new one. */
static size_t value_bytes(const enx_gguf_value *value)
{
    static const uint8_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    if (value->element_type != ENX_GGUF_STRING)
        return (size_t)value->count * sizes[value->element_type];
    const enx_gguf_value strings = { .type = ENX_GGUF_ARRAY,
                                     .element_type = ENX_GGUF_STRING,
                                     .count = value->count,
                                     .data = value->data };
    const uint8_t       *at = value->data;
    enx_gguf_str         text;
    for (uint64_t i = 0; enx_gguf_next_str(&strings, i, &at, &text);) i++;
    return (size_t)(at - value->data);
}

static bool starts_with(const enx_gguf_str *key, const char *prefix)
{
    const size_t prefix_bytes = strlen(prefix);
    return key->size_bytes >= prefix_bytes && memcmp(key->data, prefix, prefix_bytes) == 0;
}

static void copy_key(enx_gguf_writer *writer, const enx_gguf_str *key, const enx_gguf_value *value)
{
    static const char alignment[] = "general.alignment"; /* describes the source's layout */
    if (key->size_bytes == sizeof alignment - 1 && starts_with(key, alignment)) return;
    if (starts_with(key, "split.")) return; /* the source's parts */
    put_key(writer, key->data, (size_t)key->size_bytes, value->type);
    if (value->type == ENX_GGUF_ARRAY) {
        put_u32(writer, &writer->keys, value->element_type);
        put_u64(writer, &writer->keys, value->count);
    }
    put(writer, &writer->keys, value->data, value_bytes(value));
}

void enx_gguf_add_from(enx_gguf_writer *writer, const enx_gguf *source, const char *skip_prefix)
{
    for (uint64_t i = 0; i < enx_gguf_key_count(source); i++) {
        enx_gguf_value     value;
        const enx_gguf_str key = enx_gguf_key_at(source, i, &value);
        if (!skip_prefix || !starts_with(&key, skip_prefix)) copy_key(writer, &key, &value);
    }
}

void enx_gguf_add_except(enx_gguf_writer *writer, const enx_gguf *source, const char *const *names,
                         size_t name_count)
{
    for (uint64_t i = 0; i < enx_gguf_key_count(source); i++) {
        enx_gguf_value     value;
        const enx_gguf_str key = enx_gguf_key_at(source, i, &value);
        bool               is_named = false;
        for (size_t n = 0; n < name_count; n++)
            is_named |= key.size_bytes == strlen(names[n]) && starts_with(&key, names[n]);
        if (!is_named) copy_key(writer, &key, &value);
    }
}

void enx_gguf_add_only(enx_gguf_writer *writer, const enx_gguf *source, const char *prefix)
{
    for (uint64_t i = 0; i < enx_gguf_key_count(source); i++) {
        enx_gguf_value     value;
        const enx_gguf_str key = enx_gguf_key_at(source, i, &value);
        if (starts_with(&key, prefix)) copy_key(writer, &key, &value);
    }
}

/* ---- tensors ----------------------------------------------------------- */

static uint64_t padding(uint64_t at) { return -at & (WRITER_ALIGNMENT - 1); }

/* Bytes of the whole tensor; 0 when the type or the dimensions cannot be written. */
static uint64_t tensor_bytes(enx_tensor_type type, uint32_t dim_count, const uint64_t *dims)
{
    if (dim_count < 1 || dim_count > ENX_GGUF_DIMS_MAX) return 0;
    uint64_t size_bytes = enx_tensor_row_bytes(type, dims[0]);
    for (uint32_t d = 1; d < dim_count; d++)
        if (__builtin_mul_overflow(size_bytes, dims[d], &size_bytes)) return 0;
    return size_bytes;
}

static void keep_tensor(enx_gguf_writer *writer, const void *data, uint64_t size_bytes)
{
    if (writer->status != ENX_OK) return;
    if (writer->tensor_count == writer->tensor_capacity) {
        const uint64_t capacity =
            writer->tensor_capacity ? 2 * writer->tensor_capacity : WRITER_TENSORS_FIRST;
        writer_tensor *grown =
            enx_mem_resize(writer->tensors, (size_t)writer->tensor_count * sizeof *grown,
                           (size_t)capacity * sizeof *grown);
        if (!grown) {
            writer->status = ENX_FAIL(&writer->report, NOMEM, "gguf: no memory for %llu tensors",
                                      (unsigned long long)capacity);
            return;
        }
        writer->tensors = grown;
        writer->tensor_capacity = capacity;
    }
    writer->tensors[writer->tensor_count++] =
        (writer_tensor){ .data = data, .size_bytes = size_bytes };
    writer->data_bytes += size_bytes + padding(size_bytes);
}

void enx_gguf_add_tensor(enx_gguf_writer *writer, const char *name, enx_tensor_type type,
                         uint32_t dim_count, const uint64_t *dims, const void *data)
{
    ENX_CHECK(name && dims && data);
    if (writer->status != ENX_OK) return;
    const uint64_t size_bytes = tensor_bytes(type, dim_count, dims);
    if (size_bytes == 0 || size_bytes > (uint64_t)SIZE_MAX / 4) {
        writer->status = ENX_FAIL(&writer->report, INVALID,
                                  "gguf: tensor '%s' of type %s has dimensions it cannot have",
                                  name, enx_tensor_type_name(type));
        return;
    }
    put_str(writer, &writer->directory, name, strlen(name));
    put_u32(writer, &writer->directory, dim_count);
    for (uint32_t d = 0; d < dim_count; d++) put_u64(writer, &writer->directory, dims[d]);
    put_u32(writer, &writer->directory, type);
    put_u64(writer, &writer->directory, writer->data_bytes);
    keep_tensor(writer, data, size_bytes);
}

/* ---- the whole --------------------------------------------------------- */

static enx_status append_zeros(enx_buf *buf, uint64_t count)
{
    static const uint8_t zeros[WRITER_ALIGNMENT];
    return enx_buf_append(buf, zeros, (size_t)count);
}

static enx_status append_file(enx_gguf_writer *writer, enx_buf *buf)
{
    const size_t first = buf->size_bytes;
    uint8_t      header[24] = { 'G', 'G', 'U', 'F', WRITER_VERSION };
    for (int i = 0; i < 8; i++) {
        header[8 + i] = (uint8_t)(writer->tensor_count >> 8 * i);
        header[16 + i] = (uint8_t)(writer->key_count >> 8 * i);
    }
    ENX_TRY(enx_buf_append(buf, header, sizeof header));
    ENX_TRY(enx_buf_append(buf, enx_buf_text(&writer->keys), writer->keys.size_bytes));
    ENX_TRY(enx_buf_append(buf, enx_buf_text(&writer->directory), writer->directory.size_bytes));
    ENX_TRY(append_zeros(buf, padding(buf->size_bytes - first)));
    for (uint64_t i = 0; i < writer->tensor_count; i++) {
        const writer_tensor *tensor = &writer->tensors[i];
        ENX_TRY(enx_buf_append(buf, tensor->data, (size_t)tensor->size_bytes));
        /* After the last one too: llama.cpp reads whole padded tensors. */
        ENX_TRY(append_zeros(buf, padding(tensor->size_bytes)));
    }
    return ENX_OK;
}

enx_status enx_gguf_writer_finish(enx_gguf_writer *writer, enx_buf *buf, enx_report *report)
{
    ENX_CHECK(writer && buf);
    if (writer->status != ENX_OK) {
        if (report) *report = writer->report;
        return writer->status;
    }
    const size_t before = buf->size_bytes;
    enx_gguf    *proof = NULL;
    enx_status   status = append_file(writer, buf);
    if (status == ENX_LIMIT)
        (void)ENX_FAIL(report, LIMIT, "gguf: the file would pass the buffer's %zu bytes",
                       buf->max_bytes);
    else if (status != ENX_OK)
        (void)ENX_FAIL(report, NOMEM, "gguf: no memory for the file (%zu bytes so far)",
                       buf->size_bytes - before);
    else status = enx_gguf_open(&proof, buf->data + before, buf->size_bytes - before, report);
    enx_gguf_close(&proof);
    if (status != ENX_OK && buf->data) {
        buf->size_bytes = before;
        buf->data[before] = '\0';
    }
    return status;
}
