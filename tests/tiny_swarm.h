/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_swarm.h - a whole swarm of random models, so that jobs can be tested in seconds.
 *
 * lead.gguf, scout.gguf, es.gguf, pt_BR.gguf and swarm.yaml.  All but the scout also do tasks of the
 * classes "reading", "again" and "gather".  The vocabulary is every byte and the control words; the
 * weights are random but fixed.  Masks make the answers well formed, so plans are plans and repairs reduce
 * to their inputs; they are just no good.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_TINY_SWARM_H
#define ENX_TESTS_TINY_SWARM_H

#include "plat/file.h"
#include "text/lexicon.h"
#include "text/tokenizer.h"
#include "text/vocab_gguf.h"
#include "tiny_model.h"

enum { TINY_BYTES = 256, TINY_TOKENS_MAX = 288 };

static const char *const tiny_controls[] = {
    "<|end|>", "<|out|>", "<|restore|>", "<|scout|>", "<|plan|>", "<|more|>",
    "<|cut|>", "<|L1|>",  "<|L2|>",      "<|L3|>",    "<|es|>",   "<|pt_BR|>",
};

/* Classes of tasks that all but the scout do. */
static const char *const tiny_prompts[] = { "enxame.prompt.reading", "enxame.prompt.again",
                                            "enxame.prompt.gather" };

enum { TINY_CONTROLS = sizeof tiny_controls / sizeof *tiny_controls };

typedef struct tiny_swarm {
    const char *folder;
    enx_report  report;
    char        bytes[TINY_BYTES];
} tiny_swarm;

static inline enx_status tiny_swarm_vocabulary(tiny_swarm *m, enx_gguf_writer *writer)
{
    enx_gguf_str tokens[TINY_TOKENS_MAX];
    bool         is_control[TINY_TOKENS_MAX] = { false };
    for (int i = 0; i < TINY_BYTES; i++) {
        m->bytes[i] = (char)i;
        tokens[i] = (enx_gguf_str){ &m->bytes[i], 1 };
    }
    for (int i = 0; i < TINY_CONTROLS; i++) {
        tokens[TINY_BYTES + i] = (enx_gguf_str){ tiny_controls[i], strlen(tiny_controls[i]) };
        is_control[TINY_BYTES + i] = true;
    }
    const enx_vocab vocab = { .tokens = tokens,
                              .is_control = is_control,
                              .token_count = TINY_BYTES + TINY_CONTROLS,
                              .pre = "qwen2",
                              .eos = TINY_BYTES };
    return enx_vocab_write(writer, &vocab, &m->report);
}

/* The scout must be sure of itself, or nothing would go to workers: a large gain before the head
 * makes its choices sharp. */
static inline void tiny_swarm_gain(tiny_builder *b, uint32_t width, float gain)
{
    const uint64_t dims[1] = { width };
    float         *x = ENX_MEM_NEW(float, width);
    for (uint32_t i = 0; i < width; i++) x[i] = gain;
    enx_gguf_add_tensor(b->writer, "output_norm.weight", ENX_TENSOR_F32, 1, dims, x);
    b->data[b->data_count++] = x;
}

/* "nao" -> "não" in texts of `language`. */
static inline enx_status tiny_swarm_lexicon(tiny_swarm *m, enx_gguf_writer *writer,
                                            const char *language)
{
    static const char text[] = "Ele não é mas não foi.\n";
    char              key[64];
    enx_lexicon      *lexicon = NULL;
    enx_buf           bytes;
    enx_buf_init(&bytes, 1 << 16);
    snprintf(key, sizeof key, "enxame.lexicon.%s", language);
    enx_status status = enx_lexicon_open_text(&lexicon, text, sizeof text - 1, &m->report);
    if (status == ENX_OK) status = enx_lexicon_save(lexicon, &bytes, &m->report);
    if (status == ENX_OK)
        enx_gguf_add_u8s(writer, key, (const uint8_t *)enx_buf_text(&bytes), bytes.size_bytes);
    enx_lexicon_close(&lexicon);
    enx_buf_deinit(&bytes);
    return status;
}

