/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.c - a distrustful reader of GGUF.
 *
 * One pass with a cursor that cannot leave the bytes.  Counts are compared with what the rest of
 * the file could hold before anything is allocated, so a file of a few bytes costs a few bytes.
 * Names are indexed by sorting (heap sort: n log n for every input, hostile ones too), which finds
 * duplicates as neighbours; look-ups are binary searches.
 */
#include "gguf/gguf.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    GGUF_VERSION_MIN = 2,
    GGUF_VERSION_MAX = 3,
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MIN = 8,
    GGUF_ALIGNMENT_MAX = 1 << 16,
    GGUF_KEY_BYTES_MIN = 8 + 1 + 4 + 1,            /* name, type, smallest value */
    GGUF_TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, /* name, dimensions, type, offset */
    BLOCK_VALUES_MAX = 256,                        /* a row that every type divides */
    NAME_SHOWN_BYTES = 64,
};

typedef struct gguf_key {
    enx_gguf_str   name;
    enx_gguf_value value;
} gguf_key;

struct enx_gguf {
    uint64_t         key_count;
    uint64_t         tensor_count;
    gguf_key        *keys;           /* [key_count], in file order */
    uint32_t        *keys_sorted;    /* [key_count], indices by name */
    enx_gguf_tensor *tensors;        /* [tensor_count], in file order */
    uint32_t        *tensors_sorted; /* [tensor_count], indices by name */
};

typedef struct gguf_cursor {
    const uint8_t *bytes;
    size_t         size_bytes;
    size_t         at;
    enx_report    *report;
} gguf_cursor;

/* A name from the file, safe to print: short, and printable ASCII only. */
typedef struct shown_name {
    char text[NAME_SHOWN_BYTES + 4];
} shown_name;

static shown_name show(enx_gguf_str name)
{
    shown_name   shown;
    const size_t size =
        name.size_bytes < NAME_SHOWN_BYTES ? (size_t)name.size_bytes : NAME_SHOWN_BYTES;
    for (size_t i = 0; i < size; i++) shown.text[i] = '?';
    for (size_t i = 0; i < size; i++)
        if (name.data[i] >= ' ' && name.data[i] <= '~') shown.text[i] = name.data[i];
    memcpy(shown.text + size, size < name.size_bytes ? "..." : "", size < name.size_bytes ? 4 : 1);
    return shown;
}

/* ---- bytes ------------------------------------------------------------- */

static uint32_t load_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t load_le64(const uint8_t *at)
{
    return (uint64_t)load_le32(at) | (uint64_t)load_le32(at + 4) << 32;
}

/* *out is the next `size_bytes` bytes; `what` is for the message. */
static enx_status take(gguf_cursor *cursor, uint64_t size_bytes, const char *what,
                       const uint8_t **out)
{
    const size_t left = cursor->size_bytes - cursor->at;
    if (size_bytes > left)
        return ENX_FAIL(cursor->report, FORMAT,
                        "gguf: the file ends inside %s at byte %zu (%llu bytes wanted, %zu left); "
                        "it is cut short or not GGUF",
                        what, cursor->at, (unsigned long long)size_bytes, left);
    *out = cursor->bytes + cursor->at;
    cursor->at += (size_t)size_bytes;
    return ENX_OK;
}

static enx_status take_u32(gguf_cursor *cursor, const char *what, uint32_t *out)
{
    const uint8_t *at = NULL;
    ENX_TRY(take(cursor, 4, what, &at));
    *out = load_le32(at);
    return ENX_OK;
}

static enx_status take_u64(gguf_cursor *cursor, const char *what, uint64_t *out)
{
    const uint8_t *at = NULL;
    ENX_TRY(take(cursor, 8, what, &at));
    *out = load_le64(at);
    return ENX_OK;
}

static enx_status take_str(gguf_cursor *cursor, const char *what, enx_gguf_str *out)
{
    uint64_t       size_bytes = 0;
    const uint8_t *at = NULL;
    ENX_TRY(take_u64(cursor, what, &size_bytes));
    ENX_TRY(take(cursor, size_bytes, what, &at));
    *out = (enx_gguf_str){ .data = (const char *)at, .size_bytes = size_bytes };
    return ENX_OK;
}

