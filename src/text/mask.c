/* SPDX-License-Identifier: Apache-2.0 */
/* mask.c - the walk of an automaton over the tree of all tokens. */
#include "text/mask.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/dfa.h"

#include <stdlib.h>
#include <string.h>

/* 17 bytes each: 272 MB at the limit; a vocabulary of 150,000 tokens has about half a million. */
enum { TRIE_NODES_MAX = 1 << 24, STATE_ALIGN_BYTES = 16, FORCED_BYTES_MAX = 256 };

/* Children are nodes[first_child .. + child_count) in byte order, and their bytes lie side by
 * side in labels[], so that scanning them touches few lines.  What is below a node comes before
 * what is below its later siblings: a walk over everything goes forward through memory. */
typedef struct node {
    uint32_t first_child, child_count;
    uint32_t first_id, id_count; /* tokens that end here: ids[first_id .. + id_count) */
} node;

struct enx_trie {
    node     *nodes;
    uint8_t  *labels; /* [node_count]: the byte that leads to each node */
    uint32_t *ids;    /* [id_count] in order of their bytes */
    uint32_t  node_count, id_count, vocab_count;
    uint32_t  depth; /* bytes of the longest token */
};

typedef struct entry {
    const uint8_t *data;
    uint32_t       size_bytes, id;
} entry;

static int compare_bytes(const entry *a, const entry *b)
{
    const uint32_t common = a->size_bytes < b->size_bytes ? a->size_bytes : b->size_bytes;
    const int      order = memcmp(a->data, b->data, common);
    if (order != 0) return order;
    return (a->size_bytes > b->size_bytes) - (a->size_bytes < b->size_bytes);
}

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    const int    order = compare_bytes(a, b);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

/* ---- building ---- */

/* The tokens that can be written, in order of their bytes; returns how many. */
static uint32_t collect_entries(entry *entries, const enx_tokenizer *tokenizer)
{
    const uint32_t vocab_count = enx_tokenizer_count(tokenizer);
    uint32_t       count = 0;
    for (uint32_t id = 0; id < vocab_count; id++) {
        if (enx_tokenizer_is_control(tokenizer, id) || id == enx_tokenizer_eos(tokenizer)) continue;
        const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, id);
        if (bytes.size_bytes == 0) continue;
        entries[count++] = (entry){ .data = (const uint8_t *)bytes.data,
                                    .size_bytes = (uint32_t)bytes.size_bytes,
                                    .id = id };
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    return count;
}

static uint64_t count_nodes(const entry *entries, uint32_t count)
{
    uint64_t nodes = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t shared = 0;
        while (i > 0 && shared < entries[i].size_bytes && shared < entries[i - 1].size_bytes &&
               entries[i].data[shared] == entries[i - 1].data[shared])
            shared++;
        nodes += entries[i].size_bytes - shared;
    }
    return nodes;
}

/* Settle one node at `depth`; until then first_id and id_count are the range of its entries. */
static void settle_node(enx_trie *trie, uint32_t node_index, uint32_t depth, const entry *entries)
{
    node          *here = &trie->nodes[node_index];
    const uint32_t end = here->first_id + here->id_count;
    uint32_t       at = here->first_id;
    while (at < end && entries[at].size_bytes == depth) at++;
    here->id_count = at - here->first_id;
    here->first_child = trie->node_count;
    while (at < end) {
        const uint8_t  label = entries[at].data[depth];
        const uint32_t first = at;
        while (at < end && entries[at].data[depth] == label) at++;
        trie->labels[trie->node_count] = label;
        trie->nodes[trie->node_count++] = (node){ .first_id = first, .id_count = at - first };
        here->child_count++;
    }
}

/* Siblings on the way down that are still to be settled. */
typedef struct span {
    uint32_t at, end;
} span;

static uint32_t longest_bytes(const entry *entries, uint32_t count)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].size_bytes > longest) longest = entries[i].size_bytes;
    return longest;
}

