/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - continuous batching.
 *
 * A sequence is a list of tokens: prompt, then outputs (forced ones first, then sampled).  Some
 * counters say how far it is:
 *
 *   tokens      P P P P F F S S            count: what is known
 *   drafted                 D D            behind those, guesses that may be judged
 *   evaluated   ------------>              rows that went through the model
 *   scored              ---->              outputs whose probability is known
 *
 * Prefill, scoring of forced tokens, and decoding are one thing: evaluate what is known and not
 * evaluated yet, then score or sample from the hidden states that this gives.
 *
 * (1) The row at position p predicts the token at p + 1; it needs a hidden state if and only if
 *     output p + 1 - prompt_count is not scored yet.
 * (2) The mask stands after `scored` outputs, always.
 * (3) A place where the mask allows one token needs no logits: its probability is 1.  Such tokens
 *     are appended at once, and evaluated together with the next one that is a real choice.
 * (4) Every running sequence has at least one row to evaluate, and gets at least one a step, unless
 *     it is paused.
 * (5) Draw n of a request is the n-th stream of its seed, so nothing else moves it.
 * (6) A row's numbers depend on the tokens before it alone, so a position that is filled for one
 *     sequence is passed over by all that share its page; one that has to give a hidden state is
 *     evaluated again, but not stored again.
 * (7) A guess is evaluated like any token.  The output at its place is settled first, as if there
 *     was no guess: if it is the same token, its row is already there; if not, this row and those
 *     after it count as never evaluated.  So guesses cannot be seen in what comes out.
 * (8) Pages for all that a sequence may become are taken when it is submitted, so that a running
 *     sequence never waits for memory.
 */
#include "engine/engine.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/draft.h"
#include "engine/prefix.h"
#include "engine/sampler.h"
#include "model/forward.h"

#include <string.h>

enum {
    SLOTS_DEFAULT = 16,
    PASS_ROWS = 128,     /* of a pass, where nobody says how many */
    PROMPT_SHARE = 4,    /* ... and of prompts so many for each that decodes, if that is more */
    PROMPT_ROWS = 256,   /* ... but no more than these */
    PIECE_ROWS = 32,     /* of a prompt, before another job has its turn */
    DRAFT_ROWS = 32,     /* a pass of so many rows takes little longer than one of few */
    KEPT_ALLOWED = 256,  /* allowed tokens that a slot remembers until its logits are there */
    FULL_HEAD_SHARE = 16, /* of the vocabulary; above it most panels of the head have one of them */
};

/* Requests that share rows with others as one. */
typedef struct job {
    uint64_t id;
    uint64_t rows; /* that it got beyond the first of each step */
    uint32_t running_count;
} job;

typedef struct slot {
    uint64_t    id;
    bool        is_used;
    bool        is_canceled;
    bool        is_paused;
    bool        is_done;
    bool        has_eos;
    bool        has_allowed; /* `allowed` is what the mask allows at output `scored` */
    enx_finish  finish;
    enx_request request; /* prompt and forced are not valid any more */
    uint32_t    count;
    uint32_t    drafted; /* guesses, from tokens[count] on */
    uint32_t    evaluated;
    uint32_t    scored;
    uint32_t    quota;                           /* rows in this step */
    uint32_t    evaluated_before, cached_before; /* this step */
    job        *job;
    uint32_t    proposed, accepted; /* guesses of this step */
    enx_drafter drafter;
    enx_chain   chain;
    uint32_t    allowed_count;
    enx_usage   usage;
    uint32_t   *tokens;   /* [context] */
    float      *logprobs; /* [context], by output */
    uint32_t   *best;     /* [context], by output */
    uint32_t    allowed[KEPT_ALLOWED];
} slot;

/* A hidden state that some output waits for. */
typedef struct want {
    uint32_t slot;
    uint32_t hidden;
    uint32_t output;
} want;

struct enx_engine {
    enx_engine_options options;
    uint32_t           pass_rows; /* of one, unless many decode; batch_tokens there can be */
    uint32_t           vocab_count;
    enx_forward       *forward; /* owned */
    enx_kv            *kv;      /* the forward pass's */
    enx_prefix        *prefix;  /* owned */
    enx_engine_counts  counts;
    const enx_kernels *kernels;
    uint64_t           next_id;
    uint64_t           memory_bytes;
    slot              *slots;     /* owned, [slot_count] */
    job               *jobs;      /* owned, [slot_count] */
    uint32_t          *token_mem; /* owned, three arrays of [slot_count][context] */
    uint32_t *id_mem;       /* owned, [HEAD_ROWS + 1][vocab]: allowed tokens, the last for order */
    float    *logit_mem;    /* owned, [HEAD_ROWS + 1][vocab]: the last for weights */
    float    *adjusted_mem; /* owned, [vocab]: logits after biases and penalties */
    enx_row  *rows;         /* owned, [batch] */
    want     *wants;        /* owned, [batch] */
};

