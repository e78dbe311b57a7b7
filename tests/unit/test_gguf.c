/* SPDX-License-Identifier: Apache-2.0 */
/* test_gguf.c - what the parser promises about good files, and about every way to be bad. */
#include "base/mem.h"
#include "gguf/gguf.h"
#include "gguf/gguf_write.h"
#include "gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool same(enx_gguf_str got, const char *want)
{
    return got.size_bytes == strlen(want) && memcmp(got.data, want, strlen(want)) == 0;
}

/* Open a file that must be refused with `status` and a text that contains `part`. */
static void assert_refused(const gguf_build *file, enx_status status, const char *part)
{
    enx_report report = { 0 };
    enx_gguf  *gguf = NULL;
    /* A copy of the exact size, so that a sanitizer sees every byte read past the end. */
    uint8_t   *bytes = ENX_MEM_NEW(uint8_t, file->size_bytes);
    memcpy(bytes, file->bytes, file->size_bytes);
    const enx_status got = enx_gguf_open(&gguf, bytes, file->size_bytes, &report);
    enx_mem_free(bytes);
    if (got != status || !strstr(report.text, part))
        fail_msg("got %s: %s; want %s: %s", enx_status_text(got), report.text,
                 enx_status_text(status), part);
    assert_null(gguf);
    assert_int_equal(report.status, status);
}

static enx_gguf *open_good(const gguf_build *file)
{
    enx_report report = { 0 };
    enx_gguf  *gguf = NULL;
    if (enx_gguf_open(&gguf, file->bytes, file->size_bytes, &report) != ENX_OK)
        fail_msg("%s", report.text);
    return gguf;
}

/* Two keys, an array of strings, and two tensors: 8 x 1 F32 and 32 x 2 Q8_0. */
static void build_small(gguf_build *file, uint32_t version)
{
    build_header(file, version, 2, 3);
    build_key(file, "general.architecture", ENX_GGUF_STRING);
    build_str(file, "llama");
    build_key(file, "llama.block_count", ENX_GGUF_U32);
    build_u32(file, 7);
    build_key(file, "words", ENX_GGUF_ARRAY);
    build_u32(file, ENX_GGUF_STRING);
    build_u64(file, 2);
    build_str(file, "um");
    build_str(file, "dois");
    build_tensor(file, "b.weight", 8, 1, ENX_TENSOR_F32, 96);
    build_tensor(file, "a.weight", 32, 2, ENX_TENSOR_Q8_0, 0);
    build_pad(file, 32);
    build_data(file, 96 + 32);
}

/* ---- good files -------------------------------------------------------- */

static void a_small_file_is_described(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        gguf_build file;
        build_small(&file, version);
        enx_gguf      *gguf = open_good(&file);
        enx_gguf_value value;
        const uint8_t *at;
        enx_gguf_str   text;
        assert_int_equal(enx_gguf_key_count(gguf), 3);
        assert_true(same(enx_gguf_key_at(gguf, 1, &value), "llama.block_count"));
        assert_int_equal(value.type, ENX_GGUF_U32);
        assert_true(same(enx_gguf_key_at(gguf, 0, NULL), "general.architecture"));
        assert_true(enx_gguf_find(gguf, "words", &value));
        assert_false(enx_gguf_find(gguf, "word", NULL));
        assert_false(enx_gguf_find(gguf, "", NULL));
        assert_int_equal(value.type, ENX_GGUF_ARRAY);
        assert_int_equal(value.element_type, ENX_GGUF_STRING);
        assert_int_equal(value.count, 2);
        at = value.data;
        assert_true(enx_gguf_next_str(&value, 0, &at, &text) && same(text, "um"));
        assert_true(enx_gguf_next_str(&value, 1, &at, &text) && same(text, "dois"));
        assert_false(enx_gguf_next_str(&value, 2, &at, &text));
        enx_gguf_close(&gguf);
        assert_null(gguf);
        enx_gguf_close(&gguf); /* accepts NULL */
    }
}

static void tensors_keep_file_order_and_are_found_by_name(void **state)
{
    (void)state;
    gguf_build file;
    build_small(&file, 3);
    enx_gguf      *gguf = open_good(&file);
    const uint8_t *data = file.bytes + file.size_bytes - 128;
    assert_int_equal(enx_gguf_tensor_count(gguf), 2);
    const enx_gguf_tensor *b = enx_gguf_tensor_at(gguf, 0);
    const enx_gguf_tensor *a = enx_gguf_tensor_find(gguf, "a.weight");
    assert_ptr_equal(a, enx_gguf_tensor_at(gguf, 1));
    assert_null(enx_gguf_tensor_find(gguf, "a.weigh"));
    assert_true(same(b->name, "b.weight"));
    assert_int_equal(b->type, ENX_TENSOR_F32);
    assert_ptr_equal(b->data, data + 96);
    assert_int_equal(b->size_bytes, 32);
    assert_int_equal(a->dim_count, 2);
    assert_true(a->dims[0] == 32 && a->dims[1] == 2 && a->dims[2] == 1 && a->dims[3] == 1);
    assert_ptr_equal(a->data, data);
    assert_int_equal(a->size_bytes, 68);
    enx_gguf_close(&gguf);
}

