/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_build.h - GGUF files put together byte by byte, right or wrong, for tests and seeds.
 *
 * Layer: tests.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TESTS_GGUF_BUILD_H
#define ENX_TESTS_GGUF_BUILD_H

#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { GGUF_BUILD_BYTES_MAX = 4096 };

typedef struct gguf_build {
    uint8_t bytes[GGUF_BUILD_BYTES_MAX];
    size_t  size_bytes;
} gguf_build;

static inline void build_raw(gguf_build *file, const void *bytes, size_t size_bytes)
{
    ENX_CHECK(size_bytes <= sizeof file->bytes - file->size_bytes);
    memcpy(file->bytes + file->size_bytes, bytes, size_bytes);
    file->size_bytes += size_bytes;
}

static inline void build_u8(gguf_build *file, uint8_t value) { build_raw(file, &value, 1); }

static inline void build_u32(gguf_build *file, uint32_t value)
{
    for (int i = 0; i < 4; i++) build_u8(file, (uint8_t)(value >> 8 * i));
}

static inline void build_u64(gguf_build *file, uint64_t value)
{
    for (int i = 0; i < 8; i++) build_u8(file, (uint8_t)(value >> 8 * i));
}

static inline void build_str(gguf_build *file, const char *text)
{
    build_u64(file, strlen(text));
    build_raw(file, text, strlen(text));
}

static inline void build_header(gguf_build *file, uint32_t version, uint64_t tensor_count,
                                uint64_t key_count)
{
    file->size_bytes = 0;
    build_raw(file, "GGUF", 4);
    build_u32(file, version);
    build_u64(file, tensor_count);
    build_u64(file, key_count);
}

/* A key's name and value type; the value follows. */
static inline void build_key(gguf_build *file, const char *name, uint32_t type)
{
    build_str(file, name);
    build_u32(file, type);
}

/* A two-dimensional tensor's description. */
static inline void build_tensor(gguf_build *file, const char *name, uint64_t columns, uint64_t rows,
                                uint32_t type, uint64_t offset)
{
    build_str(file, name);
    build_u32(file, 2);
    build_u64(file, columns);
    build_u64(file, rows);
    build_u32(file, type);
    build_u64(file, offset);
}

/* Zeros up to the next multiple of `alignment`. */
static inline void build_pad(gguf_build *file, size_t alignment)
{
    while (file->size_bytes % alignment != 0) build_u8(file, 0);
}

static inline void build_data(gguf_build *file, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) build_u8(file, (uint8_t)i);
}

#endif /* ENX_TESTS_GGUF_BUILD_H */