/* ---- one sequence ------------------------------------------------------ */

/* Never more than the context holds: submit cuts max_tokens. */
static uint32_t output_max(const slot *s)
{
    return s->request.forced_count + s->request.max_tokens;
}

static void finish(slot *s, enx_finish how)
{
    s->is_done = true;
    s->finish = how;
}

static bool is_end(const enx_request *r, uint32_t token)
{
    return token == r->eos || (r->tokenizer && token < enx_tokenizer_count(r->tokenizer) &&
                               enx_tokenizer_is_end(r->tokenizer, token));
}

/* Forget the guesses that are left, and that they were evaluated. */
static void drop_drafts(slot *s)
{
    s->drafted = s->proposed = s->accepted = 0;
    if (s->evaluated > s->count) s->evaluated = s->count;
}

/* A token that was not known before; a guess at its place is right or wrong now.  (7) */
static void append(slot *s, uint32_t token)
{
    const bool is_right = s->drafted > 0 && s->tokens[s->count] == token;
    if (is_right) {
        s->drafted--;
        s->accepted++;
    } else {
        s->drafted = 0;
        if (s->evaluated > s->count) s->evaluated = s->count;
    }
    s->tokens[s->count++] = token;
}

/* Settle output `scored`: remember it, tell the mask and the listener, see whether that was all. */
static void settle(slot *s, uint32_t token, float logprob, uint32_t best)
{
    const bool is_sampled = s->scored >= s->request.forced_count;
    const bool is_eos = is_end(&s->request, token);
    s->logprobs[s->scored] = logprob;
    s->best[s->scored] = best;
    s->has_allowed = false;
    if (is_sampled) s->usage.tokens_out++;
    if (is_eos) {
        s->has_eos = true;
        finish(s, ENX_FINISH_STOP);
        return;
    }
    if (s->request.mask && !enx_mask_accept(s->request.mask, token)) {
        finish(s, ENX_FINISH_STUCK);
        return;
    }
    s->scored++;
    if (is_sampled) {
        append(s, token);
        if (s->request.on_token) s->request.on_token(s->request.user, token, logprob);
    }
    if (s->scored == output_max(s)) finish(s, ENX_FINISH_LENGTH);
}

/* Remember the likeliest of a place that is not forced, for who wants to know. */
static void list_top(const enx_engine *e, const slot *s, const enx_candidates *candidates)
{
    const enx_request *r = &s->request;
    if (!r->top || s->scored < r->forced_count) return;
    enx_sampler_top(e->kernels, candidates,
                    r->top + (size_t)(s->scored - r->forced_count) * r->top_count, r->top_count);
}

/* Is the text that comes next without choice?  Then settle its first token. */
static bool skip_forced(enx_engine *e, slot *s)
{
    const enx_request *r = &s->request;
    if (!r->skips_forced || r->sampling.bias_count || s->scored < r->forced_count) return false;
    const uint32_t id = enx_mask_forced(r->mask);
    if (id == ENX_TOKEN_NONE) return false;
    const float certain = 0;
    list_top(e, s, &(enx_candidates){ &certain, &id, 1 });
    settle(s, id, 0, id);
    e->counts.forced++;
    return true;
}

/* Settle the outputs at which the mask leaves no choice; then know what it allows next. */
static void advance(enx_engine *e, slot *s)
{
    while (s->request.mask && !s->is_done) {
        if (skip_forced(e, s)) continue;
        uint32_t    *ids = e->id_mem;
        const size_t count = enx_mask_allowed(s->request.mask, ids);
        const bool   is_forced = s->scored < s->request.forced_count;
        if (count > 1) {
            s->has_allowed = count <= KEPT_ALLOWED;
            s->allowed_count = (uint32_t)count;
            if (s->has_allowed) memcpy(s->allowed, ids, count * sizeof *ids);
            return;
        }
        if (count == 0 || (is_forced && s->tokens[s->request.prompt_count + s->scored] != ids[0]))
            finish(s, ENX_FINISH_STUCK);
        else {
            const float certain = 0;
            list_top(e, s, &(enx_candidates){ &certain, ids, 1 });
            settle(s, ids[0], 0, ids[0]);
            e->counts.forced++;
        }
    }
}

/* Rows that are still to be evaluated; the last possible output needs none after it. */
static uint32_t pending_count(const slot *s)
{
    const uint32_t needed = s->request.prompt_count + output_max(s) - 1;
    const uint32_t known = s->count + s->drafted;
    return (known < needed ? known : needed) - s->evaluated;
}

/* ---- filling the batch ------------------------------------------------- */

/* Does the row of a known token give a hidden state?  (1) */
static bool wants_hidden(const slot *s, uint32_t position)
{
    return position + 1 >= s->request.prompt_count + s->scored;
}