static inline enx_status tiny_swarm_model(tiny_swarm *m, const char *name, bool is_scout,
                                          uint32_t width, uint64_t seed)
{
    const enx_gguf_str languages[] = { { "es", 2 }, { "pt_BR", 5 } };
    const tiny_options options = { .type = ENX_TENSOR_Q8_0,
                                   .vocab = TINY_BYTES + TINY_CONTROLS,
                                   .width = width,
                                   .layers = 2,
                                   .heads = 2,
                                   .kv_heads = 1,
                                   .head_width = 32,
                                   .ffn = 96,
                                   .context = 1024,
                                   .seed = seed };
    const bool         is_lead = strcmp(name, "lead") == 0;
    char               path[4096];
    enx_buf            bytes;
    tiny_builder       b = { .o = &options, .rng = enx_rng_open(seed, 0) };
    enx_buf_init(&bytes, (size_t)1 << 28);
    ENX_TRY(enx_gguf_writer_open(&b.writer, &m->report));
    tiny_add_keys(&b);
    enx_gguf_add_str(b.writer, "general.name", name);
    enx_gguf_add_f64(b.writer, "enxame.train.cpu_seconds", 1000);
    if (is_scout) {
        enx_gguf_add_str(b.writer, "enxame.prompt.scout", "<|scout|>{text}<|out|>");
        enx_gguf_add_strs(b.writer, "enxame.scout.languages", languages, 2);
    } else {
        enx_gguf_add_str(b.writer, "enxame.prompt.restore",
                         "<|restore|>{language}{level}{more}{draft}{cut}<|out|>");
        if (is_lead || strcmp(name, "es") == 0) ENX_TRY(tiny_swarm_lexicon(m, b.writer, "es"));
        if (is_lead || strcmp(name, "pt_BR") == 0)
            ENX_TRY(tiny_swarm_lexicon(m, b.writer, "pt_BR"));
    }
    for (int i = 0; i < 3 && !is_scout; i++)
        enx_gguf_add_str(b.writer, tiny_prompts[i], "<|plan|>{text}<|out|>");
    if (is_lead) enx_gguf_add_str(b.writer, "enxame.prompt.plan", "<|plan|>{text}<|out|>");
    ENX_TRY(tiny_swarm_vocabulary(m, b.writer));
    tiny_add(&b, "token_embd.weight", options.vocab, options.width);
    for (uint32_t i = 0; i < options.layers; i++) tiny_add_layer(&b, i);
    tiny_swarm_gain(&b, options.width, is_scout ? 20 : 1);
    enx_status status = enx_gguf_writer_finish(b.writer, &bytes, &m->report);
    snprintf(path, sizeof path, "%s/%s.gguf", m->folder, name);
    if (status == ENX_OK) status = enx_file_write(path, bytes.data, bytes.size_bytes, &m->report);
    enx_gguf_writer_close(&b.writer);
    for (size_t i = 0; i < b.data_count; i++) enx_mem_free(b.data[i]);
    enx_buf_deinit(&bytes);
    return status;
}

static const char tiny_swarm_yaml[] =
    "name: tiny\n"
    "machine: {usd_per_hour: 0.10, param_tokens_per_s_in: 6e9, param_tokens_per_s_out: 2e9}\n"
    "lead: {model: lead.gguf}\n"
    "scout: {model: scout.gguf}\n"
    "workers:\n"
    "  - {model: es.gguf, specialty: [es]}\n"
    "  - {model: pt_BR.gguf, specialty: [pt_BR]}\n"
    "escalate: {above: {\"1\": 0.9, \"2\": 0.9, \"3\": 0.9}}\n"
    "gate: {min_paragraphs: 2}\n";

static inline enx_status tiny_swarm_make(tiny_swarm *m)
{
    char path[4096];
    ENX_TRY(enx_dir_make(m->folder, &m->report));
    ENX_TRY(tiny_swarm_model(m, "lead", false, 64, 1));
    ENX_TRY(tiny_swarm_model(m, "scout", true, 32, 2));
    ENX_TRY(tiny_swarm_model(m, "es", false, 32, 3));
    ENX_TRY(tiny_swarm_model(m, "pt_BR", false, 32, 4));
    snprintf(path, sizeof path, "%s/swarm.yaml", m->folder);
    return enx_file_write(path, tiny_swarm_yaml, sizeof tiny_swarm_yaml - 1, &m->report);
}

#endif /* ENX_TESTS_TINY_SWARM_H */
