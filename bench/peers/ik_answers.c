/* SPDX-License-Identifier: Apache-2.0 */
/* ik_answers.c - ik_llama.cpp answering many prompts at a time, through its library.
 *
 *     ik_answers MODEL.gguf THREADS WIDTH WORK [GRAMMAR]
 *
 * WORK is a file of lines.  The first has the tokens that all prompts begin with, perhaps none;
 * each other one how many tokens an answer may have, and what its prompt goes on with.  Prints a
 * JSON object: `seconds`, from the first prompt to the last answer, the common beginning being
 * known, of the processor's time with one thread; and `answers`, their tokens.
 *
 * It is done as that library does it best: one batch of all sequences, which share the beginning's
 * cells; the likeliest token is tried under the grammar alone, and all others only if it fails.
 */
#include <llama.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 1 << 16, PROMPTS_MAX = 4096, BATCH = 512, GRAMMAR_BYTES_MAX = 1 << 16 };

typedef struct prompt {
    llama_token *tokens, *answer;
    int          count, most, answer_count;
} prompt;

/* A sequence that is under way. */
typedef struct place {
    prompt               *p;       /* NULL: it is free */
    int                   read;    /* tokens of the prompt that are in a batch or behind */
    int                   row;     /* of this batch, whose logits it waits for; -1: none */
    struct llama_grammar *grammar; /* owned; NULL: everything goes */
} place;

typedef struct bench {
    struct llama_model         *model;
    struct llama_context       *context;
    const struct llama_grammar *grammar; /* NULL: none */
    struct llama_batch          batch;
    llama_token_data           *candidates;
    prompt                      shared, prompts[PROMPTS_MAX];
    int                         count, next, width, vocab;
    place                      *places;
} bench;

static void fail(const char *why)
{
    fprintf(stderr, "ik_answers: %s\n", why);
    exit(EXIT_FAILURE);
}

static double seconds_now(int threads)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory) fail("no memory");
    return memory;
}

static void read_prompt(prompt *p, char *line, bool has_most)
{
    char *at = line, *end;
    if (has_most) p->most = (int)strtol(at, &at, 10);
    p->tokens = take(strlen(line) / 2 + 1, sizeof *p->tokens);
    p->answer = take((size_t)p->most, sizeof *p->answer);
    for (;; at = end) {
        const long id = strtol(at, &end, 10);
        if (end == at) return;
        p->tokens[p->count++] = (llama_token)id;
    }
}

static void read_work(bench *b, const char *path)
{
    static char line[LINE_MAX_BYTES];
    FILE       *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) fail("the work cannot be read");
    read_prompt(&b->shared, line, false);
    while (b->count < PROMPTS_MAX && fgets(line, sizeof line, file))
        read_prompt(&b->prompts[b->count++], line, true);
    fclose(file);
}

static void open_grammar(bench *b, const char *path)
{
    static char text[GRAMMAR_BYTES_MAX];
    FILE       *file = fopen(path, "r");
    if (!file || fread(text, 1, sizeof text - 1, file) == 0) fail("the grammar cannot be read");
    fclose(file);
    b->grammar = llama_sampler_init_grammar(llama_model_get_vocab(b->model), text, "root");
    if (!b->grammar) fail("the grammar is refused");
}

static void open_model(bench *b, const char *path, int threads)
{
    int own = 0;
    for (int i = 0; i < b->count; i++) {
        const int needs = b->prompts[i].count + b->prompts[i].most;
        if (needs > own) own = needs;
    }
    b->model = llama_model_load_from_file(path, llama_model_default_params());
    if (!b->model) fail("the model cannot be loaded");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)(b->shared.count + b->width * own + BATCH);
    params.n_batch = params.n_ubatch = BATCH;
    params.n_seq_max = (uint32_t)b->width + 1;
    params.n_threads = params.n_threads_batch = (uint32_t)threads;
    b->context = llama_init_from_model(b->model, params);
    if (!b->context) fail("no context");
    b->vocab = llama_n_vocab(b->model);
    b->candidates = take((size_t)b->vocab, sizeof *b->candidates);
    b->batch = llama_batch_init(BATCH, 0, 1);
}

static void add_row(bench *b, llama_token token, int position, int sequence, bool wants)
{
    const int row = b->batch.n_tokens++;
    b->batch.token[row] = token;
    b->batch.pos[row] = position;
    b->batch.n_seq_id[row] = 1;
    b->batch.seq_id[row][0] = sequence;
    b->batch.logits[row] = wants;
}

static void evaluate(bench *b)
{
    if (b->batch.n_tokens > 0 && llama_decode(b->context, b->batch) != 0) fail("decoding failed");
}

