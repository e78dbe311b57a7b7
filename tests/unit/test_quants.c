/* SPDX-License-Identifier: Apache-2.0 */
/* test_quants.c - ggml's blocks: what they mean, and how near quantized numbers stay. */
#include "base/rng.h"
#include "kernels/quantize.h"
#include "model/convert.h"
#include "model/requant.h"
#include "quant_blocks.h"
#include "tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 16, VALUES_MAX = BLOCKS * 256, BYTES_MAX = BLOCKS * 210 };

static enx_kernels scalar;

/* ---- reading ----------------------------------------------------------- */

static void sizes_agree_with_the_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENX_QUANT_COUNT; i++) {
        const quant_layout *l = &quant_layouts[i];
        assert_int_equal(l->quant, i);
        assert_int_equal(enx_tensor_row_bytes(l->type, 3u * l->values), 3 * l->size_bytes);
        assert_int_equal(enx_tensor_row_bytes(l->type, l->values + 16u), 0);
        assert_int_equal(enx_quant_of(l->type), i);
    }
    assert_int_equal(enx_quant_of(ENX_TENSOR_F32), ENX_QUANT_COUNT);
}

/* Bits that anybody can make: the upper byte of a linear congruential generator.  Scales keep a
 * small exponent, so that they are finite. */