/* Is the next position filled, by whoever it was? */
static bool is_filled(const enx_engine *e, const slot *s)
{
    const uint32_t index = s->evaluated / ENX_KV_PAGE;
    return index < s->chain.tree_count &&
           enx_prefix_filled(e->prefix, s->chain.pages[index]) > s->evaluated % ENX_KV_PAGE;
}

/* Pass over what others were evaluated for.  (6) */
static void pass_filled(const enx_engine *e, slot *s)
{
    while (s->evaluated < s->count && !wants_hidden(s, s->evaluated) && is_filled(e, s)) {
        s->evaluated++;
        s->usage.tokens_cached++;
    }
}

/* Does `a` get rows for its prompt before b? */
static bool goes_first(const slot *a, const slot *b)
{
    if (!b) return true;
    if (a->request.priority != b->request.priority)
        return a->request.priority > b->request.priority;
    if (a->job->rows != b->job->rows) return a->job->rows < b->job->rows;
    return a->id < b->id;
}

/* The sequence that gets the next rows beyond its first; NULL: nobody wants any. */
static slot *next_to_serve(const enx_engine *e)
{
    slot *first = NULL;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        if (s->quota > 0 && s->quota < pending_count(s) && goes_first(s, first)) first = s;
    }
    return first;
}

/* Rows beyond the first of each sequence.  Each pass takes all that decode along once more, so
 * where they are many a prompt is read in few and large passes: its first token comes sooner, and
 * theirs are no later in the end. */
static uint32_t rows_left(const enx_engine *e, uint32_t first)
{
    const uint32_t beside = e->pass_rows > first ? e->pass_rows - first : 0;
    const uint32_t more = e->pass_rows < e->options.batch_tokens ? PROMPT_SHARE * first : 0;
    const uint32_t most = e->options.batch_tokens - first;
    const uint32_t rows = beside > more ? beside : more;
    return rows < most ? rows : most;
}

/* A row for each running sequence; the rest by priority, then job, then age, in pieces small enough
 * for jobs to take turns within a batch. */
static void share_rows(enx_engine *e)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        s->quota = s->is_used && !s->is_done && !s->is_paused ? 1 : 0;
        first += s->quota;
        s->evaluated_before = s->evaluated;
        s->cached_before = (uint32_t)s->usage.tokens_cached;
        if (s->quota) pass_filled(e, s);
    }
    slot    *s;
    uint32_t left = rows_left(e, first);
    while (left > 0 && (s = next_to_serve(e)) != NULL) {
        uint32_t more = pending_count(s) - s->quota;
        if (more > PIECE_ROWS) more = PIECE_ROWS;
        if (more > left) more = left;
        s->quota += more;
        s->job->rows += more;
        left -= more;
    }
}

/* Does the sequence wait for one output alone? */
static bool is_decoding(const slot *s)
{
    return s->quota == 1 && s->evaluated + 1 == s->count && s->drafted == 0;
}

/* Guesses, as long as the batch is small; each sequence that decodes gets as many. */
static void add_drafts(enx_engine *e)
{
    uint32_t used = 0, count = 0;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        const slot *s = &e->slots[i];
        used += s->quota;
        count += is_decoding(s) && s->request.drafts;
    }
    const uint32_t most =
        e->options.batch_tokens < DRAFT_ROWS ? e->options.batch_tokens : DRAFT_ROWS;
    if (count == 0 || used >= most) return;
    const uint32_t share = (most - used) / count;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        if (!is_decoding(s) || !s->request.drafts) continue;
        const uint32_t end = s->request.prompt_count + output_max(s) - 1;
        uint32_t       room = end - s->count < share ? end - s->count : share;
        if (room > ENX_DRAFT_MAX) room = ENX_DRAFT_MAX;
        const enx_draft_text text = { .tokens = s->tokens,
                                      .prompt_count = s->request.prompt_count,
                                      .count = s->count,
                                      .allowed = s->has_allowed ? s->allowed : NULL,
                                      .allowed_count = s->allowed_count };
        s->proposed = s->drafted =
            enx_drafter_propose(&s->drafter, &text, s->tokens + s->count, room);
        s->quota += s->drafted;
        e->counts.drafted += s->drafted;
    }
}

/* What became of the guesses of this step. */
static void judge_drafts(enx_engine *e)
{
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        if (!s->is_used || s->proposed == 0) continue;
        enx_drafter_learn(&s->drafter, s->proposed, s->accepted);
        e->counts.accepted += s->accepted;
        drop_drafts(s);
    }
}

