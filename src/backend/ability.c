/* SPDX-License-Identifier: Apache-2.0 */
/* ability.c - questions, and which way a model would go on. */
#include "backend/ability.h"

#include "base/check.h"
#include "base/rng.h"
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = ENX_ABILITY_OPTIONS, TOKENS_MAX = 4096, WORD_TRIES = 4000, WORD_BYTES_MAX = 8 };

const char *const enx_ability_names[ENX_ABILITY_TASKS] = { "next_word", "brackets", "copying",
                                                           "arithmetic" };

/* ---- Questions ------------------------------------------------------------------------------ */

static bool has_option(const enx_question *q, int count, const char *text)
{
    for (int i = 0; i < count; i++)
        if (strcmp(q->options[i], text) == 0) return true;
    return false;
}

/* The next word from *at on, without the spaces around it; its size, 0 at the end. */
static size_t read_word(const enx_ability_options *o, size_t *at)
{
    while (*at < o->words_bytes && strchr(" \n\t", o->words[*at])) ++*at;
    size_t end = *at;
    while (end < o->words_bytes && !strchr(" \n\t", o->words[end])) end++;
    return end - *at;
}

static size_t draw_place(const enx_ability_options *o, enx_rng *rng)
{
    size_t at = (size_t)enx_rng_below(rng, o->words_bytes);
    while (at < o->words_bytes && !strchr(" \n\t", o->words[at])) at++;
    return at;
}

/* `count` words from a random place on into q->text, each with a space behind it; false: there the
 * text ends, or words are too long. */
static bool take_context(enx_question *q, const enx_ability_options *o, int count, size_t *at)
{
    size_t used = 0;
    q->text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const size_t size = read_word(o, at);
        if (size == 0 || used + size + 2 > sizeof q->text) return false;
        memcpy(q->text + used, o->words + *at, size);
        used += size;
        q->text[used++] = ' ';
        q->text[used] = '\0';
        *at += size;
    }
    return true;
}

static enx_status ask_next_word(enx_question *q, int level, const enx_ability_options *o,
                                enx_rng *rng, enx_report *report)
{
    static const int context[ENX_ABILITY_LEVELS] = { 2, 8, 24 };
    size_t           size = 0;
    int              count = 0;
    for (int tries = 0; tries < WORD_TRIES && count < ENX_ABILITY_OPTIONS; tries++) {
        size_t at = draw_place(o, rng);
        if (count == 0 && !take_context(q, o, context[level], &at)) continue;
        const size_t found = read_word(o, &at);
        char         word[ENX_ABILITY_OPTION_BYTES_MAX];
        if (found < 2 || found > WORD_BYTES_MAX || (count > 0 && found != size)) continue;
        memcpy(word, o->words + at, found);
        word[found] = '\0';
        if (has_option(q, count, word)) continue;
        size = found;
        memcpy(q->options[count++], word, found + 1);
    }
    return count == ENX_ABILITY_OPTIONS
               ? ENX_OK
               : ENX_FAIL(report, INVALID, "the text has too few words of one length to ask for");
}

static void ask_brackets(enx_question *q, int level, enx_rng *rng)
{
    static const char *const pairs[ENX_ABILITY_OPTIONS] = { "()", "[]", "{}", "<>" };
    static const int         depth[ENX_ABILITY_LEVELS] = { 1, 2, 4 };
    size_t                   used = 0, last = 0;
    for (int i = 0; i < depth[level]; i++) {
        last = (size_t)enx_rng_below(rng, ENX_ABILITY_OPTIONS);
        used += (size_t)snprintf(q->text + used, sizeof q->text - used, "%c%c ", pairs[last][0],
                                 (char)('a' + enx_rng_below(rng, 26)));
    }
    /* one that was opened and closed again is in between */
    const size_t inner = (last + 1 + (size_t)enx_rng_below(rng, 3)) % ENX_ABILITY_OPTIONS;
    if (level > 0)
        snprintf(q->text + used, sizeof q->text - used, "%cx%c ", pairs[inner][0], pairs[inner][1]);
    q->text[strlen(q->text) - 1] = '\0';
    for (size_t i = 0; i < ENX_ABILITY_OPTIONS; i++)
        snprintf(q->options[i], sizeof q->options[i], "%c",
                 pairs[(last + i) % ENX_ABILITY_OPTIONS][1]);
}