static void fill_golden(const quant_layout *l, uint8_t *out)
{
    uint32_t x = 1;
    for (size_t i = 0; i < (size_t)BLOCKS * l->size_bytes; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
    for (size_t b = 0; b < BLOCKS; b++) {
        if (l->d_at >= 0) out[b * l->size_bytes + (size_t)l->d_at + 1] &= 0xBF;
        if (l->m_at >= 0) out[b * l->size_bytes + (size_t)l->m_at + 1] &= 0xBF;
    }
}

/* FNV-1a of the floats' bytes. */
static uint64_t hash_of(const float *x, size_t n)
{
    const uint8_t *bytes = (const uint8_t *)x;
    uint64_t       hash = 14695981039346656037u;
    for (size_t i = 0; i < n * sizeof *x; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

/* What ggml's own dequantisers made of these bits: the first value, the last of the first block,
 * the very last, and the hash of all. */
static void values_are_those_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        uint64_t hash;
        float    first, middle, last;
    } golden[ENX_QUANT_COUNT] = {
        { 0x85ecd91c23e7b3fd, -0x1.5d2p-5f, -0x1.2b4p-6f, -0x0p+0f },
        { 0x47b6db13442d952d, -0x1.aaep-3f, -0x1.dccp-3f, 0x1.2f118p+0f },
        { 0x48b79b9aad479eff, 0x1.2b4p-5f, -0x1.761p-4f, 0x1.201p-11f },
        { 0x2a088a4ee6955eff, -0x1.075p-2f, -0x1.3aa8p-3f, 0x1.6defd4p+0f },
        { 0x208469c3381bfe64, -0x1.8be2p-1f, -0x1.f2cp-6f, -0x1.9668p-1f },
        { 0x91308c4b3dd25539, -0x1.09bp-10f, -0x1.eab7p-6f, -0x1.3bep-9f },
        { 0x83f953bdaae42637, -0x1.b858p-10f, -0x1.1b14p-7f, -0x1.109p+1f },
        { 0x0406a301a2829498, 0x1.0058p+1f, 0x1.62a3ap+3f, -0x1.50555ap+3f },
        { 0x3b7c31c4bd38c416, 0x1.a32cp+0f, 0x1.41212p+3f, 0x1.9e1d34p+5f },
        { 0xa7b5942ac1133b1d, -0x1.060e4p+11f, -0x0p+0f, 0x1.28f4p+4f },
        { 0x9c061138663d7a70, -0x1.443p-1f, -0x1.b468p-3f, -0x1.2cp-15f },
        { 0x22219a18ec02ff26, 0x1.317cp+0f, 0x1.d9dp+0f, 0x1.79ap-9f },
        { 0x7e0dc88167c8f655, -0x1p-65f, -0x1.8p-66f, -0x1p-62f },
    };
    static uint8_t bytes[BYTES_MAX];
    static float   x[VALUES_MAX];
    for (size_t i = 0; i < ENX_QUANT_COUNT; i++) {
        const quant_layout *l = &quant_layouts[i];
        const size_t        n = (size_t)BLOCKS * l->values;
        fill_golden(l, bytes);
        enx_tensor_to_f32(&scalar, l->type, x, bytes, n);
        assert_true(x[0] == golden[i].first);
        assert_true(x[l->values - 1] == golden[i].middle);
        assert_true(x[n - 1] == golden[i].last);
        if (hash_of(x, n) != golden[i].hash)
            fail_msg("%s: some value is another", enx_tensor_type_name(l->type));
    }
}

/* One bit set in an empty block moves the values that the layout says, and no others. */
static void single_bits_mean_what_the_layout_says(void **state)
{
    (void)state;
    float          x[256];
    enx_block_q6_k six = { .d = { 0x00, 0x3C } }; /* 1.0 */
    for (size_t i = 0; i < 16; i++) six.scales[i] = (int8_t)(i + 1);
    for (size_t v = 0; v < 256; v++) {
        enx_block_q6_k b = six;
        b.high[v / 128 * 32 + v % 32] = (uint8_t)(2u << v % 128 / 32 * 2);
        b.low[v / 128 * 64 + v % 64] = (uint8_t)(1u << v % 128 / 64 * 4);
        scalar.f32_from_quant[ENX_QUANT_Q6_K](x, &b, 256);
        for (size_t i = 0; i < 256; i++)
            assert_true(x[i] == (float)(i / 16 + 1) * (i == v ? 1.0f : -32.0f));
    }
    for (size_t part = 0; part < 8; part++) { /* the tops of a scale and a minimum */
        enx_block_q4_k b = { .d = { 0x00, 0x3C }, .dmin = { 0x00, 0x3C } };
        memset(b.q, 0x11, sizeof b.q);
        if (part < 4) b.scales[part] = 32, b.scales[part + 4] = 16;
        else b.scales[part - 4] = 0x80, b.scales[part] = 0x40;
        scalar.f32_from_quant[ENX_QUANT_Q4_K](x, &b, 256);
        for (size_t i = 0; i < 256; i++) assert_true(x[i] == (i / 32 == part ? 16.0f : 0.0f));
    }
    enx_block_mxfp4 tiny = { .exponent = 0, .q = { 0x71 } };
    scalar.f32_from_quant[ENX_QUANT_MXFP4](x, &tiny, 32);
    assert_true(x[0] == 0x1p-128f && x[16] == 12 * 0x1p-128f && x[1] == 0);
    tiny.exponent = 127;
    scalar.f32_from_quant[ENX_QUANT_MXFP4](x, &tiny, 32);
    assert_true(x[0] == 0.5f && x[16] == 6.0f);
}

/* ---- writing ----------------------------------------------------------- */

static void from_f32(enx_tensor_type type, void *out, const float *x, size_t n)
{
    if (type == ENX_TENSOR_Q4_0) enx_q4_0_from_f32(out, x, n);
    if (type == ENX_TENSOR_Q5_0) enx_q5_0_from_f32(out, x, n);
    if (type == ENX_TENSOR_Q8_0) enx_q8_0_from_f32(out, x, n);
    if (type == ENX_TENSOR_Q4_K) enx_q4_k_from_f32(out, x, n);
    if (type == ENX_TENSOR_Q5_K) enx_q5_k_from_f32(out, x, n);
    if (type == ENX_TENSOR_Q6_K) enx_q6_k_from_f32(out, x, n);
}

static const enx_tensor_type written[] = { ENX_TENSOR_Q4_0, ENX_TENSOR_Q5_0, ENX_TENSOR_Q8_0,
                                           ENX_TENSOR_Q4_K, ENX_TENSOR_Q5_K, ENX_TENSOR_Q6_K };
enum { WRITTEN = sizeof written / sizeof *written };

/* Root of the mean square of the error, as a part of that of the values. */
static double error_of(enx_tensor_type type, const float *x, size_t n)
{
    static uint8_t bytes[BYTES_MAX * 2];
    static float   back[VALUES_MAX];
    double         off = 0, all = 0;
    memset(bytes, 0xA5, sizeof bytes); /* a bit that is not written shows */
    from_f32(type, bytes, x, n);
    enx_tensor_to_f32(&scalar, type, back, bytes, n);
    for (size_t i = 0; i < n; i++) {
        off += pow((double)back[i] - (double)x[i], 2);
        all += pow((double)x[i], 2);
    }
    return all > 0 ? sqrt(off / all) : sqrt(off);
}

/* Normal numbers of any size: a bit more is half the error. */
static void errors_of_normal_numbers_stay_within_their_bounds(void **state)
{
    (void)state;
    static const double bounds[WRITTEN] = { 0.1, 0.05, 0.006, 0.085, 0.042, 0.022 };
    static float        x[VALUES_MAX];
    enx_rng             rng = enx_rng_open(1, 0);
    for (int exponent = -8; exponent <= 8; exponent += 8) {
        for (size_t i = 0; i < VALUES_MAX; i++)
            x[i] = (float)(enx_rng_normal(&rng) * exp2(exponent));
        for (size_t t = 0; t < WRITTEN; t++) {
            const double error = error_of(written[t], x, VALUES_MAX);
            if (!(error < bounds[t]))
                fail_msg("%s at 2^%d: off by %.4f", enx_tensor_type_name(written[t]), exponent,
                         error);
        }
    }
}

/* Numbers that a type can hold come back as they were. */
static void numbers_on_the_grid_come_back(void **state)
{
    (void)state;
    float x[256];
    for (size_t i = 0; i < 256; i++) x[i] = (float)((int)(i % 16) - 8) * 0.25f;
    assert_true(error_of(ENX_TENSOR_Q4_0, x, 256) == 0);
    assert_true(error_of(ENX_TENSOR_Q4_K, x, 256) < 1e-3);
    for (size_t i = 0; i < 256; i++) x[i] = (float)((int)(i % 32) - 16) * 0.25f;
    assert_true(error_of(ENX_TENSOR_Q5_0, x, 256) == 0);
    assert_true(error_of(ENX_TENSOR_Q5_K, x, 256) < 1e-3);
    for (size_t i = 0; i < 256; i++) x[i] = (float)((int)(i * 37 % 64) - 32) * 0.25f;
    assert_true(error_of(ENX_TENSOR_Q6_K, x, 256) < 0.01);
    for (size_t i = 0; i < 256; i++) x[i] = (float)((int)(i % 16) - 8) * -0.25f; /* mirrored */
    assert_true(error_of(ENX_TENSOR_Q4_0, x, 256) == 0);
}

static void hard_blocks_survive(void **state)
{
    (void)state;
    static float   x[256];
    static uint8_t bytes[256 * 2];
    for (size_t t = 0; t < WRITTEN; t++) {
        memset(x, 0, sizeof x);
        assert_true(error_of(written[t], x, 256) == 0);
        x[200] = 3; /* one outlier keeps its value, its neighbours stay zero */
        assert_true(error_of(written[t], x, 256) < 0.01);
        x[200] = -3;
        assert_true(error_of(written[t], x, 256) < 0.01);
        for (size_t i = 0; i < 256; i++) x[i] = 5; /* constant, far from zero */
        assert_true(error_of(written[t], x, 256) < 0.05);
        for (size_t i = 0; i < 256; i++) x[i] = i % 2 ? 1e-30f : -1e-38f; /* below any f16 scale */
        assert_true(error_of(written[t], x, 256) <= 1.01);
        for (size_t i = 0; i < 256; i++) x[i] = i % 3 ? NAN : INFINITY;
        if (written[t] != ENX_TENSOR_Q8_0) from_f32(written[t], bytes, x, 256);
    }
}

/* ---- whole files ------------------------------------------------------- */

/* A tiny model of floats with nine layers. */
static void open_source(tiny_model *m, enx_tensor_type type, uint32_t width)
{
    enx_report   report = { 0 };
    tiny_options o = tiny_default;
    o.type = type;
    o.width = width;
    o.heads = 8;
    o.ffn = 512;
    o.layers = 9;
    if (tiny_open(m, &o, &report) != ENX_OK) fail_msg("%s", report.text);
}

static enx_tensor_type type_of(const enx_gguf *gguf, const char *name)
{
    const enx_gguf_tensor *tensor = enx_gguf_tensor_find(gguf, name);
    assert_non_null(tensor);
    return tensor->type;
}

static void open_requant(enx_gguf **out, enx_buf *buf, const tiny_model *m, enx_mix mix,
                         enx_requant_counts *counts)
{
    enx_report report = { 0 };
    enx_buf_init(buf, 1 << 26);
    if (enx_model_requant(m->gguf, mix, buf, counts, &report) != ENX_OK)
        fail_msg("%s", report.text);
    assert_int_equal(enx_gguf_open(out, buf->data, buf->size_bytes, &report), ENX_OK);
}

static void a_mixture_gives_each_matrix_its_type(void **state)
{
    (void)state;
    tiny_model         m;
    enx_buf            buf;
    enx_gguf          *gguf = NULL;
    enx_requant_counts counts;
    uint64_t           number = 0;
    open_source(&m, ENX_TENSOR_BF16, 256);
    open_requant(&gguf, &buf, &m, ENX_MIX_Q4_K_M, &counts);
    assert_int_equal(counts.matrices, 9 * 7 + 1);
    assert_int_equal(counts.fallbacks, 0);
    assert_true(counts.bytes_after < counts.bytes_before * 2 / 5);
    assert_int_equal(type_of(gguf, "token_embd.weight"), ENX_TENSOR_Q6_K); /* it is the head */
    assert_int_equal(type_of(gguf, "output_norm.weight"), ENX_TENSOR_F32);
    for (int i = 0; i < 9; i++) { /* eighths: layer 0, layers 7 and 8; thirds: 3, 6 */
        char       name[40];
        const bool is_more = i == 0 || i == 3 || i == 6 || i >= 7;
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", i);
        assert_int_equal(type_of(gguf, name), is_more ? ENX_TENSOR_Q6_K : ENX_TENSOR_Q4_K);
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", i);
        assert_int_equal(type_of(gguf, name), is_more ? ENX_TENSOR_Q6_K : ENX_TENSOR_Q4_K);
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", i);
        assert_int_equal(type_of(gguf, name), ENX_TENSOR_Q4_K);
    }
    assert_int_equal(enx_gguf_read_u64(gguf, "general.file_type", &number, NULL), ENX_OK);
    assert_int_equal(number, 15);
    assert_int_equal(enx_gguf_read_u64(gguf, "general.quantization_version", &number, NULL),
                     ENX_OK);
    assert_int_equal(number, 2);
    assert_int_equal(enx_gguf_key_count(gguf), enx_gguf_key_count(m.gguf) + 2);
    /* once is enough */
    enx_buf    again;
    enx_report report = { 0 };
    enx_buf_init(&again, 1 << 26);
    assert_int_equal(enx_model_requant(gguf, ENX_MIX_Q6_K, &again, &counts, &report),
                     ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "is Q6_K already"));
    enx_buf_deinit(&again);
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
    tiny_close(&m);
}