static void a_file_without_tensors_needs_no_padding(void **state)
{
    (void)state;
    gguf_build file;
    build_header(&file, 3, 0, 1);
    build_key(&file, "k", ENX_GGUF_BOOL);
    build_u8(&file, 1);
    enx_gguf *gguf = open_good(&file);
    assert_int_equal(enx_gguf_tensor_count(gguf), 0);
    assert_null(enx_gguf_tensor_find(gguf, "k"));
    enx_gguf_close(&gguf);
    build_header(&file, 3, 0, 0);
    gguf = open_good(&file);
    assert_int_equal(enx_gguf_key_count(gguf), 0);
    assert_false(enx_gguf_find(gguf, "k", NULL));
    enx_gguf_close(&gguf);
}

static void other_alignments_move_the_data(void **state)
{
    (void)state;
    gguf_build file;
    build_header(&file, 3, 1, 1);
    build_key(&file, "general.alignment", ENX_GGUF_U32);
    build_u32(&file, 256);
    build_tensor(&file, "t", 4, 1, ENX_TENSOR_F32, 256);
    build_pad(&file, 256);
    build_data(&file, 256 + 16);
    enx_gguf *gguf = open_good(&file);
    assert_ptr_equal(enx_gguf_tensor_at(gguf, 0)->data, file.bytes + 512);
    enx_gguf_close(&gguf);
}

/* ---- typed reads ------------------------------------------------------- */

static void build_numbers(gguf_build *file)
{
    const float  half = 0.5f;
    const double third = 1.0 / 3;
    build_header(file, 3, 0, 13);
    build_key(file, "u8", ENX_GGUF_U8), build_u8(file, 200);
    build_key(file, "i8", ENX_GGUF_I8), build_u8(file, 0xFF);
    build_key(file, "u16", ENX_GGUF_U16), build_raw(file, "\x01\xFF", 2);
    build_key(file, "i16", ENX_GGUF_I16), build_raw(file, "\xFE\xFF", 2);
    build_key(file, "u32", ENX_GGUF_U32), build_u32(file, UINT32_MAX);
    build_key(file, "i32", ENX_GGUF_I32), build_u32(file, (uint32_t)-3);
    build_key(file, "i32+", ENX_GGUF_I32), build_u32(file, 3);
    build_key(file, "u64", ENX_GGUF_U64), build_u64(file, UINT64_MAX);
    build_key(file, "i64", ENX_GGUF_I64), build_u64(file, UINT64_MAX);
    build_key(file, "f32", ENX_GGUF_F32), build_raw(file, &half, 4);
    build_key(file, "f64", ENX_GGUF_F64), build_raw(file, &third, 8);
    build_key(file, "yes", ENX_GGUF_BOOL), build_u8(file, 1);
    build_key(file, "text", ENX_GGUF_STRING), build_str(file, "a\"b");
}

static void u64_reads_every_non_negative_integer(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t    want;
    } good[] = { { "u8", 200 },
                 { "u16", 0xFF01 },
                 { "u32", UINT32_MAX },
                 { "i32+", 3 },
                 { "u64", UINT64_MAX } };
    static const char *const bad[] = { "i8", "i16", "i32", "i64", "f32", "f64", "yes", "text" };
    gguf_build               file;
    enx_report               report;
    build_numbers(&file);
    enx_gguf *gguf = open_good(&file);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t got = 0;
        assert_int_equal(enx_gguf_read_u64(gguf, good[i].key, &got, NULL), ENX_OK);
        assert_true(got == good[i].want);
    }
    uint64_t untouched = 99;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(enx_gguf_read_u64(gguf, bad[i], &untouched, &report), ENX_FORMAT);
        assert_non_null(strstr(report.text, bad[i]));
    }
    assert_int_equal(enx_gguf_read_u64(gguf, "none", &untouched, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "'none'"));
    assert_int_equal(untouched, 99);
    enx_gguf_close(&gguf);
}

