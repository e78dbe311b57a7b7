/* SPDX-License-Identifier: Apache-2.0 */
/* export.c - the trained model as GGUF, with the record of how it was made. */
#include "base/check.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "train/trainer_impl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A server core's share. */
const double enx_trainer_watts_per_core = 10.0;

enum {
    TENSORS_MAX = 16 * ENX_NET_LAYERS_MAX,
    RECORD_BYTES_MAX = 1 << 20,
    KEY_BYTES_MAX = 64,
    MEAN_SEGMENT = 128, /* tokens of an example, for the attention's share of the operations */
};

/* ---- Tensors --------------------------------------------------------------------------------- */

typedef struct exporter {
    enx_gguf_writer *writer;
    enx_tensor_type  type;
    const float     *params;
    void            *owned[TENSORS_MAX]; /* converted data, alive until the file is finished */
    size_t           owned_count;
    enx_status       status;
} exporter;

static void add_gain(exporter *e, const char *name, size_t at, size_t count)
{
    const uint64_t dims[] = { count };
    enx_gguf_add_tensor(e->writer, name, ENX_TENSOR_F32, 1, dims, e->params + at);
}

static void add_matrix(exporter *e, const char *name, size_t at, size_t rows, size_t columns)
{
    const uint64_t dims[] = { columns, rows };
    const size_t   n = rows * columns;
    if (e->type == ENX_TENSOR_F32) {
        enx_gguf_add_tensor(e->writer, name, e->type, 2, dims, e->params + at);
        return;
    }
    ENX_CHECK(e->owned_count < TENSORS_MAX);
    uint8_t *data = enx_mem_new(rows, enx_tensor_row_bytes(e->type, columns));
    if (!data) {
        e->status = ENX_NOMEM;
        return;
    }
    e->owned[e->owned_count++] = data;
    if (e->type == ENX_TENSOR_Q8_0) {
        enx_q8_0_from_f32((enx_block_q8_0 *)(void *)data, e->params + at, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            const uint16_t half = enx_f16_of_f32(e->params[at + i]);
            memcpy(data + 2 * i, &half, sizeof half);
        }
    }
    enx_gguf_add_tensor(e->writer, name, e->type, 2, dims, data);
}

static void add_layer(exporter *e, const enx_net_layout *layout, uint32_t index)
{
    const enx_net_layer_at *at = &layout->layers[index];
    const size_t            c = layout->sizes.width, f = layout->sizes.ffn;
    const struct {
        const char *name;
        size_t      start, rows, columns; /* columns 0: a gain of `rows` numbers */
    } parts[] = {
        { "attn_norm", at->attn_norm, c, 0 },
        { "attn_q", at->qkv, c, c },
        { "attn_k", at->qkv + c * c, c, c },
        { "attn_v", at->qkv + 2 * c * c, c, c },
        { "attn_q_norm", at->q_norm, layout->sizes.head_width, 0 },
        { "attn_k_norm", at->k_norm, layout->sizes.head_width, 0 },
        { "attn_output", at->attn_out, c, c },
        { "ffn_norm", at->ffn_norm, c, 0 },
        { "ffn_gate", at->gate_up, f, c },
        { "ffn_up", at->gate_up + f * c, f, c },
        { "ffn_down", at->down, c, f },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", index, parts[i].name);
        if (parts[i].columns) add_matrix(e, name, parts[i].start, parts[i].rows, parts[i].columns);
        else add_gain(e, name, parts[i].start, parts[i].rows);
    }
}

/* ---- Keys --------------------------------------------------------------------------------------
 */

static void add_architecture(enx_gguf_writer *w, const enx_trainer *t)
{
    const enx_net_sizes *z = &t->layout.sizes;
    const uint32_t       heads = z->width / z->head_width;
    enx_gguf_add_str(w, "general.architecture", "qwen3");
    enx_gguf_add_str(w, "general.name", t->recipe->name);
    enx_gguf_add_str(w, "general.description", t->recipe->about);
    enx_gguf_add_u32(w, "qwen3.context_length", t->recipe->model.context);
    enx_gguf_add_u32(w, "qwen3.embedding_length", z->width);
    enx_gguf_add_u32(w, "qwen3.block_count", z->layers);
    enx_gguf_add_u32(w, "qwen3.feed_forward_length", z->ffn);
    enx_gguf_add_u32(w, "qwen3.attention.head_count", heads);
    enx_gguf_add_u32(w, "qwen3.attention.head_count_kv", heads);
    enx_gguf_add_u32(w, "qwen3.attention.key_length", z->head_width);
    enx_gguf_add_u32(w, "qwen3.attention.value_length", z->head_width);
    enx_gguf_add_f32(w, "qwen3.attention.layer_norm_rms_epsilon", enx_net_rms_epsilon);
    enx_gguf_add_f32(w, "qwen3.rope.freq_base", enx_net_rope_base);
}

