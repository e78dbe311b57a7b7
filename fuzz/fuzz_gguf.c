/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gguf.c - no bytes may crash the parser, and what it accepts keeps its word:
 *
 * (1) counts are within their limits, and everything returned lies inside the bytes;
 * (2) every key and tensor is found by its name, and is the same one;
 * (3) typed reads succeed or say ENX_FORMAT;
 * (4) written again and read again, it has the same keys, values and tensors.
 */
#include "base/buf.h"
#include "base/check.h"
#include "gguf/gguf.h"
#include "gguf/gguf_write.h"

#include <string.h>

enum { COPY_BYTES_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *bytes_first, *bytes_end;

static void check_inside(const void *data, uint64_t size_bytes)
{
    const uint8_t *at = data;
    ENX_CHECK(at >= bytes_first && at <= bytes_end);
    ENX_CHECK(size_bytes <= (uint64_t)(bytes_end - at));
}

/* The name as a C string; names hold no zero bytes. */
static const char *c_name(enx_gguf_str name)
{
    static char text[ENX_GGUF_NAME_BYTES_MAX + 1];
    ENX_CHECK(name.size_bytes > 0 && name.size_bytes < sizeof text);
    check_inside(name.data, name.size_bytes);
    memcpy(text, name.data, name.size_bytes);
    text[name.size_bytes] = '\0';
    ENX_CHECK(strlen(text) == name.size_bytes);
    return text;
}

static void check_reads(const enx_gguf *gguf, const char *name)
{
    uint64_t         number;
    double           real;
    bool             yes;
    enx_gguf_str     text;
    const enx_status as_u64 = enx_gguf_read_u64(gguf, name, &number, NULL);
    const enx_status as_f64 = enx_gguf_read_f64(gguf, name, &real, NULL);
    const enx_status as_bool = enx_gguf_read_bool(gguf, name, &yes, NULL);
    const enx_status as_str = enx_gguf_read_str(gguf, name, &text, NULL);
    ENX_CHECK(as_u64 == ENX_OK || as_u64 == ENX_FORMAT);
    ENX_CHECK(as_f64 == ENX_OK || as_f64 == ENX_FORMAT);
    ENX_CHECK(as_bool == ENX_OK || as_bool == ENX_FORMAT);
    ENX_CHECK(as_str == ENX_OK || as_str == ENX_FORMAT);
    ENX_CHECK(as_u64 != ENX_OK || as_f64 == ENX_OK);
    ENX_CHECK((as_f64 == ENX_OK) + (as_bool == ENX_OK) + (as_str == ENX_OK) <= 1);
    if (as_str == ENX_OK) check_inside(text.data, text.size_bytes);
}

static void check_key(const enx_gguf *gguf, uint64_t index)
{
    enx_gguf_value value, found;
    const char    *name = c_name(enx_gguf_key_at(gguf, index, &value));
    ENX_CHECK(enx_gguf_find(gguf, name, &found));
    ENX_CHECK(found.data == value.data && found.type == value.type && found.count == value.count);
    ENX_CHECK(value.count <= ENX_GGUF_ARRAY_COUNT_MAX);
    check_inside(value.data, 0);
    check_reads(gguf, name);
    if (value.type != ENX_GGUF_ARRAY || value.element_type != ENX_GGUF_STRING) return;
    const uint8_t *at = value.data;
    enx_gguf_str   text;
    uint64_t       count = 0;
    for (; enx_gguf_next_str(&value, count, &at, &text); count++)
        check_inside(text.data, text.size_bytes);
    ENX_CHECK(count == value.count);
    check_inside(at, 0);
}

static void check_tensor(const enx_gguf *gguf, uint64_t index)
{
    const enx_gguf_tensor *tensor = enx_gguf_tensor_at(gguf, index);
    ENX_CHECK(enx_gguf_tensor_find(gguf, c_name(tensor->name)) == tensor);
    ENX_CHECK(tensor->dim_count >= 1 && tensor->dim_count <= ENX_GGUF_DIMS_MAX);
    uint64_t size_bytes = enx_tensor_row_bytes(tensor->type, tensor->dims[0]);
    for (uint32_t d = 1; d < ENX_GGUF_DIMS_MAX; d++) {
        ENX_CHECK(tensor->dims[d] == 1 || d < tensor->dim_count);
        size_bytes *= tensor->dims[d];
    }
    ENX_CHECK(tensor->size_bytes == size_bytes && size_bytes > 0);
    check_inside(tensor->data, tensor->size_bytes);
}

/* Keys that say how the source is laid out, which a copy does not keep. */
static uint64_t count_layout_keys(const enx_gguf *gguf)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < enx_gguf_key_count(gguf); i++) {
        enx_gguf_value value;
        const char    *name = c_name(enx_gguf_key_at(gguf, i, &value));
        count += strcmp(name, "general.alignment") == 0 || strncmp(name, "split.", 6) == 0;
    }
    return count;
}