static void f64_reads_every_number(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        double      want;
    } good[] = { { "u8", 200 },  { "i8", -1 },      { "i16", -2 },
                 { "i32", -3 },  { "i64", -1 },     { "u64", 18446744073709551615.0 },
                 { "f32", 0.5 }, { "f64", 1.0 / 3 } };
    gguf_build file;
    build_numbers(&file);
    enx_gguf *gguf = open_good(&file);
    double    got = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(enx_gguf_read_f64(gguf, good[i].key, &got, NULL), ENX_OK);
        assert_true(got == good[i].want);
    }
    got = 99;
    assert_int_equal(enx_gguf_read_f64(gguf, "yes", &got, NULL), ENX_FORMAT);
    assert_int_equal(enx_gguf_read_f64(gguf, "text", &got, NULL), ENX_FORMAT);
    assert_int_equal(enx_gguf_read_f64(gguf, "none", &got, NULL), ENX_NOTFOUND);
    assert_true(got == 99);
    enx_gguf_close(&gguf);
}

static void bool_and_str_read_only_their_own_type(void **state)
{
    (void)state;
    gguf_build   file;
    enx_gguf_str text = { 0 };
    bool         yes = false;
    build_numbers(&file);
    enx_gguf *gguf = open_good(&file);
    assert_int_equal(enx_gguf_read_bool(gguf, "yes", &yes, NULL), ENX_OK);
    assert_true(yes);
    assert_int_equal(enx_gguf_read_bool(gguf, "u8", &yes, NULL), ENX_FORMAT);
    assert_int_equal(enx_gguf_read_bool(gguf, "none", &yes, NULL), ENX_NOTFOUND);
    assert_int_equal(enx_gguf_read_str(gguf, "text", &text, NULL), ENX_OK);
    assert_true(same(text, "a\"b"));
    assert_int_equal(enx_gguf_read_str(gguf, "f32", &text, NULL), ENX_FORMAT);
    assert_int_equal(enx_gguf_read_str(gguf, "none", &text, NULL), ENX_NOTFOUND);
    enx_gguf_close(&gguf);
}

/* ---- bad files --------------------------------------------------------- */

static void a_cut_at_every_byte_is_refused(void **state)
{
    (void)state;
    gguf_build file;
    build_small(&file, 3);
    for (size_t size = file.size_bytes; size-- > 0;) {
        gguf_build cut = file;
        cut.size_bytes = size;
        assert_refused(&cut, ENX_FORMAT, "gguf: ");
    }
}

/* No claim about what a flipped byte means; only that nothing is read outside the bytes. */
static void a_flip_of_every_byte_is_survived(void **state)
{
    (void)state;
    static const uint8_t masks[] = { 0x01, 0x80, 0xFF };
    gguf_build           file;
    build_small(&file, 3);
    for (size_t i = 0; i < 3 * file.size_bytes; i++) {
        enx_gguf *gguf = NULL;
        uint8_t  *bytes = ENX_MEM_NEW(uint8_t, file.size_bytes);
        memcpy(bytes, file.bytes, file.size_bytes);
        bytes[i / 3] ^= masks[i % 3];
        if (enx_gguf_open(&gguf, bytes, file.size_bytes, NULL) == ENX_OK)
            for (uint64_t t = 0; t < enx_gguf_tensor_count(gguf); t++) {
                const enx_gguf_tensor *tensor = enx_gguf_tensor_at(gguf, t);
                assert_true(tensor->data >= bytes);
                assert_true(tensor->size_bytes <= file.size_bytes);
                assert_true(tensor->data + tensor->size_bytes <= bytes + file.size_bytes);
            }
        enx_gguf_close(&gguf);
        enx_mem_free(bytes);
    }
}

static void other_formats_and_versions_are_named(void **state)
{
    (void)state;
    gguf_build file = { 0 };
    build_raw(&file, "PK\x03\x04 and more bytes of a zip", 28);
    assert_refused(&file, ENX_FORMAT, "50 4b 03 04");
    build_header(&file, 1, 0, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "version 1, this build reads 2 and 3");
    build_header(&file, 4, 0, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "version 4");
    build_header(&file, 0, 0, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "version 0");
    build_header(&file, 0x03000000, 0, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "big-endian");
    file.size_bytes = 0;
    assert_refused(&file, ENX_FORMAT, "the file ends inside the magic");
}