static void make_up_word(char *out, int letters, enx_rng *rng)
{
    static const char consonants[] = "bcdfgklmnprstvz", vowels[] = "aeiou";
    for (int i = 0; i < letters; i++)
        out[i] = i % 2 ? vowels[enx_rng_below(rng, sizeof vowels - 1)]
                       : consonants[enx_rng_below(rng, sizeof consonants - 1)];
    out[letters] = '\0';
}

static void ask_copying(enx_question *q, int level, enx_rng *rng)
{
    static const int letters[ENX_ABILITY_LEVELS] = { 3, 6, 12 };
    char            *right = q->options[0];
    make_up_word(right, letters[level], rng);
    snprintf(q->text, sizeof q->text, "%s %s ", right, right);
    for (int i = 1; i < ENX_ABILITY_OPTIONS;) {
        char word[ENX_ABILITY_OPTION_BYTES_MAX];
        make_up_word(word, letters[level], rng);
        if (!has_option(q, i, word)) memcpy(q->options[i++], word, (size_t)letters[level] + 1);
    }
}

static void ask_arithmetic(enx_question *q, int level, enx_rng *rng)
{
    static const uint32_t end[ENX_ABILITY_LEVELS] = { 10, 100, 1000 };
    size_t                used = 0;
    uint32_t              a = 0, b = 0;
    for (int i = 0; i < 3; i++) {
        a = (uint32_t)enx_rng_below(rng, end[level]);
        b = (uint32_t)enx_rng_below(rng, end[level]);
        used += (size_t)snprintf(q->text + used, sizeof q->text - used, "%u+%u=", a, b);
        if (i < 2) used += (size_t)snprintf(q->text + used, sizeof q->text - used, "%u\n", a + b);
    }
    snprintf(q->options[0], sizeof q->options[0], "%u", a + b);
    uint32_t least = 1; /* of as many digits */
    while (least * 10 <= a + b) least *= 10;
    for (int i = 1; i < ENX_ABILITY_OPTIONS;) {
        char           text[ENX_ABILITY_OPTION_BYTES_MAX];
        const uint32_t first = least == 1 ? 0 : least;
        snprintf(text, sizeof text, "%u", first + (uint32_t)enx_rng_below(rng, 10 * least - first));
        if (!has_option(q, i, text)) memcpy(q->options[i++], text, sizeof text);
    }
}