static void experts_are_quantized_and_their_router_is_not(void **state)
{
    (void)state;
    tiny_model         m;
    tiny_options       o = tiny_default;
    enx_buf            buf;
    enx_gguf          *gguf = NULL;
    enx_model         *model = NULL;
    enx_report         report = { 0 };
    enx_requant_counts counts;
    o.arch = "gpt-oss";
    o.type = ENX_TENSOR_F32;
    o.width = o.ffn = 256;
    o.experts = 3;
    o.experts_used = 2;
    assert_int_equal(tiny_open(&m, &o, &report), ENX_OK);
    open_requant(&gguf, &buf, &m, ENX_MIX_Q4_K_M, &counts);
    assert_int_equal(counts.matrices, 2 * 7 + 1);
    assert_int_equal(type_of(gguf, "blk.0.ffn_gate_exps.weight"), ENX_TENSOR_Q4_K);
    assert_int_equal(type_of(gguf, "blk.1.ffn_down_exps.weight"), ENX_TENSOR_Q6_K);
    assert_int_equal(type_of(gguf, "blk.0.ffn_gate_inp.weight"), ENX_TENSOR_F32);
    assert_int_equal(type_of(gguf, "blk.0.ffn_gate_exps.bias"), ENX_TENSOR_F32);
    assert_int_equal(enx_model_open(&model, gguf, &report), ENX_OK);
    enx_model_close(&model);
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
    tiny_close(&m);
}