static void huge_counts_are_refused_before_memory_is_asked_for(void **state)
{
    (void)state;
    gguf_build file;
    enx_mem_fail_after(2); /* assert_refused takes one block, the handle is another */
    build_header(&file, 3, 0, UINT64_MAX);
    assert_refused(&file, ENX_LIMIT, "18446744073709551615 keys");
    enx_mem_fail_after(2);
    build_header(&file, 3, (uint64_t)ENX_GGUF_TENSORS_MAX + 1, 0);
    assert_refused(&file, ENX_LIMIT, "65537 tensors");
    enx_mem_fail_after(2);
    build_header(&file, 3, 0, ENX_GGUF_KEYS_MAX);
    assert_refused(&file, ENX_FORMAT, "65536 keys are announced, but only 0 bytes");
    enx_mem_fail_after(2);
    build_header(&file, 3, ENX_GGUF_TENSORS_MAX, 0);
    assert_refused(&file, ENX_FORMAT, "65536 tensors are announced, but only 0 bytes");
    enx_mem_fail_after(-1);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    gguf_build file;
    char       name[ENX_GGUF_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[ENX_GGUF_NAME_BYTES_MAX + 1] = '\0';
    build_header(&file, 3, 0, 1);
    build_key(&file, name, ENX_GGUF_U32), build_u32(&file, 1);
    assert_refused(&file, ENX_LIMIT, "256 bytes, at most 255");
    build_header(&file, 3, 0, 1);
    build_key(&file, "", ENX_GGUF_U32), build_u32(&file, 1);
    assert_refused(&file, ENX_FORMAT, "a key at byte 24 is empty");
    build_header(&file, 3, 0, 1);
    build_key(&file, "a\x1b[2J", ENX_GGUF_U32), build_u32(&file, 1);
    assert_refused(&file, ENX_FORMAT, "control character");
    build_header(&file, 3, 0, 1);
    build_u64(&file, UINT64_MAX - 3), build_data(&file, 64);
    assert_refused(&file, ENX_FORMAT, "the file ends inside a key");
}

static void duplicate_keys_and_tensors_are_named(void **state)
{
    (void)state;
    gguf_build file;
    build_header(&file, 3, 0, 3);
    build_key(&file, "twin", ENX_GGUF_U32), build_u32(&file, 1);
    build_key(&file, "other", ENX_GGUF_U32), build_u32(&file, 1);
    build_key(&file, "twin", ENX_GGUF_U8), build_u8(&file, 1);
    assert_refused(&file, ENX_FORMAT, "key 'twin' appears twice");
    build_header(&file, 3, 2, 0);
    build_tensor(&file, "w", 4, 1, ENX_TENSOR_F32, 0);
    build_tensor(&file, "w", 4, 1, ENX_TENSOR_F32, 32);
    build_pad(&file, 32), build_data(&file, 64);
    assert_refused(&file, ENX_FORMAT, "tensor 'w' appears twice");
}

static void bad_values_are_named(void **state)
{
    (void)state;
    gguf_build file;
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", 13), build_u64(&file, 1);
    assert_refused(&file, ENX_FORMAT, "key 'key' has value type 13");
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", ENX_GGUF_BOOL), build_u8(&file, 2);
    assert_refused(&file, ENX_FORMAT, "truth value 2");
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_BOOL);
    build_u64(&file, 2), build_raw(&file, "\x01\x07", 2);
    assert_refused(&file, ENX_FORMAT, "truth value 7");
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_ARRAY);
    build_u64(&file, 1), build_u64(&file, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "array of arrays");
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_U64);
    build_u64(&file, UINT64_MAX / 8 + 1);
    assert_refused(&file, ENX_LIMIT, "at most 16777216");
    build_header(&file, 3, 0, 1);
    build_key(&file, "key", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_STRING);
    build_u64(&file, ENX_GGUF_ARRAY_COUNT_MAX);
    assert_refused(&file, ENX_FORMAT, "the file ends inside a string");
}

static void bad_alignments_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = { 0, 1, 4, 33, 48, 1u << 17, UINT32_MAX };
    gguf_build            file;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        build_header(&file, 3, 0, 1);
        build_key(&file, "general.alignment", ENX_GGUF_U32), build_u32(&file, bad[i]);
        assert_refused(&file, ENX_FORMAT, "general.alignment is");
    }
    build_header(&file, 3, 0, 1);
    build_key(&file, "general.alignment", ENX_GGUF_STRING), build_str(&file, "32");
    assert_refused(&file, ENX_FORMAT, "general.alignment");
}

static void one_tensor(gguf_build *file, uint64_t columns, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    build_header(file, 3, 1, 0);
    build_tensor(file, "w", columns, rows, type, offset);
    build_pad(file, 32);
    build_data(file, 64);
}