/* The row of a sequence's next position. */
static void add_row(enx_engine *e, slot *s, uint32_t *row_count, uint32_t *want_count)
{
    const uint32_t position = s->evaluated, index = position / ENX_KV_PAGE;
    const bool     wants = wants_hidden(s, position), is_stored = is_filled(e, s);
    e->rows[(*row_count)++] = (enx_row){ .token = s->tokens[position],
                                         .slot = (uint32_t)(s - e->slots),
                                         .position = position,
                                         .wants_hidden = wants,
                                         .is_stored = is_stored };
    if (index < s->chain.tree_count && !is_stored)
        enx_prefix_set_filled(e->prefix, s->chain.pages[index], position % ENX_KV_PAGE + 1);
    s->evaluated++;
    if (!wants) return;
    e->wants[*want_count] = (want){ .slot = (uint32_t)(s - e->slots),
                                    .hidden = *want_count,
                                    .output = position + 1 - s->request.prompt_count };
    ++*want_count;
}

/* Returns how many rows; *want_count hidden states will come. */
static uint32_t fill_batch(enx_engine *e, uint32_t *want_count)
{
    uint32_t row_count = 0;
    *want_count = 0;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        for (uint32_t n = 0; n < s->quota; n++) {
            pass_filled(e, s); /* by rows of this very batch, too */
            if (pending_count(s) == 0) break;
            add_row(e, s, &row_count, want_count);
        }
    }
    return row_count;
}

/* Count the rows of a batch that went through. */
static void count_rows(enx_engine *e, uint32_t row_count)
{
    uint32_t size = 0;
    while (size + 1 < ENX_ENGINE_BATCHES && row_count > UINT32_C(1) << size) size++;
    e->counts.batches[size]++;
    e->counts.steps++;
    e->counts.rows += row_count;
    for (uint32_t i = 0; i < row_count; i++) {
        slot *s = &e->slots[e->rows[i].slot];
        if (e->rows[i].position < s->request.prompt_count + s->request.forced_count)
            s->usage.tokens_in++;
    }
}

/* The batch came to nothing: its rows are to be evaluated again. */
static void take_back(enx_engine *e, uint32_t row_count)
{
    for (uint32_t i = row_count; i > 0; i--) {
        const enx_row   *row = &e->rows[i - 1];
        const enx_chain *chain = &e->slots[row->slot].chain;
        const uint32_t   index = row->position / ENX_KV_PAGE;
        if (index < chain->tree_count && !row->is_stored)
            enx_prefix_set_filled(e->prefix, chain->pages[index], row->position % ENX_KV_PAGE);
    }
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        if (!s->quota) continue;
        s->evaluated = s->evaluated_before;
        s->drafted = s->proposed = 0;
        s->usage.tokens_cached = s->cached_before;
    }
}

/* ---- scoring and sampling ---------------------------------------------- */

/* Of no layer, and neither weights nor keys. */
static void add_time(const enx_engine *e, enx_phase phase, uint64_t since_ns)
{
    enx_profile *profile = e->options.profile;
    if (profile)
        enx_profile_add(profile, profile->layer_count, phase, since_ns, (enx_profile_work){ 0 });
}

/* One output whose logits are computed together with others. */
typedef struct place {
    slot     *s;
    uint32_t  output;
    uint32_t  hidden;
    uint32_t *ids; /* allowed tokens; NULL: all */
    uint32_t  count;
    bool      is_full; /* all logits are computed, then the allowed ones picked */
    float    *logits;  /* [count] of the allowed */
} place;

static void set_place(const enx_engine *e, place *p, const want *w, uint32_t index)
{
    slot *s = &e->slots[w->slot];
    *p = (place){
        .s = s, .output = w->output, .hidden = w->hidden, .count = e->vocab_count, .is_full = true
    };
    if (!s->request.mask) return;
    p->ids = e->id_mem + (size_t)index * e->vocab_count;
    if (s->has_allowed) {
        p->count = s->allowed_count;
        memcpy(p->ids, s->allowed, p->count * sizeof *p->ids);
    } else {
        const uint64_t start_ns = enx_profile_now(e->options.profile);
        p->count = (uint32_t)enx_mask_allowed(s->request.mask, p->ids);
        add_time(e, ENX_PHASE_MASK, start_ns);
    }
    p->is_full = p->count > e->vocab_count / FULL_HEAD_SHARE;
}

/* Logits of all places: one product for those that need the whole vocabulary. */
static void compute_logits(const enx_engine *e, place *places, uint32_t place_count)
{
    uint32_t full[ENX_FORWARD_HEAD_ROWS], full_count = 0;
    for (uint32_t i = 0; i < place_count; i++) {
        place *p = &places[i];
        if (!p->is_full) continue;
        p->logits = e->logit_mem + (size_t)full_count * e->vocab_count;
        full[full_count++] = p->hidden;
    }
    if (full_count) enx_forward_logits(e->forward, full, full_count, e->logit_mem);
    for (uint32_t i = 0, next = full_count; i < place_count; i++) {
        place *p = &places[i];
        if (!p->is_full) {
            p->logits = e->logit_mem + (size_t)next++ * e->vocab_count;
            enx_forward_logits_of(e->forward, p->hidden, p->ids, p->count, p->logits);
        } else if (p->ids) { /* in place: ids rise, so nothing is overwritten before it is read */
            for (uint32_t c = 0; c < p->count; c++) p->logits[c] = p->logits[p->ids[c]];
        }
    }
}