static enx_status build_trie(enx_trie *trie, const entry *entries, uint32_t count,
                             enx_report *report)
{
    const uint64_t node_count = count_nodes(entries, count);
    if (node_count > TRIE_NODES_MAX)
        return ENX_FAIL(report, LIMIT,
                        "trie: the vocabulary makes %llu nodes, at most %d are taken",
                        (unsigned long long)node_count, (int)TRIE_NODES_MAX);
    trie->depth = longest_bytes(entries, count);
    span *path = ENX_MEM_NEW(span, (size_t)trie->depth + 1);
    trie->nodes = ENX_MEM_NEW(node, node_count);
    trie->labels = ENX_MEM_NEW(uint8_t, node_count);
    trie->ids = ENX_MEM_NEW(uint32_t, (size_t)count + 1);
    if (!path || !trie->nodes || !trie->labels || !trie->ids) {
        enx_mem_free(path);
        return ENX_FAIL(report, NOMEM, "trie: no memory for %llu nodes",
                        (unsigned long long)node_count);
    }
    for (uint32_t i = 0; i < count; i++) trie->ids[i] = entries[i].id;
    trie->id_count = count;
    trie->nodes[0] = (node){ .id_count = count };
    trie->node_count = 1;
    path[0] = (span){ 0, 1 };
    for (uint32_t depth = 0; depth != UINT32_MAX;) {
        if (path[depth].at == path[depth].end) {
            depth--;
            continue;
        }
        const uint32_t here = path[depth].at++, first = trie->node_count;
        settle_node(trie, here, depth, entries);
        if (trie->node_count > first) path[++depth] = (span){ first, trie->node_count };
    }
    enx_mem_free(path);
    ENX_CHECK(trie->node_count == node_count);
    return ENX_OK;
}

enx_status enx_trie_open(enx_trie **out, const enx_tokenizer *tokenizer, enx_report *report)
{
    ENX_CHECK(out && tokenizer);
    const uint32_t vocab_count = enx_tokenizer_count(tokenizer);
    enx_trie      *trie = ENX_MEM_NEW(enx_trie, 1);
    entry         *entries = ENX_MEM_NEW(entry, (size_t)vocab_count + 1);
    enx_status     status = ENX_OK;
    if (trie && entries) {
        trie->vocab_count = vocab_count;
        status = build_trie(trie, entries, collect_entries(entries, tokenizer), report);
    } else {
        status = ENX_FAIL(report, NOMEM, "trie: no memory for %u tokens", vocab_count);
    }
    enx_mem_free(entries);
    if (status == ENX_OK) *out = trie;
    else enx_trie_close(&trie);
    return status;
}

void enx_trie_close(enx_trie **trie)
{
    if (!*trie) return;
    enx_mem_free((*trie)->nodes);
    enx_mem_free((*trie)->labels);
    enx_mem_free((*trie)->ids);
    enx_mem_free(*trie);
    *trie = NULL;
}

/* ---- the mask ---- */

/* One node of the path that the walk is on. */
typedef struct frame {
    uint32_t child, child_end; /* still to visit */
    uint64_t bytes[4];         /* worth trying */
    size_t   state_bytes;      /* used */
    uint16_t number;           /* of the state, where there is a table */
} frame;

/* What was allowed in a state met before: inside a long string it comes again and again. */
typedef struct answer {
    uint8_t  *state;      /* [stride] */
    size_t    size_bytes; /* used of it; 0: no answer yet */
    uint64_t *bits;       /* [vocab words] */
} answer;

enum { ANSWERS_FEW = 4, ANSWERS_MAX = 32 };

typedef struct answers {
    answer   rows[ANSWERS_MAX];
    uint32_t count; /* of the rows in use */
    uint32_t oldest;
} answers;

struct enx_mask {
    const enx_automaton *automaton;
    const enx_trie      *trie;
    const enx_tokenizer *tokenizer;
    size_t               stride_bytes; /* between two states */
    uint8_t             *states;       /* [depth + 3]: the current one, then scratch: one a frame */
    frame               *frames;       /* [depth + 1] */
    size_t               word_count;   /* of each set of tokens */
    answers             *answers;
    enx_dfa             *dfa; /* NULL: the automaton's states do not come back */
    bool                 has_ended;
};