static void bad_tensors_are_named(void **state)
{
    (void)state;
    gguf_build file;
    one_tensor(&file, 256, 1, 16, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "tensor 'w' has type IQ2_XXS (16); F32, F16, BF16");
    assert_refused(&file, ENX_UNSUPPORTED, "Q2_K to Q6_K, IQ4_NL, IQ4_XS and MXFP4 work");
    one_tensor(&file, 256, 1, 4, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "type unknown (4)");
    one_tensor(&file, 256, 1, 99, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "type unknown (99)");
    one_tensor(&file, 256, 1, UINT32_MAX, 0);
    assert_refused(&file, ENX_UNSUPPORTED, "type unknown (4294967295)");
    one_tensor(&file, 33, 1, ENX_TENSOR_Q8_0, 0);
    assert_refused(&file, ENX_FORMAT, "rows of 33 values, which Q8_0 cannot hold");
    one_tensor(&file, 128, 1, ENX_TENSOR_Q4_K, 0);
    assert_refused(&file, ENX_FORMAT, "rows of 128 values, which Q4_K cannot hold");
    one_tensor(&file, 256, 1, ENX_TENSOR_Q4_K, 0);
    assert_refused(&file, ENX_FORMAT, "'w' (144 bytes from 0) passes the end");
    one_tensor(&file, 32, 4, ENX_TENSOR_MXFP4, 0);
    assert_refused(&file, ENX_FORMAT, "'w' (68 bytes from 0) passes the end");
    one_tensor(&file, UINT64_MAX - 255, UINT64_C(1) << 60, ENX_TENSOR_Q6_K, 0);
    assert_refused(&file, ENX_FORMAT, "overflows");
    one_tensor(&file, UINT64_MAX / 2, 1, ENX_TENSOR_F32, 0);
    assert_refused(&file, ENX_FORMAT, "cannot hold");
    one_tensor(&file, 1u << 30, UINT64_C(1) << 34, ENX_TENSOR_F32, 0);
    assert_refused(&file, ENX_FORMAT, "overflows");
    one_tensor(&file, 4, 0, ENX_TENSOR_F32, 0);
    assert_refused(&file, ENX_FORMAT, "dimension 1 of tensor 'w' is 0");
    one_tensor(&file, 4, 1, ENX_TENSOR_F32, 16);
    assert_refused(&file, ENX_FORMAT, "no multiple of 32");
    one_tensor(&file, 4, 1, ENX_TENSOR_F32, 64);
    assert_refused(&file, ENX_FORMAT, "passes the end of the data (64 bytes)");
    one_tensor(&file, 8, 1, ENX_TENSOR_F32, UINT64_MAX - 31); /* offset + size wraps to 0 */
    assert_refused(&file, ENX_FORMAT, "passes the end");
    one_tensor(&file, 17, 1, ENX_TENSOR_F32, 0);
    assert_refused(&file, ENX_FORMAT, "passes the end");
    for (uint32_t dim_count = 0; dim_count <= 5; dim_count += 5) {
        build_header(&file, 3, 1, 0);
        build_str(&file, "w"), build_u32(&file, dim_count), build_data(&file, 99);
        assert_refused(&file, ENX_FORMAT, dim_count ? "5 dimensions" : "0 dimensions");
    }
}

static void hostile_names_are_printed_harmlessly(void **state)
{
    (void)state;
    gguf_build file;
    char       name[100];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    name[0] = (char)0xC2, name[1] = (char)0x9B; /* a terminal's control sequence introducer */
    build_header(&file, 3, 0, 1);
    build_key(&file, name, 77), build_u64(&file, 1);
    assert_refused(&file, ENX_FORMAT, "'??nnn");
    assert_refused(&file, ENX_FORMAT, "nnn...'");
}

/* ---- sizes and names of types ------------------------------------------ */

static void rows_have_their_sizes(void **state)
{
    (void)state;
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_F32, 3), 12);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_F16, 3), 6);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_BF16, 3), 6);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_Q8_0, 64), 68);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_Q8_0, 65), 0);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_Q4_K, 512), 288);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_Q4_K, 288), 0);
    assert_int_equal(enx_tensor_row_bytes((enx_tensor_type)4, 256), 0);
    assert_int_equal(enx_tensor_row_bytes((enx_tensor_type)UINT32_MAX, 256), 0);
    assert_int_equal(enx_tensor_row_bytes(ENX_TENSOR_F32, UINT64_MAX), 0);
    assert_string_equal(enx_tensor_type_name(ENX_TENSOR_Q8_0), "Q8_0");
    assert_string_equal(enx_tensor_type_name(ENX_TENSOR_BF16), "BF16");
    assert_string_equal(enx_tensor_type_name((enx_tensor_type)39), "MXFP4");
    assert_string_equal(enx_tensor_type_name((enx_tensor_type)4), "unknown");
    assert_string_equal(enx_tensor_type_name((enx_tensor_type)99), "unknown");
}