/* The row of id_mem and logit_mem that no place uses. */
static size_t scratch_at(const enx_engine *e)
{
    return (size_t)ENX_FORWARD_HEAD_ROWS * e->vocab_count;
}

/* Choose among the candidates of a place that is not forced. */
static enx_choice sample(const enx_engine *e, const slot *s, const enx_candidates *candidates)
{
    const enx_sampling       *sampling = &s->request.sampling;
    const enx_sampler_scratch scratch = { .order = e->id_mem + scratch_at(e),
                                          .weights = e->logit_mem + scratch_at(e),
                                          .adjusted = e->adjusted_mem };
    enx_rng                   rng = enx_rng_open(sampling->seed, s->scored);
    return enx_sampler_pick(e->kernels, sampling, candidates, s->tokens, s->count,
                            enx_rng_unit(&rng), &scratch);
}

/* What comes at a place; the index is count where a forced token is not allowed. */
static enx_choice choose(const enx_engine *e, const place *p)
{
    const slot          *s = p->s;
    const enx_candidates candidates = { p->logits, p->ids, p->count };
    if (s->scored >= s->request.forced_count) {
        list_top(e, s, &candidates);
        return sample(e, s, &candidates);
    }
    enx_choice choice = { .index = enx_candidates_find(
                              &candidates, s->tokens[s->request.prompt_count + s->scored]) };
    if (choice.index == p->count) return choice;
    choice.logprob = enx_sampler_logprob(e->kernels, p->logits, p->count, choice.index);
    choice.best_index = e->kernels->argmax(p->logits, p->count);
    return choice;
}

static void settle_place(const enx_engine *e, const place *p)
{
    slot            *s = p->s;
    const uint64_t   start_ns = enx_profile_now(e->options.profile);
    const enx_choice choice = choose(e, p);
    add_time(e, ENX_PHASE_SAMPLE, start_ns);
    if (choice.index == p->count) {
        finish(s, ENX_FINISH_STUCK);
        return;
    }
    const uint32_t token = p->ids ? p->ids[choice.index] : (uint32_t)choice.index;
    const uint32_t best = p->ids ? p->ids[choice.best_index] : (uint32_t)choice.best_index;
    const uint64_t chosen_ns = enx_profile_now(e->options.profile);
    settle(s, token, choice.logprob, best);
    if (s->request.mask) add_time(e, ENX_PHASE_MASK, chosen_ns);
}

/* Is the output still to be settled, from a row that counts?  (7) */
static bool is_open(const slot *s, uint32_t output)
{
    return !s->is_done && output >= s->scored && output + s->request.prompt_count <= s->evaluated;
}

/* Settle the next few wanted outputs; returns the first that is left.  At most one place of a
 * masked sequence at a time: the mask has to move before it says what comes next. */
static uint32_t settle_some(enx_engine *e, uint32_t next, uint32_t want_count)
{
    place    places[ENX_FORWARD_HEAD_ROWS];
    uint32_t place_count = 0;
    for (; next < want_count && place_count < ENX_FORWARD_HEAD_ROWS; next++) {
        const want *w = &e->wants[next];
        slot       *s = &e->slots[w->slot];
        if (!is_open(s, w->output)) continue;
        if (s->request.mask && place_count > 0 && places[place_count - 1].s == s) break;
        set_place(e, &places[place_count], w, place_count);
        place_count++;
    }
    compute_logits(e, places, place_count);
    for (uint32_t i = 0; i < place_count; i++)
        if (is_open(places[i].s, places[i].output)) settle_place(e, &places[i]);
    for (uint32_t i = 0; i < place_count; i++) {
        if (places[i].s->is_done || !places[i].s->request.mask) continue;
        const uint64_t start_ns = enx_profile_now(e->options.profile);
        advance(e, places[i].s);
        add_time(e, ENX_PHASE_MASK, start_ns);
    }
    return next;
}

/* ---- steps ------------------------------------------------------------- */

static void deliver(enx_engine *e, slot *s, enx_generation_fn on_done, void *owner)
{
    const enx_generation generation = { .id = s->id,
                                        .user = s->request.user,
                                        .tokens = s->tokens + s->request.prompt_count,
                                        .logprobs = s->logprobs,
                                        .best = s->best,
                                        .token_count = s->scored,
                                        .has_eos = s->has_eos,
                                        .finish = s->finish,
                                        .usage = s->usage };
    enx_prefix_release(e->prefix, &s->chain, s->tokens, s->evaluated);
    e->counts.requests++;
    e->counts.canceled += s->finish == ENX_FINISH_CANCELED;
    e->counts.tokens_in += s->usage.tokens_in;
    e->counts.tokens_cached += s->usage.tokens_cached;
    e->counts.prefix_hits += s->usage.tokens_cached > 0;
    e->counts.tokens_out += s->usage.tokens_out;
    if (on_done) on_done(owner, &generation);
    s->job->running_count--;
    s->is_used = false;
}

