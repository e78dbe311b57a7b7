/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_synthesize.c - enxame synthesize: a model writes text for a smaller one to learn from. */
#include "cli/cmd_synthesize.h"

#include "backend/synthesis.h"
#include "cli/cli.h"
#include "plat/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct synthesize_state {
    const char   *like, *out;
    double        kb, keep, temperature;
    uint64_t      seed, threads;
    size_t        bytes; /* written */
    enx_synthesis result;
} synthesize_state;

static bool show_round(void *user, const enx_synthesis *so_far, size_t bytes)
{
    (void)user;
    fprintf(stderr, "%zu bytes, %llu of %llu paragraphs kept\n", bytes,
            (unsigned long long)so_far->kept, (unsigned long long)so_far->candidates);
    return !cli_is_interrupted();
}

static enx_status check_options(const synthesize_state *s, enx_report *report)
{
    if (!s->like)
        return ENX_FAIL(report, INVALID, "--like FILE is missing: real text of the kind wanted");
    if (!s->out) return ENX_FAIL(report, INVALID, "-o FILE is missing: where the text goes");
    if (!(s->kb >= 1 && s->kb <= ENX_SYNTHESIS_BYTES_MAX / 1000))
        return ENX_FAIL(report, INVALID, "--kb: from 1 to %d", ENX_SYNTHESIS_BYTES_MAX / 1000);
    if (s->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    return ENX_OK;
}

static enx_status synthesize(synthesize_state *s, const enx_loaded *loaded, enx_buf *like,
                             enx_buf *text, enx_report *report)
{
    enx_pool *pool = NULL;
    ENX_TRY(cli_read(like, s->like, report));
    ENX_TRY(enx_pool_open(&pool, (uint32_t)s->threads, report));
    const enx_synthesis_options options = { .like = enx_buf_text(like),
                                            .like_bytes = like->size_bytes,
                                            .bytes = (size_t)(s->kb * 1000),
                                            .keep = s->keep,
                                            .temperature = s->temperature,
                                            .seed = s->seed,
                                            .pool = pool,
                                            .cpu = getenv("ENX_CPU"),
                                            .on_round = show_round };
    enx_status status = enx_synthesis_run(&s->result, text, loaded, &options, report);
    if (status == ENX_OK) status = enx_file_write(s->out, text->data, text->size_bytes, report);
    s->bytes = text->size_bytes;
    enx_pool_close(&pool);
    return status;
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    synthesize_state *s = user;
    enx_loaded        loaded = { 0 };
    enx_buf           like, text;
    ENX_TRY(check_options(s, report));
    cli_catch_interrupts();
    ENX_TRY(enx_loaded_open(&loaded, args->operands.items[0], report));
    enx_buf_init(&like, ENX_SYNTHESIS_BYTES_MAX);
    enx_buf_init(&text, ENX_SYNTHESIS_BYTES_MAX);
    const enx_status status = synthesize(s, &loaded, &like, &text, report);
    enx_buf_deinit(&text);
    enx_buf_deinit(&like);
    enx_loaded_close(&loaded);
    return status;
}

static void print_json(const void *user)
{
    const synthesize_state *s = user;
    const enx_synthesis    *r = &s->result;
    cli_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I}", "bytes",
                             (json_int_t)s->bytes, "candidates", (json_int_t)r->candidates, "short",
                             (json_int_t)r->short_ones, "copies", (json_int_t)r->copies, "unlikely",
                             (json_int_t)r->unlikely, "kept", (json_int_t)r->kept, "bits_per_byte",
                             r->bits_per_byte, "bits_per_byte_kept", r->bits_per_byte_kept,
                             "tokens_out", (json_int_t)r->tokens_out));
}

static void print_text(const void *user)
{
    const synthesize_state *s = user;
    const enx_synthesis    *r = &s->result;
    printf("%s: %llu paragraphs, %zu bytes\n", s->out, (unsigned long long)r->kept, s->bytes);
    printf("  of %llu that were written %llu were short or no text, %llu copies, %llu unlikely\n",
           (unsigned long long)r->candidates, (unsigned long long)r->short_ones,
           (unsigned long long)r->copies, (unsigned long long)r->unlikely);
    printf("  bits a byte, by the model that wrote them: %.3f, those kept %.3f\n", r->bits_per_byte,
           r->bits_per_byte_kept);
}

static const cli_steps steps = { "synthesize", run, print_json, print_text, NULL };

int cmd_synthesize(int argc, char **argv)
{
    synthesize_state s = { .kb = 400, .keep = 0.5, .temperature = 1, .seed = 1 };
    const cli_option list[] = {
        { "like", '\0', CLI_TEXT, (void *)&s.like, "FILE",
          "real text, a paragraph a line: where beginnings come from, and what is not copied" },
        { "out", 'o', CLI_TEXT, (void *)&s.out, "FILE", "where the paragraphs go, a line each" },
        { "kb", '\0', CLI_REAL, &s.kb, "N", "how much, in 1000 bytes (default 400)" },
        { "keep", '\0', CLI_REAL, &s.keep, "P",
          "share of the paragraphs that stay, the likeliest (default 0.5)" },
        { "temperature", '\0', CLI_REAL, &s.temperature, "T", "default 1" },
        { "seed", '\0', CLI_UINT, &s.seed, "N", "default 1" },
        { "threads", '\0', CLI_UINT, &s.threads, "N",
          "0: one per core; the result does not depend on it" },
    };
    const cli_spec spec = { "synthesize MODEL.gguf --like FILE -o FILE [options]",
                            "Let a model write text for a smaller one to learn from, and keep what "
                            "is neither copied nor unlikely.",
                            "enxame synthesize out/w112.gguf --like law/train/en.txt -o more.txt",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    return cli_run(&spec, &steps, &s, argc, argv);
}
