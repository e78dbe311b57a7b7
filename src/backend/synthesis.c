/* SPDX-License-Identifier: Apache-2.0 */
/* synthesis.c - rounds of candidates: written all at once, then judged in their order. */
#include "backend/synthesis.h"

#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "text/stretches.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 32,
    ROUND = ENX_SYNTHESIS_ROUND,
    TEXT_BYTES_MAX = 2048,
    TOKENS_MAX = 480,
    LINE_TRIES = 10000,
    BARREN_ROUNDS_MAX = 4, /* without a paragraph that stays */
};

static const double copy_share_max = 0.2;

/* ---- Candidates ----------------------------------------------------------------------------- */

typedef struct candidate {
    char   text[TEXT_BYTES_MAX];
    size_t size_bytes, beginning_bytes;
    size_t written_bytes; /* by the model, and judged: the line's end and what was cut included */
    double nats;          /* of these */
} candidate;

typedef struct writer {
    const enx_synthesis_options *o;
    const enx_loaded            *loaded;
    enx_engine                  *engine;
    enx_stretches               *seen;
    enx_tokens                   prompt;
    enx_synthesis               *sums;
    enx_buf                     *out;
    double                       nats, nats_kept, written_bytes, written_bytes_kept;
    candidate                    candidates[ROUND];
} writer;

/* The beginning of a line, drawn by chance. */
static enx_status draw_beginning(const writer *w, candidate *c, enx_rng *rng, enx_report *report)
{
    for (int tries = 0; tries < LINE_TRIES; tries++) {
        const size_t drawn = (size_t)enx_rng_below(rng, w->o->like_bytes);
        const char  *end = w->o->like + w->o->like_bytes, *at = w->o->like + drawn;
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at || ++at == end) at = w->o->like;
        const char  *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t line = (size_t)((stop ? stop : end) - at);
        if (line < ENX_SYNTHESIS_SHORT) continue;
        c->beginning_bytes = enx_utf8_cut(at, line, ENX_SYNTHESIS_BEGINNING);
        memcpy(c->text, at, c->beginning_bytes);
        return ENX_OK;
    }
    return ENX_FAIL(report, INVALID, "the real text has no line of %d bytes to begin like",
                    ENX_SYNTHESIS_SHORT);
}

/* Up to the end of the line, or of the last whole word where there is none. */
static void take_text(void *owner, const enx_generation *g)
{
    writer    *w = owner;
    candidate *c = g->user;
    bool       is_ended = false; /* by a line's end inside a token */
    enx_buf    bytes;
    enx_buf_init(&bytes, TEXT_BYTES_MAX);
    c->nats = g->has_eos ? -(double)g->logprobs[g->token_count] : 0;
    for (uint32_t i = 0; i < g->token_count && !is_ended; i++) {
        if (enx_loaded_decode(w->loaded, &g->tokens[i], 1, &bytes) != ENX_OK) break;
        c->nats -= (double)g->logprobs[i];
        is_ended = memchr(enx_buf_text(&bytes), '\n', bytes.size_bytes) != NULL;
    }
    const char *text = enx_buf_text(&bytes), *stop = memchr(text, '\n', bytes.size_bytes);
    size_t      size = stop ? (size_t)(stop - text) : bytes.size_bytes;
    while (!is_ended && !g->has_eos && size > 0 && text[size - 1] != ' ') size--;
    if (size > TEXT_BYTES_MAX - c->beginning_bytes) size = TEXT_BYTES_MAX - c->beginning_bytes;
    memcpy(c->text + c->beginning_bytes, text, size);
    c->size_bytes = c->beginning_bytes + size;
    c->written_bytes = bytes.size_bytes + g->has_eos;
    w->sums->tokens_out += g->usage.tokens_out;
    enx_buf_deinit(&bytes);
}