/* Evaluate the next batch and settle what it decides. */
static void run_batch(enx_engine *e)
{
    uint32_t want_count = 0;
    share_rows(e);
    add_drafts(e);
    const uint32_t row_count = fill_batch(e, &want_count);
    if (row_count == 0) return; /* all are paused, or canceled */
    const uint32_t hidden_count = enx_forward_run(e->forward, e->rows, row_count);
    if (hidden_count == 0 && enx_forward_was_interrupted(e->forward)) {
        take_back(e, row_count);
        return;
    }
    ENX_CHECK(hidden_count == want_count);
    count_rows(e, row_count);
    for (uint32_t next = 0; next < want_count;) next = settle_some(e, next, want_count);
    judge_drafts(e);
}

uint32_t enx_engine_step(enx_engine *e, enx_generation_fn on_done, void *owner)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        slot *s = &e->slots[i];
        if (s->is_used && s->is_canceled && !s->is_done) finish(s, ENX_FINISH_CANCELED);
    }
    run_batch(e);
    for (uint32_t i = 0; i < e->options.slot_count; i++)
        if (e->slots[i].is_used && e->slots[i].is_done) deliver(e, &e->slots[i], on_done, owner);
    for (uint32_t i = 0; i < e->options.slot_count; i++) running += e->slots[i].is_used;
    return running;
}

/* ---- requests ---------------------------------------------------------- */

static enx_status check_tokens(const enx_engine *e, const char *name, const uint32_t *tokens,
                               uint32_t count, enx_report *report)
{
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] >= e->vocab_count)
            return ENX_FAIL(report, INVALID, "token %u of the %s is %u; the vocabulary ends at %u",
                            i, name, tokens[i], e->vocab_count - 1);
    return ENX_OK;
}

static slot *find_slot(enx_engine *e)
{
    for (uint32_t i = 0; i < e->options.slot_count; i++)
        if (!e->slots[i].is_used) return &e->slots[i];
    return NULL;
}

/* The job of that number; one that is new begins where the others are. */
static job *find_job(enx_engine *e, uint64_t id)
{
    job     *unused = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < e->options.slot_count; i++) {
        job *j = &e->jobs[i];
        if (j->running_count == 0) {
            if (!unused) unused = j;
            continue;
        }
        if (j->id == id) return j;
        if (j->rows < least) least = j->rows;
    }
    ENX_CHECK(unused); /* no more jobs than slots */
    *unused = (job){ .id = id, .rows = least == UINT64_MAX ? 0 : least };
    return unused;
}

static enx_status check_request(const enx_engine *e, const enx_request *r, enx_report *report)
{
    if (r->prompt_count == 0)
        return ENX_FAIL(report, INVALID, "the prompt is empty; at least one token is needed");
    const uint64_t needed = (uint64_t)r->prompt_count + r->forced_count + 1;
    if (needed > e->options.context_tokens)
        return ENX_FAIL(report, LIMIT,
                        "prompt and output need %llu tokens at least, the context holds %u",
                        (unsigned long long)needed, e->options.context_tokens);
    ENX_TRY(check_tokens(e, "prompt", r->prompt, r->prompt_count, report));
    ENX_TRY(check_tokens(e, "forced output", r->forced, r->forced_count, report));
    ENX_TRY(check_tokens(e, "guess", r->guess, r->guess_count, report));
    for (uint32_t i = 0; i < r->sampling.bias_count; i++)
        ENX_TRY(check_tokens(e, "logit bias", &r->sampling.biases[i].token, 1, report));
    return ENX_OK;
}

/* Positions that a sequence may fill: the last possible output is not evaluated. */
static uint32_t positions_max(const enx_engine *e, const enx_request *r)
{
    const uint64_t most = (uint64_t)r->prompt_count + r->forced_count + r->max_tokens;
    return most < e->options.context_tokens ? (uint32_t)most : e->options.context_tokens;
}

/* Pages for all that the sequence may become, and what another one left in them. */
static enx_status take_pages(enx_engine *e, slot *s, const enx_request *r, enx_report *report)
{
    enx_chain      chain = { .pages = enx_kv_table(e->kv, (uint32_t)(s - e->slots)) };
    const uint32_t most = positions_max(e, r), pages = enx_kv_page_count(e->kv);
    if ((most + ENX_KV_PAGE - 1) / ENX_KV_PAGE > pages)
        return ENX_FAIL(report, LIMIT, "a sequence of %u tokens, and keys and values of %u fit",
                        most, pages * ENX_KV_PAGE);
    if (!enx_prefix_take(e->prefix, r->prompt, r->prompt_count, most, &chain)) {
        e->counts.refused++;
        return ENX_FAIL(report, AGAIN, "%u of %u pages are free; step first",
                        enx_prefix_available(e->prefix), pages);
    }
    if (chain.copy_from != ENX_PREFIX_NO_PAGE && chain.copy_from != chain.pages[chain.copy_index])
        enx_kv_copy_page(e->kv, chain.pages[chain.copy_index], chain.copy_from);
    s->chain = chain;
    return ENX_OK;
}

