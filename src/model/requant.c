/* SPDX-License-Identifier: Apache-2.0 */
/* requant.c - which matrix gets which type, and the copying around it.
 *
 * The new matrices are held until the file is put together: memory is about twice the new file.
 */
#include "model/requant.h"

#include "base/check.h"
#include "base/mem.h"
#include "gguf/gguf_write.h"
#include "kernels/cpu.h"
#include "kernels/quantize.h"
#include "model/convert.h"

#include <stdio.h>
#include <string.h>

enum { QUANTIZATION_VERSION = 2, LAYERS_COUNTED_MAX = 512 };

typedef struct requant {
    const enx_gguf     *source;
    enx_mix             mix;
    uint32_t            layer_count;
    bool                is_head_tied;
    enx_kernels         kernels;
    enx_gguf_writer    *writer;
    void              **made; /* owned, [tensor count]; NULL where the source's data is used */
    enx_requant_counts *counts;
    enx_report         *report;
} requant;

/* ---- choosing ---------------------------------------------------------- */

/* Not the biases of experts, a row each; nor routers, which are small and decide much. */
static bool is_matrix(const enx_gguf_tensor *t, const char *name)
{
    const char *dot = strrchr(name, '.');
    return t->dims[1] > 1 && dot && strcmp(dot, ".weight") == 0 && !strstr(name, "ffn_gate_inp");
}

static bool is_favoured(uint32_t layer, uint32_t count)
{
    const uint32_t eighth = count / 8;
    return layer < eighth || layer >= 7 * count / 8 || (layer - eighth) % 3 == 2;
}

static enx_tensor_type wanted_type(const requant *r, const char *name)
{
    static const enx_tensor_type usual[] = { [ENX_MIX_Q8_0] = ENX_TENSOR_Q8_0,
                                             [ENX_MIX_Q4_0] = ENX_TENSOR_Q4_0,
                                             [ENX_MIX_Q4_K_M] = ENX_TENSOR_Q4_K,
                                             [ENX_MIX_Q6_K] = ENX_TENSOR_Q6_K };
    const char                  *head = r->is_head_tied ? "token_embd.weight" : "output.weight";
    uint32_t                     layer = 0;
    int                          end = 0;
    if (r->mix != ENX_MIX_Q8_0 && strcmp(name, head) == 0) return ENX_TENSOR_Q6_K;
    if (r->mix == ENX_MIX_Q4_K_M && sscanf(name, "blk.%u.%n", &layer, &end) == 1 && end > 0 &&
        (strncmp(name + end, "attn_v.", 7) == 0 || strncmp(name + end, "ffn_down", 8) == 0) &&
        is_favoured(layer, r->layer_count))
        return ENX_TENSOR_Q6_K;
    return usual[r->mix];
}

static enx_tensor_type fitting_type(enx_tensor_type wanted, uint64_t columns)
{
    if (enx_tensor_row_bytes(wanted, columns)) return wanted;
    const enx_tensor_type small = wanted == ENX_TENSOR_Q4_K ? ENX_TENSOR_Q5_0 : ENX_TENSOR_Q8_0;
    return enx_tensor_row_bytes(small, columns) ? small : ENX_TENSOR_F16;
}

/* ---- converting -------------------------------------------------------- */

static void store_row(const requant *r, enx_tensor_type type, void *out, const float *x, size_t n)
{
    if (type == ENX_TENSOR_Q8_0) enx_q8_0_from_f32(out, x, n);
    else if (type == ENX_TENSOR_Q4_0) enx_q4_0_from_f32(out, x, n);
    else if (type == ENX_TENSOR_Q5_0) enx_q5_0_from_f32(out, x, n);
    else if (type == ENX_TENSOR_Q4_K) enx_q4_k_from_f32(out, x, n);
    else if (type == ENX_TENSOR_Q6_K) enx_q6_k_from_f32(out, x, n);
    else r->kernels.f16_from_f32(out, x, n);
}

static bool is_float(enx_tensor_type type)
{
    return type == ENX_TENSOR_F32 || type == ENX_TENSOR_F16 || type == ENX_TENSOR_BF16 ||
           type == ENX_TENSOR_Q8_0;
}

static enx_status convert(const requant *r, const enx_gguf_tensor *t, enx_tensor_type type,
                          void **out)
{
    const uint64_t columns = t->dims[0], from_bytes = enx_tensor_row_bytes(t->type, columns);
    const uint64_t to_bytes = enx_tensor_row_bytes(type, columns);
    const uint64_t rows = t->size_bytes / from_bytes;
    /* A row is at most the file, whose numbers have at least half a byte. */
    float         *x = ENX_MEM_NEW(float, columns);
    uint8_t       *made = enx_mem_new(rows, to_bytes);
    if (!x || !made) {
        enx_mem_free(x);
        enx_mem_free(made);
        return ENX_FAIL(r->report, NOMEM, "no memory for a matrix of %llu x %llu",
                        (unsigned long long)columns, (unsigned long long)rows);
    }
    for (uint64_t row = 0; row < rows; row++) {
        enx_tensor_to_f32(&r->kernels, t->type, x, t->data + row * from_bytes, columns);
        store_row(r, type, made + row * to_bytes, x, columns);
    }
    enx_mem_free(x);
    *out = made;
    return ENX_OK;
}