static enx_status submit(writer *w, candidate *c, uint64_t number, enx_report *report)
{
    enx_rng              rng = enx_rng_open(w->o->seed, number);
    const enx_tokenizer *tokenizer = w->loaded->tokenizer;
    const uint32_t       context = enx_engine_context_tokens(w->engine);
    ENX_TRY(draw_beginning(w, c, &rng, report));
    w->prompt.count = 0;
    if (enx_tokenizer_begin(tokenizer, c->text, c->beginning_bytes, &w->prompt) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a beginning");
    ENX_TRY(
        enx_tokenizer_encode(tokenizer, c->text, c->beginning_bytes, false, &w->prompt, report));
    if (w->prompt.count + 2 > context)
        return ENX_FAIL(report, INVALID, "a context of %u tokens is too short to write", context);
    const uint32_t    room = context - (uint32_t)w->prompt.count - 1;
    const enx_request request = { .prompt = w->prompt.ids,
                                  .prompt_count = (uint32_t)w->prompt.count,
                                  .max_tokens = room < TOKENS_MAX ? room : TOKENS_MAX,
                                  .eos = enx_tokenizer_find(tokenizer, "\n", 1),
                                  .tokenizer = tokenizer,
                                  .sampling = { .temperature = (float)w->o->temperature,
                                                .seed = enx_rng_u64(&rng) },
                                  .user = c };
    enx_status        status;
    while ((status = enx_engine_submit(w->engine, &request, NULL, report)) == ENX_AGAIN)
        enx_engine_step(w->engine, take_text, w);
    return status;
}

static enx_status write_round(writer *w, enx_report *report)
{
    for (uint64_t i = 0; i < ROUND; i++)
        ENX_TRY(submit(w, &w->candidates[i], w->sums->candidates + i, report));
    while (enx_engine_step(w->engine, take_text, w) > 0) continue;
    w->sums->candidates += ROUND;
    return ENX_OK;
}

/* ---- Filters -------------------------------------------------------------------------------- */

static double cost(const candidate *c) { return c->nats / fmax(1, (double)c->written_bytes); }

static int by_cost(const void *a, const void *b)
{
    const double x = cost(a), y = cost(b);
    return (x > y) - (x < y);
}

/* The likeliest go first, so that of two that resemble each other the better one stays. */
static enx_status judge_round(writer *w, enx_report *report)
{
    enx_synthesis *sums = w->sums;
    const size_t   end = (size_t)ceil(w->o->keep * ROUND);
    qsort(w->candidates, ROUND, sizeof *w->candidates, by_cost);
    for (size_t i = 0; i < ROUND; i++) {
        const candidate *c = &w->candidates[i];
        w->nats += c->nats, w->written_bytes += (double)c->written_bytes;
        if (c->size_bytes < ENX_SYNTHESIS_SHORT ||
            enx_utf8_invalid_at(c->text, c->size_bytes) < c->size_bytes)
            sums->short_ones++;
        else if (i >= end) sums->unlikely++;
        else if (enx_stretches_share(w->seen, c->text, c->size_bytes) > copy_share_max)
            sums->copies++;
        else {
            ENX_TRY(enx_stretches_add(w->seen, c->text, c->size_bytes, report));
            if (enx_buf_append(w->out, c->text, c->size_bytes) != ENX_OK ||
                enx_buf_append(w->out, "\n", 1) != ENX_OK)
                return ENX_FAIL(report, NOMEM, "no memory for what is kept");
            w->nats_kept += c->nats, w->written_bytes_kept += (double)c->written_bytes;
            sums->kept++;
        }
    }
    const double bits = 1 / log(2);
    sums->bits_per_byte = bits * w->nats / fmax(1, w->written_bytes);
    sums->bits_per_byte_kept = bits * w->nats_kept / fmax(1, w->written_bytes_kept);
    return ENX_OK;
}

static enx_status write_all(writer *w, enx_report *report)
{
    ENX_TRY(enx_stretches_add(w->seen, w->o->like, w->o->like_bytes, report));
    for (int barren = 0; w->out->size_bytes < w->o->bytes;) {
        const uint64_t before = w->sums->kept;
        ENX_TRY(write_round(w, report));
        ENX_TRY(judge_round(w, report));
        barren = w->sums->kept > before ? 0 : barren + 1;
        if (barren == BARREN_ROUNDS_MAX)
            return ENX_FAIL(report, LIMIT,
                            "of the last %d paragraphs none was worth keeping: %llu were copies, "
                            "%llu too short; a higher temperature makes fewer copies",
                            BARREN_ROUNDS_MAX * ROUND, (unsigned long long)w->sums->copies,
                            (unsigned long long)w->sums->short_ones);
        if (w->o->on_round && !w->o->on_round(w->o->user, w->sums, w->out->size_bytes))
            return ENX_FAIL(report, CANCELED, "stopped");
    }
    return ENX_OK;
}

static enx_status check_options(const enx_synthesis_options *o, enx_report *report)
{
    if (o->like_bytes == 0 || o->like_bytes > ENX_SYNTHESIS_BYTES_MAX)
        return ENX_FAIL(report, INVALID, "real text: from 1 to %d bytes", ENX_SYNTHESIS_BYTES_MAX);
    if (o->bytes == 0 || o->bytes > ENX_SYNTHESIS_BYTES_MAX)
        return ENX_FAIL(report, INVALID, "from 1 to %d bytes of text", ENX_SYNTHESIS_BYTES_MAX);
    if (!(o->keep > 0 && o->keep <= 1))
        return ENX_FAIL(report, INVALID, "keep: a share above 0, at most 1");
    if (!(o->temperature > 0 && o->temperature <= 10))
        return ENX_FAIL(report, INVALID, "temperature: above 0, at most 10");
    return ENX_OK;
}

enx_status enx_synthesis_run(enx_synthesis *out, enx_buf *text, const enx_loaded *loaded,
                             const enx_synthesis_options *options, enx_report *report)
{
    ENX_TRY(check_options(options, report));
    writer                  *w = ENX_MEM_NEW(writer, 1);
    const enx_engine_options engine = {
        .model = loaded->model, .slot_count = SLOTS, .pool = options->pool, .cpu = options->cpu
    };
    if (!w) return ENX_FAIL(report, NOMEM, "no memory for paragraphs");
    *out = (enx_synthesis){ 0 };
    w->o = options;
    w->loaded = loaded;
    w->sums = out;
    w->out = text;
    enx_tokens_init(&w->prompt, TOKENS_MAX);
    enx_status status = enx_stretches_open(&w->seen, report);
    if (status == ENX_OK) status = enx_engine_open(&w->engine, &engine, report);
    if (status == ENX_OK) status = write_all(w, report);
    enx_engine_close(&w->engine);
    enx_stretches_close(&w->seen);
    enx_tokens_deinit(&w->prompt);
    enx_mem_free(w);
    return status;
}