static void *state_at(const enx_mask *mask, uint32_t depth)
{
    return mask->states + depth * mask->stride_bytes;
}

static size_t used_bytes(const enx_mask *mask, const void *state)
{
    const enx_automaton *automaton = mask->automaton;
    return automaton->used_bytes ? automaton->used_bytes(automaton, state) : automaton->state_bytes;
}

static bool open_answers(enx_mask *mask)
{
    mask->answers->count = mask->automaton->has_returns ? ANSWERS_MAX : ANSWERS_FEW;
    for (uint32_t i = 0; i < mask->answers->count; i++) {
        answer *row = &mask->answers->rows[i];
        row->state = enx_mem_new(1, mask->stride_bytes);
        row->bits = ENX_MEM_NEW(uint64_t, mask->word_count);
        if (!row->state || !row->bits) return false;
    }
    return true;
}

enx_status enx_mask_open(enx_mask **out, const enx_automaton *automaton, const enx_trie *trie,
                         const enx_tokenizer *tokenizer, enx_report *report)
{
    ENX_CHECK(out && automaton && trie && tokenizer);
    ENX_CHECK(automaton->state_bytes > 0 && automaton->state_bytes <= ENX_MASK_STATE_BYTES_MAX);
    ENX_CHECK(trie->vocab_count == enx_tokenizer_count(tokenizer));
    enx_mask *mask = ENX_MEM_NEW(enx_mask, 1);
    if (!mask) return ENX_FAIL(report, NOMEM, "mask: no memory");
    const size_t depth = trie->depth;
    *mask = (enx_mask){ .automaton = automaton, .trie = trie, .tokenizer = tokenizer };
    mask->stride_bytes =
        (automaton->state_bytes + STATE_ALIGN_BYTES - 1) / STATE_ALIGN_BYTES * STATE_ALIGN_BYTES;
    mask->states = enx_mem_new(depth + 3, mask->stride_bytes);
    mask->frames = ENX_MEM_NEW(frame, depth + 1);
    mask->word_count = (size_t)trie->vocab_count / 64 + 1;
    mask->answers = ENX_MEM_NEW(answers, 1);
    if (!mask->states || !mask->frames || !mask->answers || !open_answers(mask)) {
        enx_mask_close(&mask);
        return ENX_FAIL(report, NOMEM, "mask: no memory for %zu states of %zu bytes", depth + 3,
                        automaton->state_bytes);
    }
    if (automaton->has_returns) {
        const enx_status status = enx_dfa_open(&mask->dfa, automaton, report);
        if (status != ENX_OK) {
            enx_mask_close(&mask);
            return status;
        }
    }
    enx_mask_reset(mask);
    *out = mask;
    return ENX_OK;
}

void enx_mask_close(enx_mask **mask)
{
    if (!*mask) return;
    enx_mem_free((*mask)->states);
    enx_mem_free((*mask)->frames);
    for (uint32_t i = 0; (*mask)->answers && i < (*mask)->answers->count; i++) {
        enx_mem_free((*mask)->answers->rows[i].state);
        enx_mem_free((*mask)->answers->rows[i].bits);
    }
    enx_mem_free((*mask)->answers);
    enx_dfa_close(&(*mask)->dfa);
    enx_mem_free(*mask);
    *mask = NULL;
}

void enx_mask_reset(enx_mask *mask)
{
    mask->automaton->start(mask->automaton, state_at(mask, 0));
    mask->has_ended = false;
}

static void enter_node(const enx_mask *mask, uint32_t depth, const node *here)
{
    frame *new = &mask->frames[depth];
    *new =
        (frame){ .child = here->first_child, .child_end = here->first_child + here->child_count };
    if (here->child_count == 0) return;
    new->state_bytes = used_bytes(mask, state_at(mask, depth));
    if (mask->automaton->next_bytes)
        mask->automaton->next_bytes(mask->automaton, state_at(mask, depth), new->bytes);
    else memset(new->bytes, 0xFF, sizeof new->bytes);
}