static enx_status add_tensor(const requant *r, uint64_t index)
{
    const enx_gguf_tensor *t = enx_gguf_tensor_at(r->source, index);
    char                   name[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
    enx_tensor_type        type = t->type;
    memcpy(name, t->name.data, (size_t)t->name.size_bytes); /* the parser bounds names */
    if (is_matrix(t, name)) {
        const enx_tensor_type wanted = wanted_type(r, name);
        if (!is_float(t->type))
            return ENX_FAIL(r->report, UNSUPPORTED,
                            "tensor '%s' is %s already; F32, F16, BF16 and Q8_0 can be quantized, "
                            "so start from the original",
                            name, enx_tensor_type_name(t->type));
        if ((uintptr_t)t->data % (t->type == ENX_TENSOR_Q8_0 ? 1 : sizeof(float)))
            return ENX_FAIL(r->report, FORMAT, "tensor '%s' is not aligned to its numbers", name);
        type = fitting_type(wanted, t->dims[0]);
        r->counts->matrices++;
        r->counts->fallbacks += type != wanted;
        if (type != t->type) ENX_TRY(convert(r, t, type, &r->made[index]));
    }
    r->counts->bytes_before += t->size_bytes;
    r->counts->bytes_after += t->size_bytes / enx_tensor_row_bytes(t->type, t->dims[0]) *
                              enx_tensor_row_bytes(type, t->dims[0]);
    enx_gguf_add_tensor(r->writer, name, type, t->dim_count, t->dims,
                        r->made[index] ? r->made[index] : t->data);
    return ENX_OK;
}

/* ---- the whole --------------------------------------------------------- */

static void add_keys(const requant *r)
{
    static const char *const set[] = { "general.file_type", "general.quantization_version" };
    static const uint32_t    file_types[] = { /* llama.cpp's numbers */
                                           [ENX_MIX_Q8_0] = 7,
                                           [ENX_MIX_Q4_0] = 2,
                                           [ENX_MIX_Q4_K_M] = 15,
                                           [ENX_MIX_Q6_K] = 18
    };
    enx_gguf_add_except(r->writer, r->source, set, 2);
    enx_gguf_add_u32(r->writer, set[0], file_types[r->mix]);
    enx_gguf_add_u32(r->writer, set[1], QUANTIZATION_VERSION);
}

/* One more than the largest number of a layer. */
static uint32_t count_layers(const enx_gguf *source)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < enx_gguf_tensor_count(source); i++) {
        const enx_gguf_tensor *t = enx_gguf_tensor_at(source, i);
        char                   name[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
        uint32_t               layer = 0;
        memcpy(name, t->name.data, (size_t)t->name.size_bytes);
        if (sscanf(name, "blk.%3u.", &layer) == 1 && layer < LAYERS_COUNTED_MAX && layer >= count)
            count = layer + 1;
    }
    return count;
}

enx_status enx_model_requant(const enx_gguf *source, enx_mix mix, enx_buf *out,
                             enx_requant_counts *counts, enx_report *report)
{
    ENX_CHECK(source && out && counts);
    const uint64_t tensor_count = enx_gguf_tensor_count(source);
    *counts = (enx_requant_counts){ 0 };
    requant r = { .source = source,
                  .mix = mix,
                  .layer_count = count_layers(source),
                  .is_head_tied = !enx_gguf_tensor_find(source, "output.weight"),
                  .counts = counts,
                  .report = report };
    enx_kernels_init(&r.kernels, enx_cpu_detect(NULL));
    ENX_TRY(enx_gguf_writer_open(&r.writer, report));
    enx_status status = ENX_OK;
    r.made = ENX_MEM_NEW(void *, tensor_count);
    if (!r.made) status = ENX_FAIL(report, NOMEM, "no memory for a list of tensors");
    if (status == ENX_OK) add_keys(&r);
    for (uint64_t i = 0; i < tensor_count && status == ENX_OK; i++) status = add_tensor(&r, i);
    if (status == ENX_OK) status = enx_gguf_writer_finish(r.writer, out, report);
    for (uint64_t i = 0; r.made && i < tensor_count; i++) enx_mem_free(r.made[i]);
    enx_mem_free(r.made);
    enx_gguf_writer_close(&r.writer);
    return status;
}
