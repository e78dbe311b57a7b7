/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_chat.h - random chat models, so that conversations can be tested in milliseconds.
 *
 * The vocabulary is every byte and the control words; no token but printable ASCII and <|im_end|>
 * is ever the likeliest, so greedy answers are text.  They make no sense.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_TINY_CHAT_H
#define ENX_TESTS_TINY_CHAT_H

#include "plat/file.h"
#include "text/tokenizer.h"
#include "text/vocab_gguf.h"
#include "tiny_model.h"

static const char *const tiny_chat_controls[] = { "<|im_end|>", "<|im_start|>", "<s>" };

enum {
    TINY_CHAT_BYTES = 256,
    TINY_CHAT_CONTROLS = sizeof tiny_chat_controls / sizeof *tiny_chat_controls,
    TINY_CHAT_END = TINY_CHAT_BYTES,
    TINY_CHAT_START,
    TINY_CHAT_BOS,
    TINY_CHAT_VOCAB,
};

/* ChatML, which refuses a system message of "no", and forgets thoughts. */
static const char tiny_chat_template[] =
    "{% for m in messages %}"
    "{% if m.role == 'system' and m.content == 'no' %}{{ raise_exception('no system') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant{{ '\\n' }}";

typedef struct tiny_chat {
    const char *path;
    const char *template; /* NULL: none */
    uint32_t context;
    bool     has_bos; /* <s> comes first */
    uint64_t seed;
} tiny_chat;

static inline enx_status tiny_chat_vocabulary(const tiny_chat *c, enx_gguf_writer *writer,
                                              enx_report *report)
{
    static char  bytes[TINY_CHAT_BYTES];
    enx_gguf_str tokens[TINY_CHAT_VOCAB];
    bool         is_control[TINY_CHAT_VOCAB] = { false };
    for (int i = 0; i < TINY_CHAT_BYTES; i++) {
        bytes[i] = (char)i;
        tokens[i] = (enx_gguf_str){ &bytes[i], 1 };
    }
    for (int i = 0; i < TINY_CHAT_CONTROLS; i++) {
        const char *name = tiny_chat_controls[i];
        tokens[TINY_CHAT_BYTES + i] = (enx_gguf_str){ name, strlen(name) };
        is_control[TINY_CHAT_BYTES + i] = true;
    }
    const enx_vocab vocab = { .tokens = tokens,
                              .is_control = is_control,
                              .token_count = TINY_CHAT_VOCAB,
                              .pre = "qwen2",
                              .eos = TINY_CHAT_END,
                              .has_bos = c->has_bos,
                              .bos = TINY_CHAT_BOS };
    return enx_vocab_write(writer, &vocab, report);
}

static inline enx_status tiny_chat_make(const tiny_chat *c, enx_report *report)
{
    const tiny_options o = { .type = ENX_TENSOR_Q8_0,
                             .vocab = TINY_CHAT_VOCAB,
                             .width = 64,
                             .layers = 2,
                             .heads = 2,
                             .kv_heads = 1,
                             .head_width = 32,
                             .ffn = 96,
                             .context = c->context,
                             .seed = c->seed };
    tiny_builder       b = { .o = &o, .rng = enx_rng_open(c->seed, 0) };
    enx_buf            bytes;
    enx_buf_init(&bytes, (size_t)1 << 28);
    ENX_TRY(enx_gguf_writer_open(&b.writer, report));
    tiny_add_keys(&b);
    if (c->template) enx_gguf_add_str(b.writer, "tokenizer.chat_template", c->template);
    ENX_TRY(tiny_chat_vocabulary(c, b.writer, report));
    tiny_add(&b, "token_embd.weight", o.vocab, o.width);
    const size_t row_bytes = enx_tensor_row_bytes(o.type, o.width);
    for (size_t id = 0; id < TINY_CHAT_VOCAB; id++)
        if ((id < ' ' || id > '~') && id != TINY_CHAT_END)
            memset((char *)b.data[0] + id * row_bytes, 0, row_bytes);
    for (uint32_t i = 0; i < o.layers; i++) tiny_add_layer(&b, i);
    tiny_add(&b, "output_norm.weight", 0, o.width);
    enx_status status = enx_gguf_writer_finish(b.writer, &bytes, report);
    if (status == ENX_OK) status = enx_file_write(c->path, bytes.data, bytes.size_bytes, report);
    enx_gguf_writer_close(&b.writer);
    for (size_t i = 0; i < b.data_count; i++) enx_mem_free(b.data[i]);
    enx_buf_deinit(&bytes);
    return status;
}

#endif /* ENX_TESTS_TINY_CHAT_H */