static bool has_kind(const enx_recipe *r, enx_source_kind kind)
{
    for (unsigned i = 0; i < r->sources_count; i++)
        if (r->sources[i].kind == kind) return true;
    return false;
}

static const char *class_of(const enx_recipe_source *source)
{
    return source->task ? source->task : "plan";
}

/* Pairs of a class that no source before had. */
static bool is_first_of_class(const enx_recipe *r, unsigned index)
{
    if (r->sources[index].kind != ENX_SOURCE_PAIRS) return false;
    for (unsigned i = 0; i < index; i++)
        if (r->sources[i].kind == ENX_SOURCE_PAIRS &&
            strcmp(class_of(&r->sources[i]), class_of(&r->sources[index])) == 0)
            return false;
    return true;
}

/* How to ask: the templates that the examples were made by (dataset.h).  Windows of the examples
 * were cut from whole text, those of a task are cut from damaged text, which is shorter: a model
 * that gets more text than it ever saw loses its place in it. */
static void add_prompts(enx_gguf_writer *w, const enx_recipe *r, double damage_ratio)
{
    enx_gguf_str languages[ENX_RECIPE_SOURCES_MAX];
    unsigned     count = 0;
    for (unsigned i = 0; i < r->languages_count && count < ENX_RECIPE_SOURCES_MAX; i++)
        languages[count++] = (enx_gguf_str){ r->languages[i], strlen(r->languages[i]) };
    if (has_kind(r, ENX_SOURCE_RESTORE)) {
        enx_gguf_add_str(w, "enxame.prompt.restore",
                         r->restore.draft > 0
                             ? "<|restore|>{language}{level}{more}{draft}{cut}<|out|>"
                             : "<|restore|>{language}{level}{more}{text}{cut}<|out|>");
        enx_gguf_add_u32(w, "enxame.restore.window_bytes",
                         (uint32_t)(r->restore.window_bytes * damage_ratio));
    }
    if (has_kind(r, ENX_SOURCE_SCOUT)) {
        enx_gguf_add_str(w, "enxame.prompt.scout", "<|scout|>{text}<|out|>");
        enx_gguf_add_strs(w, "enxame.scout.languages", languages, count);
    }
    for (unsigned i = 0; i < r->sources_count; i++)
        if (is_first_of_class(r, i)) {
            char key[KEY_BYTES_MAX];
            snprintf(key, sizeof key, "enxame.prompt.%s", class_of(&r->sources[i]));
            enx_gguf_add_str(w, key, "<|plan|>{text}<|out|>");
        }
}

static enx_status add_lexicons(enx_gguf_writer *w, const enx_dataset *dataset, enx_report *report)
{
    const enx_lexicon *lexicon;
    const char        *language;
    for (unsigned i = 0; (lexicon = enx_dataset_lexicon(dataset, i, &language)); i++) {
        char    key[KEY_BYTES_MAX];
        enx_buf bytes;
        snprintf(key, sizeof key, "enxame.lexicon.%s", language ? language : "any");
        enx_buf_init(&bytes, ENX_LEXICON_BYTES_MAX);
        const enx_status status = enx_lexicon_save(lexicon, &bytes, report);
        if (status == ENX_OK)
            enx_gguf_add_u8s(w, key, (const uint8_t *)enx_buf_text(&bytes), bytes.size_bytes);
        enx_buf_deinit(&bytes);
        ENX_TRY(status);
    }
    return ENX_OK;
}

static json_t *curve_json(const enx_trainer *t)
{
    json_t *curve = json_array();
    for (uint32_t i = 0; i < t->curve_count; i++)
        json_array_append_new(curve,
                              json_pack("[f,f]", (double)t->curve[i][0], (double)t->curve[i][1]));
    return curve;
}