/* ---- writer ------------------------------------------------------------ */

static void write_sample(enx_gguf_writer *writer)
{
    static const enx_gguf_str words[] = { { "um", 2 }, { "", 0 }, { "d\0is", 4 } };
    static const int32_t      kinds[] = { -1, 2 };
    static const float        scores[] = { 0.25f, -8 };
    static const float        weights[40] = { 1, 2, 3 };
    static const uint8_t      blocks[68] = { 9 };
    enx_gguf_add_str(writer, "general.architecture", "llama");
    enx_gguf_add_u32(writer, "u32", 7);
    enx_gguf_add_u64(writer, "u64", UINT64_MAX);
    enx_gguf_add_f32(writer, "f32", 0.5f);
    enx_gguf_add_f64(writer, "f64", 1.0 / 3);
    enx_gguf_add_bool(writer, "bool", true);
    enx_gguf_add_strs(writer, "tokenizer.words", words, 3);
    enx_gguf_add_i32s(writer, "tokenizer.kinds", kinds, 2);
    enx_gguf_add_f32s(writer, "tokenizer.scores", scores, 2);
    enx_gguf_add_tensor(writer, "f", ENX_TENSOR_F32, 3, (uint64_t[]){ 5, 4, 2 }, weights);
    enx_gguf_add_tensor(writer, "q", ENX_TENSOR_Q8_0, 2, (uint64_t[]){ 32, 2 }, blocks);
}

static void assert_sample(const enx_gguf *gguf)
{
    uint64_t       number;
    double         real;
    bool           yes;
    enx_gguf_str   text;
    enx_gguf_value value;
    assert_int_equal(enx_gguf_read_u64(gguf, "u32", &number, NULL), ENX_OK);
    assert_int_equal(number, 7);
    assert_int_equal(enx_gguf_read_u64(gguf, "u64", &number, NULL), ENX_OK);
    assert_true(number == UINT64_MAX);
    assert_int_equal(enx_gguf_read_f64(gguf, "f32", &real, NULL), ENX_OK);
    assert_true(real == 0.5);
    assert_int_equal(enx_gguf_read_f64(gguf, "f64", &real, NULL), ENX_OK);
    assert_true(real == 1.0 / 3);
    assert_int_equal(enx_gguf_read_bool(gguf, "bool", &yes, NULL), ENX_OK);
    assert_true(yes);
    assert_int_equal(enx_gguf_read_str(gguf, "general.architecture", &text, NULL), ENX_OK);
    assert_true(same(text, "llama"));
    assert_true(enx_gguf_find(gguf, "tokenizer.words", &value));
    const uint8_t *at = value.data;
    for (uint64_t i = 0; i < 3; i++) assert_true(enx_gguf_next_str(&value, i, &at, &text));
    assert_int_equal(text.size_bytes, 4);
    assert_memory_equal(text.data, "d\0is", 4);
    assert_true(enx_gguf_find(gguf, "tokenizer.kinds", &value));
    assert_int_equal(value.element_type, ENX_GGUF_I32);
    assert_memory_equal(value.data, "\xFF\xFF\xFF\xFF\x02\0\0\0", 8);
    assert_true(enx_gguf_find(gguf, "tokenizer.scores", &value));
    assert_memory_equal(value.data, "\0\0\x80\x3E\0\0\0\xC1", 8);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    enx_gguf_writer *writer = NULL;
    enx_gguf        *gguf = NULL;
    enx_buf          buf;
    enx_buf_init(&buf, 1 << 20);
    assert_int_equal(enx_buf_append(&buf, "before", 6), ENX_OK); /* finish appends */
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    write_sample(writer);
    assert_int_equal(enx_gguf_writer_finish(writer, &buf, NULL), ENX_OK);
    enx_gguf_writer_close(&writer);
    assert_null(writer);
    enx_gguf_writer_close(&writer); /* accepts NULL */
    assert_memory_equal(buf.data, "before", 6);
    assert_int_equal(enx_gguf_open(&gguf, buf.data + 6, buf.size_bytes - 6, NULL), ENX_OK);
    assert_int_equal(enx_gguf_key_count(gguf), 9);
    assert_sample(gguf);
    const enx_gguf_tensor *f = enx_gguf_tensor_find(gguf, "f");
    const enx_gguf_tensor *q = enx_gguf_tensor_find(gguf, "q");
    assert_true(f && f->type == ENX_TENSOR_F32 && f->dim_count == 3 && f->size_bytes == 160);
    assert_memory_equal(f->data, ((float[]){ 1, 2, 3, 0 }), 16);
    assert_true(q && q->type == ENX_TENSOR_Q8_0 && q->size_bytes == 68 && q->data[0] == 9);
    assert_int_equal((buf.size_bytes - 6) % 32, 0); /* the last tensor is padded too */
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
}