static void check_copy(const enx_gguf *gguf, const enx_gguf *copy)
{
    const uint64_t skipped = count_layout_keys(gguf);
    ENX_CHECK(enx_gguf_key_count(copy) + skipped == enx_gguf_key_count(gguf));
    for (uint64_t i = 0; i < enx_gguf_key_count(copy); i++) {
        enx_gguf_value     mine, theirs;
        const enx_gguf_str name = enx_gguf_key_at(copy, i, &mine);
        char               text[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
        memcpy(text, name.data, name.size_bytes);
        ENX_CHECK(enx_gguf_find(gguf, text, &theirs));
        ENX_CHECK(mine.type == theirs.type && mine.element_type == theirs.element_type &&
                  mine.count == theirs.count);
    }
    ENX_CHECK(enx_gguf_tensor_count(copy) == enx_gguf_tensor_count(gguf));
    for (uint64_t i = 0; i < enx_gguf_tensor_count(copy); i++) {
        const enx_gguf_tensor *mine = enx_gguf_tensor_at(copy, i);
        const enx_gguf_tensor *theirs = enx_gguf_tensor_at(gguf, i);
        ENX_CHECK(mine->type == theirs->type && mine->size_bytes == theirs->size_bytes);
        ENX_CHECK(memcmp(mine->data, theirs->data, mine->size_bytes) == 0);
    }
}

static void check_round_trip(const enx_gguf *gguf)
{
    enx_gguf_writer *writer = NULL;
    enx_gguf        *copy = NULL;
    enx_buf          buf;
    char             name[ENX_GGUF_NAME_BYTES_MAX + 1];
    enx_buf_init(&buf, COPY_BYTES_MAX);
    ENX_CHECK(enx_gguf_writer_open(&writer, NULL) == ENX_OK);
    enx_gguf_add_from(writer, gguf, NULL);
    for (uint64_t i = 0; i < enx_gguf_tensor_count(gguf); i++) {
        const enx_gguf_tensor *tensor = enx_gguf_tensor_at(gguf, i);
        memset(name, 0, sizeof name);
        memcpy(name, tensor->name.data, tensor->name.size_bytes);
        enx_gguf_add_tensor(writer, name, tensor->type, tensor->dim_count, tensor->dims,
                            tensor->data);
    }
    const enx_status status = enx_gguf_writer_finish(writer, &buf, NULL);
    /* Tensors may share bytes in the file and do not in the copy, which may so grow too big. */
    ENX_CHECK(status == ENX_OK || status == ENX_LIMIT);
    if (status == ENX_OK) {
        ENX_CHECK(enx_gguf_open(&copy, buf.data, buf.size_bytes, NULL) == ENX_OK);
        check_copy(gguf, copy);
        enx_gguf_close(&copy);
    }
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_gguf  *gguf = NULL;
    enx_report report = { 0 };
    bytes_first = data;
    bytes_end = data + size;
    if (enx_gguf_open(&gguf, data, size, &report) != ENX_OK) {
        ENX_CHECK(!gguf && report.status != ENX_OK && report.text[0]);
        return 0;
    }
    ENX_CHECK(enx_gguf_key_count(gguf) <= ENX_GGUF_KEYS_MAX);
    ENX_CHECK(enx_gguf_tensor_count(gguf) <= ENX_GGUF_TENSORS_MAX);
    for (uint64_t i = 0; i < enx_gguf_key_count(gguf); i++) check_key(gguf, i);
    for (uint64_t i = 0; i < enx_gguf_tensor_count(gguf); i++) check_tensor(gguf, i);
    check_round_trip(gguf);
    enx_gguf_close(&gguf);
    return 0;
}