static enx_status take_name(gguf_cursor *cursor, const char *what, enx_gguf_str *out)
{
    enx_gguf_str name;
    const size_t at = cursor->at;
    ENX_TRY(take_str(cursor, what, &name));
    if (name.size_bytes == 0)
        return ENX_FAIL(cursor->report, FORMAT, "gguf: %s at byte %zu is empty", what, at);
    if (name.size_bytes > ENX_GGUF_NAME_BYTES_MAX)
        return ENX_FAIL(cursor->report, LIMIT,
                        "gguf: %s at byte %zu has %llu bytes, at most %d work", what, at,
                        (unsigned long long)name.size_bytes, ENX_GGUF_NAME_BYTES_MAX);
    for (uint64_t i = 0; i < name.size_bytes; i++)
        if ((uint8_t)name.data[i] < ' ' || name.data[i] == 0x7F)
            return ENX_FAIL(cursor->report, FORMAT, "gguf: %s at byte %zu has a control character",
                            what, at);
    *out = name;
    return ENX_OK;
}

/* ---- index by name ----------------------------------------------------- */

static int compare(enx_gguf_str a, enx_gguf_str b)
{
    const uint64_t shorter = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int      order = memcmp(a.data, b.data, (size_t)shorter);
    if (order != 0) return order;
    return (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

/* Names live `stride_bytes` apart, as first members of gguf_key and enx_gguf_tensor. */
typedef struct name_list {
    const uint8_t *first;
    size_t         stride_bytes;
} name_list;

static enx_gguf_str name_at(name_list names, uint32_t index)
{
    enx_gguf_str name;
    memcpy(&name, names.first + index * names.stride_bytes, sizeof name);
    return name;
}

static void sift_down(uint32_t *heap, size_t root, size_t count, name_list names)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count &&
            compare(name_at(names, heap[child]), name_at(names, heap[child + 1])) < 0)
            child++;
        if (compare(name_at(names, heap[root]), name_at(names, heap[child])) >= 0) return;
        const uint32_t swap = heap[root];
        heap[root] = heap[child];
        heap[child] = swap;
    }
}

static enx_status index_names(uint32_t *sorted, uint64_t count, name_list names, const char *what,
                              enx_report *report)
{
    for (uint32_t i = 0; i < count; i++) sorted[i] = i;
    for (size_t i = (size_t)count / 2; i-- > 0;) sift_down(sorted, i, (size_t)count, names);
    for (size_t last = (size_t)count; last-- > 1;) {
        const uint32_t top = sorted[0];
        sorted[0] = sorted[last];
        sorted[last] = top;
        sift_down(sorted, 0, last, names);
    }
    for (uint64_t i = 1; i < count; i++)
        if (compare(name_at(names, sorted[i - 1]), name_at(names, sorted[i])) == 0)
            return ENX_FAIL(report, FORMAT, "gguf: %s '%s' appears twice", what,
                            show(name_at(names, sorted[i])).text);
    return ENX_OK;
}