static void keys_are_copied_but_for_a_prefix_and_the_alignment(void **state)
{
    (void)state;
    gguf_build       file;
    enx_gguf_writer *writer = NULL;
    enx_gguf        *copy = NULL;
    enx_buf          buf;
    build_header(&file, 3, 0, 5);
    build_key(&file, "general.alignment", ENX_GGUF_U32), build_u32(&file, 64);
    build_key(&file, "tokenizer.model", ENX_GGUF_STRING), build_str(&file, "gpt2");
    build_key(&file, "words", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_STRING);
    build_u64(&file, 2), build_str(&file, "um"), build_str(&file, "dois");
    build_key(&file, "i16s", ENX_GGUF_ARRAY), build_u32(&file, ENX_GGUF_I16);
    build_u64(&file, 3), build_raw(&file, "abcdef", 6);
    build_key(&file, "text", ENX_GGUF_STRING), build_str(&file, "x");
    enx_gguf *source = open_good(&file);
    for (int with_prefix = 0; with_prefix < 2; with_prefix++) {
        enx_buf_init(&buf, 1 << 20);
        assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
        enx_gguf_add_from(writer, source, with_prefix ? "tokenizer." : NULL);
        assert_int_equal(enx_gguf_writer_finish(writer, &buf, NULL), ENX_OK);
        assert_int_equal(enx_gguf_open(&copy, buf.data, buf.size_bytes, NULL), ENX_OK);
        assert_int_equal(enx_gguf_key_count(copy), with_prefix ? 3 : 4);
        assert_true(enx_gguf_find(copy, "tokenizer.model", NULL) == !with_prefix);
        assert_false(enx_gguf_find(copy, "general.alignment", NULL));
        enx_gguf_value value;
        assert_true(enx_gguf_find(copy, "i16s", &value));
        assert_true(value.count == 3 && memcmp(value.data, "abcdef", 6) == 0);
        assert_true(enx_gguf_find(copy, "words", &value) && value.count == 2);
        enx_gguf_close(&copy);
        enx_gguf_writer_close(&writer);
        enx_buf_deinit(&buf);
    }
    enx_gguf_close(&source);
}

/* finish() must return `status` and leave the buffer as it was. */
static void assert_unfinished(enx_gguf_writer **writer, enx_status status, const char *part)
{
    enx_report report = { 0 };
    enx_buf    buf;
    enx_buf_init(&buf, 1000);
    assert_int_equal(enx_buf_append(&buf, "kept", 4), ENX_OK);
    const enx_status got = enx_gguf_writer_finish(*writer, &buf, &report);
    if (got != status || !strstr(report.text, part))
        fail_msg("got %s: %s", enx_status_text(got), report.text);
    assert_string_equal(enx_buf_text(&buf), "kept");
    enx_buf_deinit(&buf);
    enx_gguf_writer_close(writer);
    assert_int_equal(enx_gguf_writer_open(writer, NULL), ENX_OK);
}

static void the_first_failed_add_is_returned_by_finish(void **state)
{
    (void)state;
    static const float data[512] = { 0 };
    enx_gguf_writer   *writer = NULL;
    const uint64_t     odd[2] = { 33, 1 }, huge[2] = { 32, UINT64_MAX / 8 }, fits[2] = { 512, 1 };
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    enx_gguf_add_tensor(writer, "odd", ENX_TENSOR_Q8_0, 2, odd, data);
    enx_gguf_add_tensor(writer, "later", (enx_tensor_type)16, 2, fits, data);
    assert_unfinished(&writer, ENX_INVALID, "tensor 'odd' of type Q8_0");
    enx_gguf_add_tensor(writer, "huge", ENX_TENSOR_F32, 2, huge, data);
    assert_unfinished(&writer, ENX_INVALID, "tensor 'huge'");
    enx_gguf_add_tensor(writer, "k", (enx_tensor_type)16, 2, fits, data);
    assert_unfinished(&writer, ENX_INVALID, "type IQ2_XXS");
    enx_gguf_add_tensor(writer, "five", ENX_TENSOR_F32, 5, fits, data);
    assert_unfinished(&writer, ENX_INVALID, "tensor 'five'");
    enx_gguf_add_u32(writer, "general.alignment", 64);
    assert_unfinished(&writer, ENX_INVALID, "general.alignment");
    enx_gguf_add_u32(writer, "twin", 1);
    enx_gguf_add_u32(writer, "twin", 2);
    assert_unfinished(&writer, ENX_FORMAT, "key 'twin' appears twice");
    enx_gguf_add_u32(writer, "", 1);
    assert_unfinished(&writer, ENX_FORMAT, "is empty");
    enx_gguf_add_tensor(writer, "fits not in 1000 bytes", ENX_TENSOR_F32, 2, fits, data);
    assert_unfinished(&writer, ENX_LIMIT, "1000 bytes");
    enx_gguf_writer_close(&writer);
}