enx_status enx_ability_question(enx_question *out, enx_ability_task task, int level,
                                uint32_t number, const enx_ability_options *options,
                                enx_report *report)
{
    ENX_CHECK(task < ENX_ABILITY_TASKS && level >= 0 && level < ENX_ABILITY_LEVELS);
    enx_rng rng = enx_rng_open((uint64_t)task * ENX_ABILITY_LEVELS + (uint64_t)level, number);
    *out = (enx_question){ 0 };
    switch (task) {
    case ENX_ABILITY_NEXT_WORD:
        ENX_CHECK(options->words && options->words_bytes > 0);
        return ask_next_word(out, level, options, &rng, report);
    case ENX_ABILITY_BRACKETS:
        ask_brackets(out, level, &rng);
        return ENX_OK;
    case ENX_ABILITY_COPYING:
        ask_copying(out, level, &rng);
        return ENX_OK;
    default:
        ask_arithmetic(out, level, &rng);
        return ENX_OK;
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

typedef struct asker {
    const enx_loaded *loaded;
    enx_engine       *engine;
    enx_tokens        tokens[ENX_ABILITY_OPTIONS];
    double            logprob[ENX_ABILITY_OPTIONS];
} asker;

static void add_logprobs(void *owner, const enx_generation *generation)
{
    (void)owner;
    double *sum = generation->user;
    for (uint32_t i = 0; i < generation->token_count; i++) *sum += (double)generation->logprobs[i];
}

/* How many tokens all four have in common: these need no score. */
static size_t common_count(const asker *a)
{
    size_t count = 0;
    for (;; count++)
        for (int i = 0; i < ENX_ABILITY_OPTIONS; i++)
            if (count + 1 >= a->tokens[i].count ||
                a->tokens[i].ids[count] != a->tokens[0].ids[count])
                return count > 0 ? count : 1;
}

static enx_status encode(asker *a, const enx_question *q, enx_report *report)
{
    char text[ENX_ABILITY_TEXT_BYTES_MAX + ENX_ABILITY_OPTION_BYTES_MAX];
    for (int i = 0; i < ENX_ABILITY_OPTIONS; i++) {
        const size_t size = (size_t)snprintf(text, sizeof text, "%s%s", q->text, q->options[i]);
        a->tokens[i].count = 0;
        if (enx_tokenizer_begin(a->loaded->tokenizer, text, size, &a->tokens[i]) != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for a question");
        ENX_TRY(
            enx_tokenizer_encode(a->loaded->tokenizer, text, size, false, &a->tokens[i], report));
    }
    return ENX_OK;
}

/* Score the four; *is_asked: they fit the context. */
static enx_status answer(asker *a, const enx_question *q, bool *is_asked, bool *is_right,
                         enx_report *report)
{
    ENX_TRY(encode(a, q, report));
    *is_asked = true;
    for (int i = 0; i < ENX_ABILITY_OPTIONS; i++)
        *is_asked &=
            a->tokens[i].count >= 2 && a->tokens[i].count < enx_engine_context_tokens(a->engine);
    if (!*is_asked) return ENX_OK;
    const size_t common = common_count(a);
    for (int i = 0; i < ENX_ABILITY_OPTIONS; i++) {
        const enx_request request = { .prompt = a->tokens[i].ids,
                                      .prompt_count = (uint32_t)common,
                                      .forced = a->tokens[i].ids + common,
                                      .forced_count = (uint32_t)(a->tokens[i].count - common),
                                      .eos = ENX_TOKEN_NONE,
                                      .user = &a->logprob[i] };
        a->logprob[i] = 0;
        ENX_TRY(enx_engine_submit(a->engine, &request, NULL, report));
    }
    while (enx_engine_step(a->engine, add_logprobs, a) > 0) continue;
    *is_right = true;
    for (int i = 1; i < ENX_ABILITY_OPTIONS; i++) *is_right &= a->logprob[0] > a->logprob[i];
    return ENX_OK;
}

static enx_status ask_all(asker *a, enx_ability *out, const enx_ability_options *o,
                          enx_report *report)
{
    for (int task = 0; task < ENX_ABILITY_TASKS; task++)
        for (int level = 0; level < ENX_ABILITY_LEVELS; level++)
            for (uint32_t i = 0; i < o->questions; i++) {
                enx_question q;
                bool         is_asked = false, is_right = false;
                if (task == ENX_ABILITY_NEXT_WORD && !o->words) continue;
                ENX_TRY(enx_ability_question(&q, (enx_ability_task)task, level, i, o, report));
                ENX_TRY(answer(a, &q, &is_asked, &is_right, report));
                out->asked[task][level] += is_asked;
                out->right[task][level] += is_asked && is_right;
            }
    return ENX_OK;
}

enx_status enx_ability_run(enx_ability *out, const enx_loaded *loaded,
                           const enx_ability_options *options, enx_report *report)
{
    asker                    a = { .loaded = loaded };
    const enx_engine_options engine = {
        .model = loaded->model, .slot_count = SLOTS, .pool = options->pool, .cpu = options->cpu
    };
    if (options->questions == 0 || options->questions > ENX_ABILITY_QUESTIONS_MAX)
        return ENX_FAIL(report, INVALID, "questions: from 1 to %d", ENX_ABILITY_QUESTIONS_MAX);
    *out = (enx_ability){ 0 };
    for (int i = 0; i < ENX_ABILITY_OPTIONS; i++) enx_tokens_init(&a.tokens[i], TOKENS_MAX);
    enx_status status = enx_engine_open(&a.engine, &engine, report);
    if (status == ENX_OK) status = ask_all(&a, out, options, report);
    enx_engine_close(&a.engine);
    for (int i = 0; i < ENX_ABILITY_OPTIONS; i++) enx_tokens_deinit(&a.tokens[i]);
    return status;
}