static json_t *record_json(const enx_trainer *t)
{
    const enx_trainer_totals now = enx_trainer_totals_now(t);
    const double             flops_per_token = enx_net_flops_per_token(&t->layout, MEAN_SEGMENT);
    char                     data_hash[20];
    snprintf(data_hash, sizeof data_hash, "%016llx",
             (unsigned long long)enx_dataset_hash(t->dataset));
    json_t *root = json_object();
    json_object_set_new(root, "name", json_string(t->recipe->name));
    json_object_set_new(root, "parameters", json_integer((json_int_t)t->layout.count));
    json_object_set_new(root, "steps", json_integer(t->step));
    json_object_set_new(root, "tokens", json_integer((json_int_t)now.tokens));
    json_object_set_new(root, "targets", json_integer((json_int_t)now.targets));
    json_object_set_new(root, "flops", json_real(flops_per_token * (double)now.tokens));
    json_object_set_new(root, "wall_seconds", json_real(now.wall_s));
    json_object_set_new(root, "cpu_seconds", json_real(now.cpu_s));
    json_object_set_new(root, "energy_wh_estimate",
                        json_real(now.cpu_s * enx_trainer_watts_per_core / 3600));
    json_object_set_new(root, "loss", json_real(t->loss_smooth));
    json_object_set_new(root, "bits_per_byte", json_real(t->bytes_smooth));
    json_object_set_new(root, "data_hash", json_string(data_hash));
    json_object_set_new(root, "data_bytes",
                        json_integer((json_int_t)enx_dataset_bytes(t->dataset)));
    json_object_set_new(root, "products", json_string(enx_trainer_products(t)));
    json_object_set_new(root, "commit", json_string(t->commit));
    json_object_set_new(root, "curve", curve_json(t));
    return root;
}

static int append_json(const char *text, size_t size_bytes, void *user)
{
    return enx_buf_append(user, text, size_bytes) == ENX_OK ? 0 : -1;
}

enx_status enx_trainer_record(const enx_trainer *t, char **out, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, RECORD_BYTES_MAX);
    json_t   *root = record_json(t);
    const int failed =
        json_dump_callback(root, append_json, &text, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    json_decref(root);
    if (failed) {
        enx_buf_deinit(&text);
        return ENX_FAIL(report, NOMEM, "no memory for the record of the run");
    }
    *out = enx_buf_take(&text);
    return ENX_OK;
}

static enx_status add_record(enx_gguf_writer *w, const enx_trainer *t, enx_report *report)
{
    const enx_trainer_totals now = enx_trainer_totals_now(t);
    char                    *record = NULL;
    ENX_TRY(enx_trainer_record(t, &record, report));
    enx_gguf_add_str(w, "enxame.train.record", record);
    enx_gguf_add_f64(w, "enxame.train.cpu_seconds", now.cpu_s);
    enx_gguf_add_u64(w, "enxame.train.tokens", now.tokens);
    enx_mem_free(record);
    return ENX_OK;
}

static enx_status write_model(exporter *e, const enx_trainer *t, enx_buf *bytes, enx_report *report)
{
    add_architecture(e->writer, t);
    double damage_ratio;
    ENX_TRY(enx_dataset_damage_ratio(t->dataset, &damage_ratio, report));
    add_prompts(e->writer, t->recipe, damage_ratio);
    ENX_TRY(add_lexicons(e->writer, t->dataset, report));
    ENX_TRY(add_record(e->writer, t, report));
    enx_gguf_add_from(e->writer, t->vocab_gguf, "general.");
    const enx_net_sizes *z = &t->layout.sizes;
    add_matrix(e, "token_embd.weight", t->layout.embed, z->vocab, z->width);
    for (uint32_t i = 0; i < z->layers; i++) add_layer(e, &t->layout, i);
    add_gain(e, "output_norm.weight", t->layout.out_norm, z->width);
    if (e->status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory to convert the weights");
    return enx_gguf_writer_finish(e->writer, bytes, report);
}

enx_status enx_trainer_export(enx_trainer *trainer, const char *path, enx_tensor_type type,
                              enx_report *report)
{
    exporter e = { .type = type, .params = trainer->params };
    enx_buf  bytes;
    if (type == ENX_TENSOR_Q8_0 && trainer->layout.sizes.width % 32)
        return ENX_FAIL(report, INVALID,
                        "a width of %u is no multiple of 32, as q8_0 needs; use --type f16",
                        trainer->layout.sizes.width);
    enx_buf_init(&bytes, (size_t)1 << 36);
    enx_status status = enx_gguf_writer_open(&e.writer, report);
    if (status == ENX_OK) status = write_model(&e, trainer, &bytes, report);
    if (status == ENX_OK) status = enx_file_write(path, bytes.data, bytes.size_bytes, report);
    for (size_t i = 0; i < e.owned_count; i++) enx_mem_free(e.owned[i]);
    enx_gguf_writer_close(&e.writer);
    enx_buf_deinit(&bytes);
    return status;
}