static void add_tokens(const enx_trie *trie, const node *here, uint64_t *bits)
{
    for (uint32_t i = 0; i < here->id_count; i++) {
        const uint32_t id = trie->ids[here->first_id + i];
        bits[id >> 6] |= UINT64_C(1) << (id & 63);
    }
}

/* Set the bits of all tokens that the automaton can read from its current state. */
static void walk_trie(const enx_mask *mask, uint64_t *bits)
{
    const enx_trie      *trie = mask->trie;
    const enx_automaton *automaton = mask->automaton;
    uint32_t             depth = 0;
    enter_node(mask, 0, &trie->nodes[0]);
    for (;;) {
        frame *at = &mask->frames[depth];
        while (at->child < at->child_end) {
            const uint8_t label = trie->labels[at->child];
            if (at->bytes[label >> 6] >> (label & 63) & 1) break;
            at->child++;
        }
        if (at->child == at->child_end) {
            if (depth-- == 0) return;
            continue;
        }
        const uint32_t child = at->child++;
        memcpy(state_at(mask, depth + 1), state_at(mask, depth), at->state_bytes);
        if (!automaton->step(automaton, state_at(mask, depth + 1), trie->labels[child])) continue;
        const node *here = &trie->nodes[child];
        add_tokens(trie, here, bits);
        if (here->child_count > 0) enter_node(mask, ++depth, here);
    }
}

/* The same walk where the automaton has a table; false: the table is full, `bits` are not whole. */
static bool walk_by_number(const enx_mask *mask, uint64_t *bits)
{
    const enx_trie *trie = mask->trie;
    enx_dfa        *dfa = mask->dfa;
    uint32_t        depth = 0;
    frame          *at = &mask->frames[0];
    const node     *root = &trie->nodes[0];
    *at = (frame){ .child = root->first_child, .child_end = root->first_child + root->child_count };
    at->number = enx_dfa_number(dfa, state_at(mask, 0));
    if (at->number == ENX_DFA_FULL) return false;
    for (;;) {
        if (at->child == at->child_end) {
            if (depth-- == 0) return true;
            at--;
            continue;
        }
        const uint32_t child = at->child++;
        const uint8_t  label = trie->labels[child];
        uint16_t       next = enx_dfa_row(dfa, at->number)[label];
        if (next == ENX_DFA_UNKNOWN) next = enx_dfa_step(dfa, at->number, label);
        if (next == ENX_DFA_FULL) return false;
        if (next == ENX_DFA_REFUSED) continue;
        const node *here = &trie->nodes[child];
        add_tokens(trie, here, bits);
        if (here->child_count == 0) continue;
        depth++;
        at++;
        at->child = here->first_child;
        at->child_end = here->first_child + here->child_count;
        at->number = next;
    }
}

static void find_allowed(const enx_mask *mask, uint64_t *bits)
{
    const size_t size_bytes = mask->word_count * sizeof *bits;
    for (int tries = 0; mask->dfa && tries < 2; tries++) { /* again in an empty table */
        memset(bits, 0, size_bytes);
        if (walk_by_number(mask, bits)) return;
        enx_dfa_clear(mask->dfa);
    }
    memset(bits, 0, size_bytes);
    walk_trie(mask, bits);
}

/* The answer for the current state, kept or new in place of the oldest. */
static const uint64_t *find_answer(const enx_mask *mask)
{
    const void  *state = state_at(mask, 0);
    const size_t size_bytes = used_bytes(mask, state);
    for (uint32_t i = 0; i < mask->answers->count; i++) {
        const answer *row = &mask->answers->rows[i];
        if (row->size_bytes == size_bytes && memcmp(row->state, state, size_bytes) == 0)
            return row->bits;
    }
    answer *new = &mask->answers->rows[mask->answers->oldest];
    mask->answers->oldest = (mask->answers->oldest + 1) % mask->answers->count;
    find_allowed(mask, new->bits);
    const uint32_t eos = enx_tokenizer_eos(mask->tokenizer);
    if (eos != ENX_TOKEN_NONE && mask->automaton->may_end(mask->automaton, state))
        new->bits[eos >> 6] |= UINT64_C(1) << (eos & 63);
    memcpy(new->state, state, size_bytes);
    new->size_bytes = size_bytes;
    return new->bits;
}