/* A slot with the request's tokens in it. */
static void fill_slot(enx_engine *e, slot *s, const enx_request *r)
{
    const uint32_t known = s->chain.known_count;
    *s = (slot){ .id = ++e->next_id,
                 .is_used = true,
                 .request = *r,
                 .count = r->prompt_count + r->forced_count,
                 .evaluated = known,
                 .usage = { .tokens_cached = known },
                 .chain = s->chain,
                 .job = find_job(e, r->job),
                 .tokens = s->tokens,
                 .logprobs = s->logprobs,
                 .best = s->best };
    s->job->running_count++;
    memcpy(s->tokens, r->prompt, r->prompt_count * sizeof *s->tokens);
    if (r->forced_count)
        memcpy(s->tokens + r->prompt_count, r->forced, r->forced_count * sizeof *s->tokens);
    const uint32_t room = e->options.context_tokens - s->count;
    if (s->request.max_tokens > room) s->request.max_tokens = room;
}

enx_status enx_engine_submit(enx_engine *e, const enx_request *request, uint64_t *id,
                             enx_report *report)
{
    ENX_CHECK(e && request);
    ENX_TRY(check_request(e, request, report));
    slot *s = find_slot(e);
    if (!s) {
        e->counts.refused++;
        return ENX_FAIL(report, AGAIN, "all %u slots are taken; step first", e->options.slot_count);
    }
    ENX_TRY(take_pages(e, s, request, report));
    fill_slot(e, s, request);
    s->drafter = (enx_drafter){ .guess = request->guess, .guess_count = request->guess_count };
    if (output_max(s) == 0) finish(s, ENX_FINISH_LENGTH);
    if (request->mask) enx_mask_reset(request->mask);
    advance(e, s);
    if (id) *id = s->id;
    return ENX_OK;
}

void enx_engine_cancel(enx_engine *e, uint64_t id)
{
    for (uint32_t i = 0; i < e->options.slot_count; i++)
        if (e->slots[i].is_used && e->slots[i].id == id) e->slots[i].is_canceled = true;
}

void enx_engine_pause(enx_engine *e, uint64_t id, bool is_paused)
{
    for (uint32_t i = 0; i < e->options.slot_count; i++)
        if (e->slots[i].is_used && e->slots[i].id == id) e->slots[i].is_paused = is_paused;
}

void enx_engine_cancel_all(enx_engine *e)
{
    for (uint32_t i = 0; i < e->options.slot_count; i++) e->slots[i].is_canceled = true;
}

void enx_engine_interrupt(enx_engine *e) { enx_forward_interrupt(e->forward); }

enx_engine_counts enx_engine_count(const enx_engine *e)
{
    enx_engine_counts counts = e->counts;
    enx_kv_reads(e->kv, &counts.keys_read, &counts.keys_seen);
    counts.sequences = e->options.slot_count - enx_engine_free_slots(e);
    counts.pages = enx_kv_page_count(e->kv);
    counts.pages_remembered = enx_prefix_remembered(e->prefix);
    counts.evicted = enx_prefix_evicted(e->prefix);
    counts.pages_free = enx_prefix_available(e->prefix) - counts.pages_remembered;
    return counts;
}

uint32_t enx_engine_free_slots(const enx_engine *e)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->options.slot_count; i++) count += !e->slots[i].is_used;
    return count;
}

uint32_t enx_engine_context_tokens(const enx_engine *e) { return e->options.context_tokens; }

uint64_t enx_engine_page_bytes(const enx_engine *e) { return enx_kv_page_bytes(e->kv); }

uint64_t enx_engine_memory_bytes(const enx_engine *e) { return e->memory_bytes; }

/* ---- opening ----------------------------------------------------------- */