/* ---- no memory --------------------------------------------------------- */

/* Write, finish and read with the n-th allocation failing, for every n. */
static void every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    enx_status status = ENX_NOMEM;
    long       n = 0;
    for (; status == ENX_NOMEM; n++) {
        enx_gguf_writer *writer = NULL;
        enx_gguf        *gguf = NULL;
        enx_report       report = { 0 };
        enx_buf          buf;
        enx_buf_init(&buf, 1 << 20);
        enx_mem_fail_after(n);
        status = enx_gguf_writer_open(&writer, &report);
        if (status == ENX_OK) {
            write_sample(writer);
            status = enx_gguf_writer_finish(writer, &buf, &report);
        }
        if (status == ENX_OK) status = enx_gguf_open(&gguf, buf.data, buf.size_bytes, &report);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) assert_sample(gguf);
        if (status != ENX_OK) assert_non_null(strstr(report.text, "no memory"));
        enx_gguf_close(&gguf);
        enx_gguf_writer_close(&writer);
        enx_buf_deinit(&buf);
    }
    assert_int_equal(status, ENX_OK);
    assert_in_range(n, 10, 100);
}

/* ---- many names -------------------------------------------------------- */

static void sixty_five_thousand_names_are_quick(void **state)
{
    (void)state;
    enx_gguf_writer *writer = NULL;
    enx_gguf        *gguf = NULL;
    enx_buf          buf;
    char             name[32];
    static float     one = 1;
    enx_buf_init(&buf, 64 << 20);
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    for (uint32_t i = 0; i < ENX_GGUF_KEYS_MAX; i++) {
        snprintf(name, sizeof name, "key.%u", i * 40503u % 65536u); /* odd factor: a permutation */
        enx_gguf_add_u32(writer, name, i);
        enx_gguf_add_tensor(writer, name, ENX_TENSOR_F32, 1, (uint64_t[]){ 1 }, &one);
    }
    assert_int_equal(enx_gguf_writer_finish(writer, &buf, NULL), ENX_OK);
    assert_int_equal(enx_gguf_open(&gguf, buf.data, buf.size_bytes, NULL), ENX_OK);
    for (uint32_t i = 0; i < ENX_GGUF_KEYS_MAX; i++) {
        uint64_t got = UINT64_MAX;
        snprintf(name, sizeof name, "key.%u", i * 40503u % 65536u);
        assert_int_equal(enx_gguf_read_u64(gguf, name, &got, NULL), ENX_OK);
        assert_int_equal(got, i);
        assert_ptr_equal(enx_gguf_tensor_find(gguf, name), enx_gguf_tensor_at(gguf, i));
    }
    enx_gguf_close(&gguf);
    enx_gguf_add_u32(writer, "one.too.many", 1);
    enx_buf_clear(&buf);
    assert_int_equal(enx_gguf_writer_finish(writer, &buf, NULL), ENX_LIMIT);
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_is_described),
        cmocka_unit_test(tensors_keep_file_order_and_are_found_by_name),
        cmocka_unit_test(a_file_without_tensors_needs_no_padding),
        cmocka_unit_test(other_alignments_move_the_data),
        cmocka_unit_test(u64_reads_every_non_negative_integer),
        cmocka_unit_test(f64_reads_every_number),
        cmocka_unit_test(bool_and_str_read_only_their_own_type),
        cmocka_unit_test(a_cut_at_every_byte_is_refused),
        cmocka_unit_test(a_flip_of_every_byte_is_survived),
        cmocka_unit_test(other_formats_and_versions_are_named),
        cmocka_unit_test(huge_counts_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(duplicate_keys_and_tensors_are_named),
        cmocka_unit_test(bad_values_are_named),
        cmocka_unit_test(bad_alignments_are_refused),
        cmocka_unit_test(bad_tensors_are_named),
        cmocka_unit_test(hostile_names_are_printed_harmlessly),
        cmocka_unit_test(rows_have_their_sizes),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(keys_are_copied_but_for_a_prefix_and_the_alignment),
        cmocka_unit_test(the_first_failed_add_is_returned_by_finish),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(sixty_five_thousand_names_are_quick),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