size_t enx_mask_allowed(const enx_mask *mask, uint32_t *ids)
{
    if (mask->has_ended) return 0;
    const uint64_t *bits = find_answer(mask);
    size_t          count = 0;
    for (uint32_t word = 0; word < mask->word_count; word++)
        for (uint64_t left = bits[word]; left; left &= left - 1)
            ids[count++] = word * 64 + (uint32_t)__builtin_ctzll(left);
    return count;
}

/* Step over the only byte that may come; false: there is a choice, or the output may end. */
static bool step_forced(const enx_mask *mask, void *state, void *trial, uint8_t *out)
{
    const enx_automaton *automaton = mask->automaton;
    const size_t         size_bytes = used_bytes(mask, state);
    uint64_t             bytes[4] = { 0 };
    int                  found = -1;
    if (automaton->may_end(automaton, state)) return false;
    if (automaton->next_bytes) automaton->next_bytes(automaton, state, bytes);
    else memset(bytes, 0xFF, sizeof bytes);
    for (int byte = 0; byte < 256; byte++) {
        if (!(bytes[byte >> 6] >> (byte & 63) & 1)) continue;
        memcpy(trial, state, size_bytes);
        if (!automaton->step(automaton, trial, (uint8_t)byte)) continue;
        if (found >= 0) return false;
        found = byte;
    }
    if (found < 0) return false;
    *out = (uint8_t)found;
    return automaton->step(automaton, state, *out);
}

/* The longest token that `text` begins with, not the whole of it. */
static uint32_t longest_token(const enx_trie *trie, const uint8_t *text, uint32_t size)
{
    const node *here = &trie->nodes[0];
    uint32_t    id = ENX_TOKEN_NONE;
    for (uint32_t depth = 0; depth + 1 < size; depth++) {
        uint32_t       child = here->first_child;
        const uint32_t end = child + here->child_count;
        while (child < end && trie->labels[child] != text[depth]) child++;
        if (child == end) break;
        here = &trie->nodes[child];
        if (here->id_count) id = trie->ids[here->first_id];
    }
    return id;
}

uint32_t enx_mask_forced(const enx_mask *mask)
{
    uint8_t  text[FORCED_BYTES_MAX];
    uint32_t size = 0;
    void    *state = state_at(mask, 1);
    if (mask->has_ended) return ENX_TOKEN_NONE;
    memcpy(state, state_at(mask, 0), used_bytes(mask, state_at(mask, 0)));
    while (size < FORCED_BYTES_MAX && step_forced(mask, state, state_at(mask, 2), &text[size]))
        size++;
    return longest_token(mask->trie, text, size);
}

bool enx_mask_accept(enx_mask *mask, uint32_t id)
{
    if (mask->has_ended || id >= mask->trie->vocab_count) return false;
    if (id == enx_tokenizer_eos(mask->tokenizer)) {
        mask->has_ended = mask->automaton->may_end(mask->automaton, state_at(mask, 0));
        return mask->has_ended;
    }
    if (enx_tokenizer_is_control(mask->tokenizer, id)) return false;
    const enx_gguf_str bytes = enx_tokenizer_bytes(mask->tokenizer, id);
    if (bytes.size_bytes == 0) return false;
    void *next = state_at(mask, 1);
    memcpy(next, state_at(mask, 0), used_bytes(mask, state_at(mask, 0)));
    for (size_t i = 0; i < bytes.size_bytes; i++)
        if (!mask->automaton->step(mask->automaton, next, (uint8_t)bytes.data[i])) return false;
    memcpy(state_at(mask, 0), next, used_bytes(mask, next));
    return true;
}