/* The beginning lies in a sequence of its own, behind the places'. */
static void learn_shared(bench *b)
{
    for (int i = 0; i < b->shared.count; i += BATCH) {
        b->batch.n_tokens = 0;
        for (int j = i; j < b->shared.count && j < i + BATCH; j++)
            add_row(b, b->shared.tokens[j], j, b->width, false);
        evaluate(b);
    }
}

static void begin(bench *b, int sequence)
{
    place *at = &b->places[sequence];
    *at = (place){ .p = &b->prompts[b->next++], .row = -1 };
    llama_kv_cache_seq_rm(b->context, sequence, -1, -1);
    llama_kv_cache_seq_cp(b->context, b->width, sequence, 0, b->shared.count);
    if (b->grammar) at->grammar = llama_grammar_copy(b->grammar);
}

/* A row for each that decodes; the rest for prompts, in order. */
static void fill_batch(bench *b)
{
    b->batch.n_tokens = 0;
    for (int i = 0; i < b->width; i++) {
        place *at = &b->places[i];
        if (!at->p || at->read < at->p->count) continue;
        const int written = at->p->answer_count;
        at->row = b->batch.n_tokens;
        add_row(b, at->p->answer[written - 1], b->shared.count + at->p->count + written - 1, i,
                true);
    }
    for (int i = 0; i < b->width; i++) {
        place *at = &b->places[i];
        if (!at->p) continue;
        while (at->read < at->p->count && b->batch.n_tokens < BATCH) {
            const bool is_last = at->read + 1 == at->p->count;
            if (is_last) at->row = b->batch.n_tokens;
            add_row(b, at->p->tokens[at->read], b->shared.count + at->read, i, is_last);
            at->read++;
        }
    }
}

static llama_token likeliest(const float *logits, int count)
{
    llama_token best = 0;
    for (int i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* The likeliest token that the grammar allows. */
static llama_token choose(bench *b, const place *at)
{
    const float      *logits = llama_get_logits_ith(b->context, at->row);
    const llama_token best = likeliest(logits, b->vocab);
    if (!at->grammar) return best;
    llama_token_data       one = { best, logits[best], 0 };
    llama_token_data_array only = { &one, 1, -1, false };
    llama_grammar_apply(at->grammar, b->context, &only);
    if (!isinf(one.logit)) return best;
    for (int i = 0; i < b->vocab; i++) b->candidates[i] = (llama_token_data){ i, logits[i], 0 };
    llama_token_data_array all = { b->candidates, (size_t)b->vocab, -1, false };
    llama_grammar_apply(at->grammar, b->context, &all);
    size_t allowed = 0;
    for (size_t i = 1; i < all.size; i++)
        if (all.data[i].logit > all.data[allowed].logit) allowed = i;
    return all.data[allowed].id;
}

static void settle(bench *b, place *at)
{
    const llama_token token = choose(b, at);
    prompt           *p = at->p;
    at->row = -1;
    const bool is_end = llama_token_is_eog(b->model, token);
    if (!is_end) {
        p->answer[p->answer_count++] = token;
        if (at->grammar) llama_grammar_accept_token(at->grammar, b->context, token);
    }
    if (!is_end && p->answer_count < p->most) return;
    if (at->grammar) llama_grammar_free(at->grammar);
    at->grammar = NULL;
    at->p = NULL;
}

static void answer_all(bench *b)
{
    for (;;) {
        for (int i = 0; i < b->width && b->next < b->count; i++)
            if (!b->places[i].p) begin(b, i);
        fill_batch(b);
        if (b->batch.n_tokens == 0) return;
        evaluate(b);
        for (int i = 0; i < b->width; i++)
            if (b->places[i].p && b->places[i].row >= 0) settle(b, &b->places[i]);
    }
}

static void print_answers(const bench *b, double seconds)
{
    printf("{\"seconds\": %.6f, \"answers\": [", seconds);
    for (int i = 0; i < b->count; i++) {
        printf("%s[", i ? ", " : "");
        for (int j = 0; j < b->prompts[i].answer_count; j++)
            printf("%s%d", j ? ", " : "", b->prompts[i].answer[j]);
        printf("]");
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static bench b;
    if (argc < 5) fail("usage: ik_answers MODEL.gguf THREADS WIDTH WORK [GRAMMAR]");
    const int threads = (int)strtol(argv[2], NULL, 10);
    b.width = (int)strtol(argv[3], NULL, 10);
    if (threads < 1 || b.width < 1) fail("threads and width are at least 1");
    b.places = take((size_t)b.width, sizeof *b.places);
    read_work(&b, argv[4]);
    llama_backend_init();
    open_model(&b, argv[1], threads);
    if (argc > 5) open_grammar(&b, argv[5]);
    learn_shared(&b);
    const double start = seconds_now(threads);
    answer_all(&b);
    print_answers(&b, seconds_now(threads) - start);
    return EXIT_SUCCESS; /* the system takes back what is left */
}