static enx_status check_options(enx_engine *e, enx_report *report)
{
    enx_engine_options *o = &e->options;
    if (o->slot_count == 0) o->slot_count = SLOTS_DEFAULT;
    if (o->context_tokens == 0) o->context_tokens = enx_model_hparams(o->model)->context_tokens;
    if (o->slot_count > ENX_ENGINE_SLOTS_MAX)
        return ENX_FAIL(report, LIMIT, "%u slots were asked for, at most %d are possible",
                        o->slot_count, ENX_ENGINE_SLOTS_MAX);
    if (o->context_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, LIMIT,
                        "a context of %u tokens was asked for, at most %d are possible",
                        o->context_tokens, ENX_ENGINE_CONTEXT_MAX);
    const bool is_open = o->batch_tokens == 0;
    if (is_open) o->batch_tokens = o->slot_count + PROMPT_ROWS;
    if (o->batch_tokens < o->slot_count) o->batch_tokens = o->slot_count; /* (4) */
    e->pass_rows = is_open ? PASS_ROWS : o->batch_tokens;
    const uint64_t context = (o->context_tokens + ENX_KV_PAGE - 1) / ENX_KV_PAGE * ENX_KV_PAGE;
    if (o->cache_tokens == 0) /* whole pages for every slot: what is remembered has to give way */
        o->cache_tokens = (uint32_t)context * o->slot_count;
    if (o->cache_bytes == 0) return ENX_OK;
    const uint64_t page_bytes = enx_kv_page_size(enx_model_hparams(o->model), o->cache);
    const uint64_t fitting = o->cache_bytes / page_bytes * ENX_KV_PAGE;
    if (fitting < o->cache_tokens)
        o->cache_tokens = (uint32_t)(fitting > context ? fitting : context);
    return ENX_OK;
}

static void *take(enx_engine *e, size_t count, size_t size_bytes)
{
    e->memory_bytes += count * size_bytes;
    return enx_mem_new(count, size_bytes);
}

static enx_status take_memory(enx_engine *e, enx_report *report)
{
    const size_t context = e->options.context_tokens, slots = e->options.slot_count;
    const size_t candidates = (ENX_FORWARD_HEAD_ROWS + 1) * (size_t)e->vocab_count;
    e->slots = take(e, slots, sizeof *e->slots);
    e->jobs = take(e, slots, sizeof *e->jobs);
    e->token_mem = take(e, 3 * slots * context, sizeof *e->token_mem);
    e->id_mem = take(e, candidates, sizeof *e->id_mem);
    e->logit_mem = take(e, candidates, sizeof *e->logit_mem);
    e->adjusted_mem = take(e, e->vocab_count, sizeof *e->adjusted_mem);
    e->rows = take(e, e->options.batch_tokens, sizeof *e->rows);
    e->wants = take(e, e->options.batch_tokens, sizeof *e->wants);
    if (!e->slots || !e->jobs || !e->token_mem || !e->id_mem || !e->logit_mem || !e->adjusted_mem ||
        !e->rows || !e->wants)
        return ENX_FAIL(report, NOMEM,
                        "no memory for %llu KiB of sequences and logits; "
                        "ask for fewer slots or a shorter context",
                        (unsigned long long)(e->memory_bytes >> 10));
    for (size_t i = 0; i < slots; i++) {
        e->slots[i].tokens = e->token_mem + i * context;
        e->slots[i].best = e->token_mem + (slots + i) * context;
        e->slots[i].logprobs = (float *)(e->token_mem + 2 * slots * context) + i * context;
    }
    return ENX_OK;
}

enx_status enx_engine_open(enx_engine **out, const enx_engine_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->model);
    enx_engine *e = ENX_MEM_NEW(enx_engine, 1);
    if (!e) return ENX_FAIL(report, NOMEM, "no memory for an engine");
    e->options = *options;
    e->vocab_count = enx_model_hparams(options->model)->vocab_count;
    enx_status status = check_options(e, report);
    if (status != ENX_OK) goto done;
    const enx_forward_options forward = { .model = options->model,
                                          .slot_count = e->options.slot_count,
                                          .context_tokens = e->options.context_tokens,
                                          .batch_tokens = e->options.batch_tokens,
                                          .page_count = e->options.cache_tokens / ENX_KV_PAGE,
                                          .cpu_flags = enx_cpu_detect(options->cpu),
                                          .pool = options->pool,
                                          .cache = options->cache,
                                          .profile = options->profile };
    status = enx_forward_open(&e->forward, &forward, report);
    if (status != ENX_OK) goto done;
    e->kv = enx_forward_kv(e->forward);
    e->kernels = enx_forward_kernels(e->forward);
    status = enx_prefix_open(&e->prefix, enx_kv_page_count(e->kv), report);
    if (status != ENX_OK) goto done;
    e->memory_bytes =
        sizeof *e + enx_forward_memory_bytes(e->forward) + enx_prefix_memory_bytes(e->prefix);
    status = take_memory(e, report);
    if (status != ENX_OK) goto done;
    *out = e;
    return ENX_OK;

done:
    enx_engine_close(&e);
    return status;
}

void enx_engine_close(enx_engine **handle)
{
    enx_engine *e = *handle;
    if (!e) return;
    enx_forward_close(&e->forward);
    enx_prefix_close(&e->prefix);
    enx_mem_free(e->slots);
    enx_mem_free(e->jobs);
    enx_mem_free(e->token_mem);
    enx_mem_free(e->id_mem);
    enx_mem_free(e->logit_mem);
    enx_mem_free(e->adjusted_mem);
    enx_mem_free(e->rows);
    enx_mem_free(e->wants);
    enx_mem_free(e);
    *handle = NULL;
}