static void narrow_rows_get_near_types(void **state)
{
    (void)state;
    tiny_model         m;
    enx_buf            buf;
    enx_gguf          *gguf = NULL;
    enx_requant_counts counts;
    open_source(&m, ENX_TENSOR_F32, 96);
    open_requant(&gguf, &buf, &m, ENX_MIX_Q4_K_M, &counts);
    assert_int_equal(type_of(gguf, "token_embd.weight"), ENX_TENSOR_Q8_0);
    assert_int_equal(type_of(gguf, "blk.1.attn_q.weight"), ENX_TENSOR_Q5_0);
    assert_int_equal(type_of(gguf, "blk.1.ffn_down.weight"), ENX_TENSOR_Q4_K);
    assert_int_equal(counts.fallbacks, 1 + 9 * 5); /* not attn_output, not ffn_down */
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
    tiny_close(&m);
    open_source(&m, ENX_TENSOR_F32, 50);
    open_requant(&gguf, &buf, &m, ENX_MIX_Q4_0, &counts);
    assert_int_equal(type_of(gguf, "blk.1.attn_q.weight"), ENX_TENSOR_F16);
    enx_model *model = NULL;
    assert_int_equal(enx_model_open(&model, gguf, NULL), ENX_OK);
    enx_model_close(&model);
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
    tiny_close(&m);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    tiny_model m;
    open_source(&m, ENX_TENSOR_F32, 32);
    for (long n = 0;; n += n < 20 ? 1 : 13) {
        enx_buf            buf;
        enx_requant_counts counts;
        enx_buf_init(&buf, 1 << 26);
        enx_mem_fail_after(n);
        const enx_status status = enx_model_requant(m.gguf, ENX_MIX_Q8_0, &buf, &counts, NULL);
        enx_mem_fail_after(-1);
        enx_buf_deinit(&buf);
        if (status == ENX_OK) break;
        assert_int_equal(status, ENX_NOMEM);
    }
    tiny_close(&m);
}

int main(void)
{
    enx_kernels_init(&scalar, ENX_CPU_SCALAR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_agree_with_the_files),
        cmocka_unit_test(values_are_those_of_the_reference),
        cmocka_unit_test(single_bits_mean_what_the_layout_says),
        cmocka_unit_test(errors_of_normal_numbers_stay_within_their_bounds),
        cmocka_unit_test(numbers_on_the_grid_come_back),
        cmocka_unit_test(hard_blocks_survive),
        cmocka_unit_test(a_mixture_gives_each_matrix_its_type),
        cmocka_unit_test(experts_are_quantized_and_their_router_is_not),
        cmocka_unit_test(narrow_rows_get_near_types),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
