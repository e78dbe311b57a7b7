/* SPDX-License-Identifier: Apache-2.0 */
/* random_model.c - a model file of true structure and random weights, to compare and to measure.
 *
 *     random_model ARCHITECTURE TYPE OUT.gguf [--shape NAME] [--seed S] [--long] [--part]
 *         [--experts]
 *
 * TYPE is that of the matrices.  Shapes: small (some 4 million parameters, whose rows every type's
 * blocks divide), and those of known models: 135m, 0.5b, 1b.  --long: rotation stretched by YaRN;
 * --part: of three quarters of each head; --experts: eight of them, two used, where they need not
 * be. The vocabulary is made up: all bytes, then all strings of two characters of ASCII, then of
 * three, as far as it reaches; without NUL, which ends a text for other programs.
 */
#include "base/check.h"
#include "plat/file.h"
#include "text/vocab_gguf.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <strings.h>

typedef struct shape {
    const char *name;
    uint32_t    vocab, width, layers, heads, kv_heads, head_width, ffn, context;
} shape;

static const shape shapes[] = {
    { "small", 512, 256, 6, 4, 2, 64, 768, 512 },
    { "135m", 49152, 576, 30, 9, 3, 64, 1536, 2048 },
    { "0.5b", 151936, 896, 24, 14, 2, 64, 4864, 4096 },
    { "1b", 128256, 2048, 16, 32, 8, 64, 8192, 8192 },
};

static const shape *find_shape(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

/* The type whose name is `text`, in either case. */
static bool find_type(enx_tensor_type *out, const char *text)
{
    static const enx_tensor_type types[] = {
        ENX_TENSOR_F32,  ENX_TENSOR_F16,    ENX_TENSOR_BF16,   ENX_TENSOR_Q8_0,
        ENX_TENSOR_Q4_0, ENX_TENSOR_Q4_1,   ENX_TENSOR_Q5_0,   ENX_TENSOR_Q5_1,
        ENX_TENSOR_Q2_K, ENX_TENSOR_Q3_K,   ENX_TENSOR_Q4_K,   ENX_TENSOR_Q5_K,
        ENX_TENSOR_Q6_K, ENX_TENSOR_IQ4_NL, ENX_TENSOR_IQ4_XS, ENX_TENSOR_MXFP4,
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(enx_tensor_type_name(types[i]), text) == 0) {
            *out = types[i];
            return true;
        }
    return false;
}

enum { BYTES = 256, LETTERS = 127, TOKEN_BYTES_MAX = 3, EXPERTS = 8, EXPERTS_USED = 2 };

static enx_status add_vocab(enx_gguf_writer *writer, uint32_t count, enx_report *report)
{
    char(*texts)[TOKEN_BYTES_MAX] = malloc(count * sizeof *texts);
    enx_gguf_str *tokens = malloc(count * sizeof *tokens);
    uint32_t(*merges)[2] = malloc(count * sizeof *merges);
    ENX_CHECK(texts && tokens && merges && count > BYTES);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t n = i - BYTES, behind = n / LETTERS;
        const uint32_t first = i < BYTES          ? 0
                               : behind < LETTERS ? 1 + behind
                                                  : BYTES - LETTERS + behind;
        const uint32_t last = i < BYTES ? i : 1 + n % LETTERS;
        const size_t   head = i < BYTES ? 0 : tokens[first].size_bytes;
        memcpy(texts[i], texts[first], head);
        texts[i][head] = (char)(uint8_t)last;
        tokens[i] = (enx_gguf_str){ texts[i], head + 1 };
        if (i < BYTES) continue;
        merges[n][0] = first;
        merges[n][1] = last;
    }
    const enx_vocab  vocab = { .tokens = tokens,
                               .token_count = count,
                               .merges = (const uint32_t(*)[2])merges,
                               .merge_count = count - BYTES,
                               .pre = "gpt-2",
                               .eos = ENX_TOKEN_NONE };
    const enx_status status = enx_vocab_write(writer, &vocab, report);
    free(merges);
    free(tokens);
    free(texts);
    return status;
}

static int usage(void)
{
    fprintf(stderr, "usage: random_model ARCHITECTURE TYPE OUT.gguf [--shape small|135m|0.5b|1b] "
                    "[--seed S] [--long] [--part] [--experts]\n");
    return 64;
}

int main(int argc, char **argv)
{
    tiny_options o = { .is_calm = true, .seed = 1, .add_keys = add_vocab };
    const shape *s = &shapes[0];
    bool         is_sparse = false, is_part = false;
    if (argc < 4 || !find_type(&o.type, argv[2])) return usage();
    for (int i = 4; i < argc; i++) {
        const bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--long") == 0) o.rope_scaling = "yarn";
        else if (strcmp(argv[i], "--experts") == 0) is_sparse = true;
        else if (strcmp(argv[i], "--part") == 0) is_part = true;
        else if (strcmp(argv[i], "--shape") == 0 && has_value) s = find_shape(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && has_value)
            o.seed = strtoull(argv[++i], NULL, 10);
        else return usage();
        if (!s) return usage();
    }
    const enx_architecture *architecture = enx_architecture_find(argv[1], strlen(argv[1]));
    if (!architecture) {
        fprintf(stderr, "random_model: %s: there are " ENX_ARCHITECTURE_NAMES "\n", argv[1]);
        return 64;
    }
    if (enx_tensor_row_bytes(o.type, s->width) == 0) {
        fprintf(stderr, "random_model: rows of %u are no whole blocks of %s\n", s->width,
                enx_tensor_type_name(o.type));
        return 64;
    }
    o.arch = argv[1];
    o.vocab = s->vocab;
    o.width = s->width;
    o.layers = s->layers;
    o.heads = s->heads;
    o.kv_heads = s->kv_heads;
    o.head_width = s->head_width;
    if (is_part) o.rope_width = s->head_width / 4 * 3;
    o.ffn = s->ffn;
    o.context = s->context;
    o.is_head_untied = architecture->experts == ENX_EXPERTS_ALWAYS;
    if (architecture->experts == ENX_EXPERTS_ALWAYS || is_sparse) {
        o.experts = EXPERTS;
        o.experts_used = EXPERTS_USED;
    }
    if (architecture->has_window)
        o.window = architecture->window_period ? s->context / 8 : s->context;
    enx_report report = { 0 };
    enx_buf    bytes;
    enx_status status = tiny_build(&o, &bytes, &report);
    if (status == ENX_OK) status = enx_file_write(argv[3], bytes.data, bytes.size_bytes, &report);
    enx_buf_deinit(&bytes);
    if (status != ENX_OK) fprintf(stderr, "random_model: %s\n", report.text);
    return status == ENX_OK ? 0 : 1;
}