/* The position of `name` in file order, or -1. */
static int64_t search(const uint32_t *sorted, uint64_t count, name_list names, const char *name)
{
    const enx_gguf_str wanted = { .data = name, .size_bytes = strlen(name) };
    uint64_t           low = 0, high = count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        const int      order = compare(wanted, name_at(names, sorted[middle]));
        if (order == 0) return sorted[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return -1;
}

static name_list key_names(const enx_gguf *gguf)
{
    return (name_list){ (const uint8_t *)gguf->keys, sizeof *gguf->keys };
}

static name_list tensor_names(const enx_gguf *gguf)
{
    return (name_list){ (const uint8_t *)gguf->tensors, sizeof *gguf->tensors };
}

/* ---- metadata ---------------------------------------------------------- */

static uint32_t scalar_bytes(enx_gguf_value_type type)
{
    switch (type) {
    case ENX_GGUF_U8:
    case ENX_GGUF_I8:
    case ENX_GGUF_BOOL:
        return 1;
    case ENX_GGUF_U16:
    case ENX_GGUF_I16:
        return 2;
    case ENX_GGUF_U32:
    case ENX_GGUF_I32:
    case ENX_GGUF_F32:
        return 4;
    case ENX_GGUF_U64:
    case ENX_GGUF_I64:
    case ENX_GGUF_F64:
        return 8;
    case ENX_GGUF_STRING:
    case ENX_GGUF_ARRAY:
        break;
    }
    return 0;
}

static enx_status take_value_type(gguf_cursor *cursor, enx_gguf_str key, enx_gguf_value_type *out)
{
    uint32_t type = 0;
    ENX_TRY(take_u32(cursor, "the type of a value", &type));
    if (type > ENX_GGUF_F64)
        return ENX_FAIL(cursor->report, FORMAT, "gguf: key '%s' has value type %u, 0 to 12 exist",
                        show(key).text, type);
    *out = (enx_gguf_value_type)type;
    return ENX_OK;
}

static enx_status take_elements(gguf_cursor *cursor, enx_gguf_str key, enx_gguf_value_type type,
                                uint64_t count)
{
    if (type == ENX_GGUF_STRING) {
        enx_gguf_str text;
        for (uint64_t i = 0; i < count; i++) ENX_TRY(take_str(cursor, "a string", &text));
        return ENX_OK;
    }
    /* No overflow: count <= ENX_GGUF_ARRAY_COUNT_MAX. */
    const uint8_t *bytes = NULL;
    ENX_TRY(take(cursor, count * scalar_bytes(type), "a value", &bytes));
    if (type != ENX_GGUF_BOOL) return ENX_OK;
    for (uint64_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return ENX_FAIL(cursor->report, FORMAT,
                            "gguf: key '%s' has truth value %u, 0 or 1 work", show(key).text,
                            bytes[i]);
    return ENX_OK;
}

static enx_status take_key(gguf_cursor *cursor, gguf_key *out)
{
    gguf_key key = { .value = { .count = 1 } };
    ENX_TRY(take_name(cursor, "a key", &key.name));
    ENX_TRY(take_value_type(cursor, key.name, &key.value.type));
    key.value.element_type = key.value.type;
    if (key.value.type == ENX_GGUF_ARRAY) {
        ENX_TRY(take_value_type(cursor, key.name, &key.value.element_type));
        ENX_TRY(take_u64(cursor, "the length of an array", &key.value.count));
        if (key.value.element_type == ENX_GGUF_ARRAY)
            return ENX_FAIL(cursor->report, UNSUPPORTED,
                            "gguf: key '%s' is an array of arrays; only flat arrays are read",
                            show(key.name).text);
        if (key.value.count > ENX_GGUF_ARRAY_COUNT_MAX)
            return ENX_FAIL(cursor->report, LIMIT,
                            "gguf: key '%s' is an array of %llu elements, at most %d work",
                            show(key.name).text, (unsigned long long)key.value.count,
                            ENX_GGUF_ARRAY_COUNT_MAX);
    }
    key.value.data = cursor->bytes + cursor->at;
    ENX_TRY(take_elements(cursor, key.name, key.value.element_type, key.value.count));
    *out = key;
    return ENX_OK;
}

static enx_status read_alignment(const enx_gguf *gguf, uint64_t *out, enx_report *report)
{
    uint64_t         alignment = GGUF_ALIGNMENT_DEFAULT;
    const enx_status status = enx_gguf_read_u64(gguf, "general.alignment", &alignment, report);
    if (status != ENX_OK && status != ENX_NOTFOUND) return status;
    if (alignment < GGUF_ALIGNMENT_MIN || alignment > GGUF_ALIGNMENT_MAX ||
        (alignment & (alignment - 1)) != 0)
        return ENX_FAIL(report, FORMAT,
                        "gguf: general.alignment is %llu; a power of two from %d to %d is needed",
                        (unsigned long long)alignment, GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    *out = alignment;
    return ENX_OK;
}

/* ---- tensors ----------------------------------------------------------- */

/* ggml's names by number; NULL: a number that ggml has given up. */
static const char *const type_names[] = {
    "F32",    "F16",   "Q4_0",  "Q4_1",   NULL,    NULL,    "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   NULL,    NULL,    NULL,     "TQ1_0", "TQ2_0", NULL,      NULL,     NULL,      "MXFP4",
};

const char *enx_tensor_type_name(enx_tensor_type type)
{
    const size_t index = (size_t)(unsigned)type;
    if (index >= sizeof type_names / sizeof *type_names || !type_names[index]) return "unknown";
    return type_names[index];
}

/* Blocks of the types that work, by number; 0 values: no layout here. */
static const struct block_size {
    uint16_t values, size_bytes;
} block_sizes[] = {
    [ENX_TENSOR_F32] = { 1, 4 },      [ENX_TENSOR_F16] = { 1, 2 },
    [ENX_TENSOR_Q4_0] = { 32, 18 },   [ENX_TENSOR_Q4_1] = { 32, 20 },
    [ENX_TENSOR_Q5_0] = { 32, 22 },   [ENX_TENSOR_Q5_1] = { 32, 24 },
    [ENX_TENSOR_Q8_0] = { 32, 34 },   [ENX_TENSOR_Q2_K] = { 256, 84 },
    [ENX_TENSOR_Q3_K] = { 256, 110 }, [ENX_TENSOR_Q4_K] = { 256, 144 },
    [ENX_TENSOR_Q5_K] = { 256, 176 }, [ENX_TENSOR_Q6_K] = { 256, 210 },
    [ENX_TENSOR_IQ4_NL] = { 32, 18 }, [ENX_TENSOR_IQ4_XS] = { 256, 136 },
    [ENX_TENSOR_BF16] = { 1, 2 },     [ENX_TENSOR_MXFP4] = { 32, 17 },
};

uint64_t enx_tensor_row_bytes(enx_tensor_type type, uint64_t columns)
{
    const size_t index = (size_t)(unsigned)type;
    uint64_t     row_bytes;
    if (index >= sizeof block_sizes / sizeof *block_sizes) return 0;
    const struct block_size block = block_sizes[index];
    if (block.values == 0 || columns % block.values != 0) return 0;
    const bool is_huge =
        __builtin_mul_overflow(columns / block.values, (uint64_t)block.size_bytes, &row_bytes);
    return is_huge ? 0 : row_bytes;
}

static enx_status size_tensor(enx_gguf_tensor *tensor, enx_report *report)
{
    if (enx_tensor_row_bytes(tensor->type, BLOCK_VALUES_MAX) == 0)
        return ENX_FAIL(report, UNSUPPORTED,
                        "gguf: tensor '%s' has type %s (%u); F32, F16, BF16, Q8_0, Q4_0, Q4_1, "
                        "Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS and MXFP4 work, so convert the "
                        "file to one of these",
                        show(tensor->name).text, enx_tensor_type_name(tensor->type),
                        (unsigned)tensor->type);
    uint64_t size_bytes = enx_tensor_row_bytes(tensor->type, tensor->dims[0]);
    if (size_bytes == 0)
        return ENX_FAIL(report, FORMAT,
                        "gguf: tensor '%s' has rows of %llu values, which %s cannot hold",
                        show(tensor->name).text, (unsigned long long)tensor->dims[0],
                        enx_tensor_type_name(tensor->type));
    for (uint32_t d = 1; d < tensor->dim_count; d++)
        if (__builtin_mul_overflow(size_bytes, tensor->dims[d], &size_bytes))
            return ENX_FAIL(report, FORMAT, "gguf: the size of tensor '%s' overflows 64 bits",
                            show(tensor->name).text);
    tensor->size_bytes = size_bytes;
    return ENX_OK;
}

/* *offset counts from the start of the data section, whose place is not known yet. */
static enx_status take_tensor(gguf_cursor *cursor, enx_gguf_tensor *out, uint64_t *offset)
{
    uint32_t        type = 0;
    enx_gguf_tensor tensor = { .dims = { 1, 1, 1, 1 } };
    ENX_TRY(take_name(cursor, "a tensor's name", &tensor.name));
    ENX_TRY(take_u32(cursor, "a tensor's dimension count", &tensor.dim_count));
    if (tensor.dim_count < 1 || tensor.dim_count > ENX_GGUF_DIMS_MAX)
        return ENX_FAIL(cursor->report, FORMAT, "gguf: tensor '%s' has %u dimensions, 1 to %d work",
                        show(tensor.name).text, tensor.dim_count, ENX_GGUF_DIMS_MAX);
    for (uint32_t d = 0; d < tensor.dim_count; d++) {
        ENX_TRY(take_u64(cursor, "a tensor's dimensions", &tensor.dims[d]));
        if (tensor.dims[d] == 0)
            return ENX_FAIL(cursor->report, FORMAT, "gguf: dimension %u of tensor '%s' is 0", d,
                            show(tensor.name).text);
    }
    ENX_TRY(take_u32(cursor, "a tensor's type", &type));
    tensor.type = (enx_tensor_type)type;
    ENX_TRY(take_u64(cursor, "a tensor's offset", offset));
    ENX_TRY(size_tensor(&tensor, cursor->report));
    *out = tensor;
    return ENX_OK;
}

/* Turn offsets into pointers, now that the directory's end is known. */
static enx_status place_tensors(enx_gguf *gguf, const gguf_cursor *cursor, const uint64_t *offsets,
                                uint64_t alignment)
{
    if (gguf->tensor_count == 0) return ENX_OK; /* padding may then be missing */
    const uint64_t pad = -(uint64_t)cursor->at & (alignment - 1);
    const uint64_t left = cursor->size_bytes - cursor->at;
    const uint64_t data_bytes = left > pad ? left - pad : 0;
    for (uint64_t i = 0; i < gguf->tensor_count; i++) {
        enx_gguf_tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % alignment != 0)
            return ENX_FAIL(cursor->report, FORMAT,
                            "gguf: tensor '%s' starts at %llu, which is no multiple of %llu",
                            show(tensor->name).text, (unsigned long long)offsets[i],
                            (unsigned long long)alignment);
        if (offsets[i] > data_bytes || tensor->size_bytes > data_bytes - offsets[i])
            return ENX_FAIL(cursor->report, FORMAT,
                            "gguf: tensor '%s' (%llu bytes from %llu) passes the end of the data "
                            "(%llu bytes); the file is cut short",
                            show(tensor->name).text, (unsigned long long)tensor->size_bytes,
                            (unsigned long long)offsets[i], (unsigned long long)data_bytes);
        tensor->data = cursor->bytes + cursor->at + pad + offsets[i];
    }
    return ENX_OK;
}

/* ---- the whole --------------------------------------------------------- */

/* Refuse a count above its limit, or more entries than the rest of the file can hold. */
static enx_status check_count(const gguf_cursor *cursor, const char *what, uint64_t count,
                              uint64_t count_max, uint64_t entry_bytes_min)
{
    if (count > count_max)
        return ENX_FAIL(cursor->report, LIMIT, "gguf: %llu %s are announced, at most %llu work",
                        (unsigned long long)count, what, (unsigned long long)count_max);
    const size_t left = cursor->size_bytes - cursor->at;
    if (count * entry_bytes_min > left)
        return ENX_FAIL(cursor->report, FORMAT,
                        "gguf: %llu %s are announced, but only %zu bytes follow; it is cut short",
                        (unsigned long long)count, what, left);
    return ENX_OK;
}

static enx_status parse_header(enx_gguf *gguf, gguf_cursor *cursor)
{
    const uint8_t *magic = NULL;
    uint32_t       version = 0;
    ENX_TRY(take(cursor, 4, "the magic", &magic));
    if (memcmp(magic, "GGUF", 4) != 0)
        return ENX_FAIL(cursor->report, FORMAT,
                        "gguf: the file starts with %02x %02x %02x %02x, a GGUF file with \"GGUF\"",
                        magic[0], magic[1], magic[2], magic[3]);
    ENX_TRY(take_u32(cursor, "the version", &version));
    if (version != 0 && (version & 0xFFFF) == 0)
        return ENX_FAIL(cursor->report, UNSUPPORTED,
                        "gguf: the file is big-endian; only little-endian files are read");
    if (version < GGUF_VERSION_MIN || version > GGUF_VERSION_MAX)
        return ENX_FAIL(cursor->report, UNSUPPORTED, "gguf: version %u, this build reads %d and %d",
                        version, GGUF_VERSION_MIN, GGUF_VERSION_MAX);
    ENX_TRY(take_u64(cursor, "the tensor count", &gguf->tensor_count));
    ENX_TRY(take_u64(cursor, "the key count", &gguf->key_count));
    ENX_TRY(check_count(cursor, "keys", gguf->key_count, ENX_GGUF_KEYS_MAX, GGUF_KEY_BYTES_MIN));
    return check_count(cursor, "tensors", gguf->tensor_count, ENX_GGUF_TENSORS_MAX,
                       GGUF_TENSOR_BYTES_MIN);
}

static enx_status parse_keys(enx_gguf *gguf, gguf_cursor *cursor)
{
    gguf->keys = ENX_MEM_NEW(gguf_key, gguf->key_count);
    gguf->keys_sorted = ENX_MEM_NEW(uint32_t, gguf->key_count);
    if (!gguf->keys || !gguf->keys_sorted)
        return ENX_FAIL(cursor->report, NOMEM, "gguf: no memory for %llu keys",
                        (unsigned long long)gguf->key_count);
    for (uint64_t i = 0; i < gguf->key_count; i++) ENX_TRY(take_key(cursor, &gguf->keys[i]));
    return index_names(gguf->keys_sorted, gguf->key_count, key_names(gguf), "key", cursor->report);
}

static enx_status parse_tensors(enx_gguf *gguf, gguf_cursor *cursor)
{
    uint64_t   alignment = 0;
    enx_status status = ENX_OK;
    uint64_t  *offsets = ENX_MEM_NEW(uint64_t, gguf->tensor_count);
    gguf->tensors = ENX_MEM_NEW(enx_gguf_tensor, gguf->tensor_count);
    gguf->tensors_sorted = ENX_MEM_NEW(uint32_t, gguf->tensor_count);
    if (!offsets || !gguf->tensors || !gguf->tensors_sorted) {
        status = ENX_FAIL(cursor->report, NOMEM, "gguf: no memory for %llu tensors",
                          (unsigned long long)gguf->tensor_count);
        goto done;
    }
    status = read_alignment(gguf, &alignment, cursor->report);
    for (uint64_t i = 0; i < gguf->tensor_count && status == ENX_OK; i++)
        status = take_tensor(cursor, &gguf->tensors[i], &offsets[i]);
    if (status == ENX_OK)
        status = index_names(gguf->tensors_sorted, gguf->tensor_count, tensor_names(gguf), "tensor",
                             cursor->report);
    if (status == ENX_OK) status = place_tensors(gguf, cursor, offsets, alignment);
done:
    enx_mem_free(offsets);
    return status;
}

enx_status enx_gguf_open(enx_gguf **out, const void *bytes, size_t size_bytes, enx_report *report)
{
    ENX_CHECK(out && (bytes || size_bytes == 0));
    gguf_cursor cursor = { .bytes = bytes, .size_bytes = size_bytes, .report = report };
    enx_gguf   *gguf = ENX_MEM_NEW(enx_gguf, 1);
    if (!gguf) return ENX_FAIL(report, NOMEM, "gguf: no memory");
    enx_status status = parse_header(gguf, &cursor);
    if (status == ENX_OK) status = parse_keys(gguf, &cursor);
    if (status == ENX_OK) status = parse_tensors(gguf, &cursor);
    if (status != ENX_OK) {
        enx_gguf_close(&gguf);
        return status;
    }
    *out = gguf;
    return ENX_OK;
}

enx_status enx_gguf_join(enx_gguf *gguf, enx_gguf *const *parts, uint32_t part_count,
                         enx_report *report)
{
    uint64_t count = gguf->tensor_count;
    for (uint32_t i = 0; i < part_count; i++) count += parts[i]->tensor_count;
    if (count > ENX_GGUF_TENSORS_MAX)
        return ENX_FAIL(report, LIMIT, "gguf: the parts have %llu tensors, at most %d work",
                        (unsigned long long)count, ENX_GGUF_TENSORS_MAX);
    enx_gguf   joined = { .tensor_count = count,
                          .tensors = ENX_MEM_NEW(enx_gguf_tensor, count),
                          .tensors_sorted = ENX_MEM_NEW(uint32_t, count) };
    enx_status status = ENX_OK;
    if (!joined.tensors || !joined.tensors_sorted)
        status =
            ENX_FAIL(report, NOMEM, "gguf: no memory for %llu tensors", (unsigned long long)count);
    if (status == ENX_OK) {
        enx_gguf_tensor *at = joined.tensors;
        for (uint64_t i = 0; i < gguf->tensor_count; i++) *at++ = gguf->tensors[i];
        for (uint32_t part = 0; part < part_count; part++)
            for (uint64_t i = 0; i < parts[part]->tensor_count; i++)
                *at++ = parts[part]->tensors[i];
        status = index_names(joined.tensors_sorted, count, tensor_names(&joined), "tensor", report);
    }
    if (status != ENX_OK) {
        enx_mem_free(joined.tensors);
        enx_mem_free(joined.tensors_sorted);
        return status;
    }
    enx_mem_free(gguf->tensors);
    enx_mem_free(gguf->tensors_sorted);
    gguf->tensors = joined.tensors;
    gguf->tensors_sorted = joined.tensors_sorted;
    gguf->tensor_count = count;
    return ENX_OK;
}

void enx_gguf_close(enx_gguf **handle)
{
    enx_gguf *gguf = *handle;
    if (!gguf) return;
    enx_mem_free(gguf->keys);
    enx_mem_free(gguf->keys_sorted);
    enx_mem_free(gguf->tensors);
    enx_mem_free(gguf->tensors_sorted);
    enx_mem_free(gguf);
    *handle = NULL;
}

uint64_t enx_gguf_key_count(const enx_gguf *gguf) { return gguf->key_count; }

enx_gguf_str enx_gguf_key_at(const enx_gguf *gguf, uint64_t index, enx_gguf_value *value)
{
    ENX_CHECK(index < gguf->key_count);
    if (value) *value = gguf->keys[index].value;
    return gguf->keys[index].name;
}

bool enx_gguf_find(const enx_gguf *gguf, const char *key, enx_gguf_value *value)
{
    const int64_t index = search(gguf->keys_sorted, gguf->key_count, key_names(gguf), key);
    if (index >= 0 && value) *value = gguf->keys[index].value;
    return index >= 0;
}

uint64_t enx_gguf_tensor_count(const enx_gguf *gguf) { return gguf->tensor_count; }

const enx_gguf_tensor *enx_gguf_tensor_at(const enx_gguf *gguf, uint64_t index)
{
    ENX_CHECK(index < gguf->tensor_count);
    return &gguf->tensors[index];
}

const enx_gguf_tensor *enx_gguf_tensor_find(const enx_gguf *gguf, const char *name)
{
    const int64_t index =
        search(gguf->tensors_sorted, gguf->tensor_count, tensor_names(gguf), name);
    return index >= 0 ? &gguf->tensors[index] : NULL;
}

/* ---- typed reads ------------------------------------------------------- */

static enx_status find_key(const enx_gguf *gguf, const char *key, enx_gguf_value *value,
                           enx_report *report)
{
    if (enx_gguf_find(gguf, key, value)) return ENX_OK;
    return ENX_FAIL(report, NOTFOUND, "gguf: key '%s' is missing", key);
}

/* The integer's bits, and whether they mean a negative number; false: not an integer. */
static bool load_integer(const enx_gguf_value *value, uint64_t *bits, bool *is_negative)
{
    const uint8_t *at = value->data;
    int64_t        number = 0;
    switch (value->type) {
    case ENX_GGUF_U8:
        number = at[0];
        break;
    case ENX_GGUF_I8:
        number = (int8_t)at[0];
        break;
    case ENX_GGUF_U16:
        number = at[0] | at[1] << 8;
        break;
    case ENX_GGUF_I16:
        number = (int16_t)(at[0] | at[1] << 8);
        break;
    case ENX_GGUF_U32:
        number = load_le32(at);
        break;
    case ENX_GGUF_I32:
        number = (int32_t)load_le32(at);
        break;
    case ENX_GGUF_U64:
    case ENX_GGUF_I64:
        number = (int64_t)load_le64(at);
        break;
    default:
        return false;
    }
    *bits = (uint64_t)number;
    *is_negative = number < 0 && value->type != ENX_GGUF_U64;
    return true;
}

enx_status enx_gguf_read_u64(const enx_gguf *gguf, const char *key, uint64_t *out,
                             enx_report *report)
{
    enx_gguf_value value;
    uint64_t       bits;
    bool           is_negative;
    ENX_TRY(find_key(gguf, key, &value, report));
    if (!load_integer(&value, &bits, &is_negative) || is_negative)
        return ENX_FAIL(report, FORMAT, "gguf: key '%s' is not a non-negative integer", key);
    *out = bits;
    return ENX_OK;
}

enx_status enx_gguf_read_f64(const enx_gguf *gguf, const char *key, double *out, enx_report *report)
{
    enx_gguf_value value;
    uint64_t       bits;
    bool           is_negative;
    ENX_TRY(find_key(gguf, key, &value, report));
    if (load_integer(&value, &bits, &is_negative)) {
        *out = is_negative ? (double)(int64_t)bits : (double)bits;
    } else if (value.type == ENX_GGUF_F32) {
        const uint32_t raw = load_le32(value.data);
        float          number;
        memcpy(&number, &raw, sizeof number);
        *out = (double)number;
    } else if (value.type == ENX_GGUF_F64) {
        const uint64_t raw = load_le64(value.data);
        memcpy(out, &raw, sizeof *out);
    } else {
        return ENX_FAIL(report, FORMAT, "gguf: key '%s' is not a number", key);
    }
    return ENX_OK;
}

enx_status enx_gguf_read_bool(const enx_gguf *gguf, const char *key, bool *out, enx_report *report)
{
    enx_gguf_value value;
    ENX_TRY(find_key(gguf, key, &value, report));
    if (value.type != ENX_GGUF_BOOL)
        return ENX_FAIL(report, FORMAT, "gguf: key '%s' is not a truth value", key);
    *out = value.data[0] == 1;
    return ENX_OK;
}

enx_status enx_gguf_read_str(const enx_gguf *gguf, const char *key, enx_gguf_str *out,
                             enx_report *report)
{
    enx_gguf_value value;
    ENX_TRY(find_key(gguf, key, &value, report));
    if (value.type != ENX_GGUF_STRING)
        return ENX_FAIL(report, FORMAT, "gguf: key '%s' is not a string", key);
    *out =
        (enx_gguf_str){ .data = (const char *)value.data + 8, .size_bytes = load_le64(value.data) };
    return ENX_OK;
}

bool enx_gguf_next_str(const enx_gguf_value *array, uint64_t index, const uint8_t **at,
                       enx_gguf_str *out)
{
    ENX_CHECK(array->type == ENX_GGUF_ARRAY && array->element_type == ENX_GGUF_STRING);
    if (index >= array->count) return false;
    /* Inside the bytes: open() walked these strings. */
    *out = (enx_gguf_str){ .data = (const char *)*at + 8, .size_bytes = load_le64(*at) };
    *at += 8 + out->size_bytes;
    return true;
}
