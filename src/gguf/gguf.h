/* SPDX-License-Identifier: Apache-2.0 */
/* gguf.h - the GGUF v3 (and v2) file format: bytes in, descriptions out.
 *
 * The parser is handed bytes, never a file, and trusts none of them: every count, length,
 * offset, size and type is bounded before use, duplicate keys and tensor names are refused,
 * and strings must be inside the bytes.  Everything returned is borrowed from the bytes.
 *
 *   1. magic "GGUF", version u32, tensor count u64, metadata count u64
 *   2. metadata: key string, type u32, value (scalar, string, or array of these)
 *   3. tensor directory: name string, dimension count u32, dimensions u64[], type u32, offset u64
 *   4. padding to general.alignment (default 32), then tensor data
 *
 * Dimensions are in GGUF order: dims[0] is the contiguous one (columns), dims[1] the rows.
 *
 * Layer: gguf.  Thread-safety: immutable after open; may be shared.
 * Source: GGUF specification (ggml/docs/gguf.md).
 */
#ifndef ENX_GGUF_GGUF_H
#define ENX_GGUF_GGUF_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_GGUF_TENSORS_MAX = 1 << 16,
    ENX_GGUF_KEYS_MAX = 1 << 16,
    ENX_GGUF_DIMS_MAX = 4,
    ENX_GGUF_NAME_BYTES_MAX = 255,
    ENX_GGUF_ARRAY_COUNT_MAX = 1 << 24,
};

/* clang-format off */
typedef enum enx_gguf_value_type {
    ENX_GGUF_U8, ENX_GGUF_I8, ENX_GGUF_U16, ENX_GGUF_I16, ENX_GGUF_U32, ENX_GGUF_I32, ENX_GGUF_F32,
    ENX_GGUF_BOOL, ENX_GGUF_STRING, ENX_GGUF_ARRAY, ENX_GGUF_U64, ENX_GGUF_I64, ENX_GGUF_F64,
} enx_gguf_value_type;

/* ggml's type numbers; only those with a block layout here can be sized. */
typedef enum enx_tensor_type {
    ENX_TENSOR_F32 = 0, ENX_TENSOR_F16 = 1, ENX_TENSOR_Q4_0 = 2, ENX_TENSOR_Q4_1 = 3,
    ENX_TENSOR_Q5_0 = 6, ENX_TENSOR_Q5_1 = 7, ENX_TENSOR_Q8_0 = 8, ENX_TENSOR_Q2_K = 10,
    ENX_TENSOR_Q3_K = 11, ENX_TENSOR_Q4_K = 12, ENX_TENSOR_Q5_K = 13, ENX_TENSOR_Q6_K = 14,
    ENX_TENSOR_IQ4_NL = 20, ENX_TENSOR_IQ4_XS = 23, ENX_TENSOR_BF16 = 30, ENX_TENSOR_MXFP4 = 39,
} enx_tensor_type;
/* clang-format on */

typedef struct enx_gguf_str {
    const char *data; /* not zero-terminated */
    uint64_t    size_bytes;
} enx_gguf_str;

typedef struct enx_gguf_value {
    enx_gguf_value_type type;
    enx_gguf_value_type element_type; /* of an array */
    uint64_t            count;        /* of an array; 1 otherwise */
    const uint8_t      *data;         /* first byte of the value, or of the first element */
} enx_gguf_value;

typedef struct enx_gguf_tensor {
    enx_gguf_str    name;
    enx_tensor_type type;
    uint32_t        dim_count;
    uint64_t        dims[ENX_GGUF_DIMS_MAX]; /* unused ones are 1 */
    const uint8_t  *data;
    uint64_t        size_bytes;
} enx_gguf_tensor;

typedef struct enx_gguf enx_gguf;

/* `bytes` is borrowed and must outlive the handle.
 * ENX_FORMAT, ENX_UNSUPPORTED (version, nested array, or a tensor type, with the list of those
 * that work), ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_gguf_open(enx_gguf **out, const void *bytes, size_t size_bytes,
                                      enx_report *report);
void                    enx_gguf_close(enx_gguf **gguf);

/* Add the tensors of `parts` to `gguf`, after its own, for a model in several files; their keys
 * are not added.  The bytes of all parts must outlive the handle, the parts themselves need not.
 * ENX_FORMAT: a name appears twice; ENX_LIMIT, ENX_NOMEM.  `gguf` is unchanged then. */
ENX_MUST_USE enx_status enx_gguf_join(enx_gguf *gguf, enx_gguf *const *parts, uint32_t part_count,
                                      enx_report *report);

uint64_t               enx_gguf_key_count(const enx_gguf *gguf);
enx_gguf_str           enx_gguf_key_at(const enx_gguf *gguf, uint64_t index, enx_gguf_value *value);
bool                   enx_gguf_find(const enx_gguf *gguf, const char *key, enx_gguf_value *value);
uint64_t               enx_gguf_tensor_count(const enx_gguf *gguf);
const enx_gguf_tensor *enx_gguf_tensor_at(const enx_gguf *gguf, uint64_t index);
/* NULL: there is none. */
const enx_gguf_tensor *enx_gguf_tensor_find(const enx_gguf *gguf, const char *name);

/* Typed reads.  A missing key is ENX_NOTFOUND, another type ENX_FORMAT; texts name the key.
 * u64 reads any non-negative integer type, f64 any number. */
ENX_MUST_USE enx_status enx_gguf_read_u64(const enx_gguf *gguf, const char *key, uint64_t *out,
                                          enx_report *report);
ENX_MUST_USE enx_status enx_gguf_read_f64(const enx_gguf *gguf, const char *key, double *out,
                                          enx_report *report);
ENX_MUST_USE enx_status enx_gguf_read_bool(const enx_gguf *gguf, const char *key, bool *out,
                                           enx_report *report);
ENX_MUST_USE enx_status enx_gguf_read_str(const enx_gguf *gguf, const char *key, enx_gguf_str *out,
                                          enx_report *report);

/* Step through an array of strings: *at starts at value->data; false at the end. */
bool enx_gguf_next_str(const enx_gguf_value *array, uint64_t index, const uint8_t **at,
                       enx_gguf_str *out);

/* Rows are contiguous blocks; 0 for a type without a layout here or columns that do not divide. */
uint64_t    enx_tensor_row_bytes(enx_tensor_type type, uint64_t columns);
const char *enx_tensor_type_name(enx_tensor_type type); /* "Q8_0", …; "type 99" is "unknown" */

#endif /* ENX_GGUF_GGUF_H */
