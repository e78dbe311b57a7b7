/* SPDX-License-Identifier: Apache-2.0 */
/* bpe_train.c - learning merges by counting pairs, and only what changed.
 *
 * (1) The text is reduced to its distinct pieces ("words") with their counts.
 * (2) pair.count is, after every merge, the sum over all words of the word's count times the
 *     places where the pair stands.  A merge changes only the pairs that touch it, so only those
 *     are taken away and added.
 * (3) pair.first lists every word that holds the pair, and perhaps words that no longer do or
 *     words twice: a visit to a word without the pair changes nothing.
 * (4) The heap holds, for every pair whose count is >= pair_count_min, an entry with a count no
 *     smaller than the true one: counts that fall leave their entry, counts that rise push a new
 *     one.  An entry that comes up with another count than the true one is put back with it.
 *     So the entry that comes up with the true count is the best pair there is.
 */
#include "train/bpe_train.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/presplit.h"
#include "text/token_map.h"

#include <string.h>

enum {
    BYTE_COUNT = 256,
    CONTROL_BYTES_MIN = 2,
    FIRST_CAPACITY = 1024,
};
#define NODE_NONE UINT32_MAX

/* A distinct piece.  Its symbols are ids in bpe->symbols[first .. first + count). */
typedef struct word {
    uint64_t count; /* how often the piece came */
    uint32_t first;
    uint16_t symbol_count;
    uint16_t size_bytes; /* at first symbol_count; tells words apart while feeding */
} word;

/* The words that hold a pair, as a list in one pool. */
typedef struct node {
    uint32_t word, next;
} node;

typedef struct pair {
    uint32_t left, right;
    uint64_t count;
    uint32_t first; /* node; NODE_NONE: the end */
    bool     is_used;
    bool     is_raised; /* its count rose in this step: (4) asks for an entry */
    bool     is_barred; /* may not be merged: too long, or a control token's name */
} pair;

typedef struct entry {
    uint64_t count;
    uint32_t left, right;
} entry;

/* A growing array; `items` is owned. */
typedef struct array {
    void  *items;
    size_t count, capacity;
} array;

struct enx_bpe {
    enx_presplit *split; /* owned */
    uint32_t      vocab_count, control_count, eos;
    uint64_t      pair_count_min;
    uint32_t      token_bytes_max;
    bool          is_run;

    array     words;      /* word */
    array     symbols;    /* uint32_t */
    uint32_t *word_slots; /* owned; index + 1, 0 is empty */
    size_t    word_mask;

    pair    *pairs; /* owned: open addressing */
    size_t   pair_mask, pair_count;
    array    nodes; /* node */
    uint32_t free_node;
    array    heap;   /* entry */
    array    raised; /* uint64_t: left << 32 | right */

    enx_gguf_str *tokens;      /* owned [vocab_count] */
    bool         *is_control;  /* owned [vocab_count] */
    array         token_bytes; /* blocks of bytes: char * */
    uint32_t      token_count;
    enx_token_map token_map;
    array         merges; /* uint32_t[2] */
    enx_vocab     vocab;
};

/* Room for one more item of `item_bytes`; where it goes, or NULL.  It is counted. */
static void *array_push(array *into, size_t item_bytes)
{
    if (into->count == into->capacity) {
        const size_t capacity = into->capacity ? into->capacity * 2 : FIRST_CAPACITY;
        void *grown = enx_mem_resize(into->items, into->count * item_bytes, capacity * item_bytes);
        if (!grown) return NULL;
        into->items = grown;
        into->capacity = capacity;
    }
    return (char *)into->items + into->count++ * item_bytes;
}

static uint64_t mix(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ (key >> 32);
}

/* ---- (1) words ---- */

static uint64_t hash_piece(const uint8_t *bytes, size_t size_bytes)
{
    uint64_t hash = size_bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return mix(hash);
}

static bool is_word(const enx_bpe *bpe, const word *known, const uint8_t *bytes, size_t size_bytes)
{
    const uint32_t *symbols = (const uint32_t *)bpe->symbols.items + known->first;
    if (known->size_bytes != size_bytes) return false;
    for (size_t i = 0; i < size_bytes; i++)
        if (symbols[i] != bpe->control_count + bytes[i]) return false;
    return true;
}

static enx_status grow_word_slots(enx_bpe *bpe)
{
    const size_t slot_count = bpe->word_slots ? (bpe->word_mask + 1) * 2 : 4 * FIRST_CAPACITY;
    uint32_t    *grown = ENX_MEM_NEW(uint32_t, slot_count);
    if (!grown) return ENX_NOMEM;
    const size_t mask = slot_count - 1;
    const word  *words = bpe->words.items;
    for (size_t i = 0; i < bpe->words.count; i++) {
        const uint32_t *symbols = (const uint32_t *)bpe->symbols.items + words[i].first;
        uint8_t         bytes[ENX_BPE_PIECE_BYTES_MAX];
        for (size_t j = 0; j < words[i].size_bytes; j++)
            bytes[j] = (uint8_t)(symbols[j] - bpe->control_count);
        size_t slot = hash_piece(bytes, words[i].size_bytes) & mask;
        while (grown[slot]) slot = (slot + 1) & mask;
        grown[slot] = (uint32_t)i + 1;
    }
    enx_mem_free(bpe->word_slots);
    bpe->word_slots = grown;
    bpe->word_mask = mask;
    return ENX_OK;
}

static enx_status add_word(enx_bpe *bpe, size_t slot, const uint8_t *bytes, size_t size_bytes)
{
    if (bpe->symbols.count + size_bytes > ENX_BPE_DISTINCT_BYTES_MAX) return ENX_LIMIT;
    const uint32_t first = (uint32_t)bpe->symbols.count;
    for (size_t i = 0; i < size_bytes; i++) {
        uint32_t *symbol = array_push(&bpe->symbols, sizeof *symbol);
        if (!symbol) return ENX_NOMEM;
        *symbol = bpe->control_count + bytes[i];
    }
    word *added = array_push(&bpe->words, sizeof *added);
    if (!added) return ENX_NOMEM;
    *added = (word){ .count = 1,
                     .first = first,
                     .symbol_count = (uint16_t)size_bytes,
                     .size_bytes = (uint16_t)size_bytes };
    bpe->word_slots[slot] = (uint32_t)bpe->words.count;
    return ENX_OK;
}

static enx_status count_piece(enx_bpe *bpe, const uint8_t *bytes, size_t size_bytes)
{
    if (size_bytes < 2) return ENX_OK; /* no pair in it */
    if (!bpe->word_slots || bpe->words.count * 2 > bpe->word_mask) ENX_TRY(grow_word_slots(bpe));
    word  *words = bpe->words.items;
    size_t slot = hash_piece(bytes, size_bytes) & bpe->word_mask;
    for (; bpe->word_slots[slot]; slot = (slot + 1) & bpe->word_mask) {
        word *found = &words[bpe->word_slots[slot] - 1];
        if (!is_word(bpe, found, bytes, size_bytes)) continue;
        found->count++;
        return ENX_OK;
    }
    return add_word(bpe, slot, bytes, size_bytes);
}

static enx_status count_long_piece(enx_bpe *bpe, const uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > ENX_BPE_PIECE_BYTES_MAX) {
        size_t part = ENX_BPE_PIECE_BYTES_MAX;
        while (part > ENX_BPE_PIECE_BYTES_MAX - 3 && (bytes[part] & 0xC0) == 0x80) part--;
        ENX_TRY(count_piece(bpe, bytes, part));
        bytes += part;
        size_bytes -= part;
    }
    return count_piece(bpe, bytes, size_bytes);
}

enx_status enx_bpe_feed(enx_bpe *bpe, const char *text, size_t size_bytes, enx_report *report)
{
    ENX_CHECK(bpe && !bpe->is_run && (text || size_bytes == 0));
    enx_presplit_cursor cursor;
    enx_status          status = enx_presplit_cursor_init(&cursor, bpe->split, text, size_bytes);
    if (status == ENX_OK) {
        size_t first = 0, piece_bytes = 0;
        while (status == ENX_OK && enx_presplit_next(&cursor, &first, &piece_bytes))
            status = count_long_piece(bpe, (const uint8_t *)text + first, piece_bytes);
        enx_presplit_cursor_deinit(&cursor);
    }
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT,
                        "the texts have more than %d bytes of distinct words; feed fewer texts",
                        ENX_BPE_DISTINCT_BYTES_MAX);
    if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory to count the words");
    return ENX_OK;
}

/* ---- (2) pairs ---- */

static size_t find_pair_slot(const enx_bpe *bpe, uint32_t left, uint32_t right)
{
    size_t slot = mix((uint64_t)left << 32 | right) & bpe->pair_mask;
    while (bpe->pairs[slot].is_used &&
           (bpe->pairs[slot].left != left || bpe->pairs[slot].right != right))
        slot = (slot + 1) & bpe->pair_mask;
    return slot;
}

static enx_status grow_pairs(enx_bpe *bpe)
{
    const size_t old_count = bpe->pairs ? bpe->pair_mask + 1 : 0;
    const size_t slot_count = old_count ? old_count * 2 : 64 * FIRST_CAPACITY;
    pair        *old = bpe->pairs, *grown = ENX_MEM_NEW(pair, slot_count);
    if (!grown) return ENX_NOMEM;
    bpe->pairs = grown;
    bpe->pair_mask = slot_count - 1;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].is_used) grown[find_pair_slot(bpe, old[i].left, old[i].right)] = old[i];
    enx_mem_free(old);
    return ENX_OK;
}

/* The pair, made if it is new; NULL: no memory.  Valid until the next call. */
static pair *get_pair(enx_bpe *bpe, uint32_t left, uint32_t right)
{
    if (!bpe->pairs || bpe->pair_count * 2 > bpe->pair_mask)
        if (grow_pairs(bpe) != ENX_OK) return NULL;
    pair *found = &bpe->pairs[find_pair_slot(bpe, left, right)];
    if (!found->is_used) {
        *found = (pair){ .left = left, .right = right, .first = NODE_NONE, .is_used = true };
        bpe->pair_count++;
    }
    return found;
}

static enx_status list_word(enx_bpe *bpe, pair *held, uint32_t word_index)
{
    node *nodes = bpe->nodes.items;
    if (held->first != NODE_NONE && nodes[held->first].word == word_index) return ENX_OK;
    uint32_t at = bpe->free_node;
    if (at != NODE_NONE) {
        bpe->free_node = nodes[at].next;
    } else {
        if (!array_push(&bpe->nodes, sizeof(node))) return ENX_NOMEM;
        nodes = bpe->nodes.items;
        at = (uint32_t)(bpe->nodes.count - 1);
    }
    nodes[at] = (node){ .word = word_index, .next = held->first };
    held->first = at;
    return ENX_OK;
}

static enx_status raise_pair(enx_bpe *bpe, uint32_t left, uint32_t right, uint32_t word_index)
{
    const word *words = bpe->words.items;
    pair       *raised = get_pair(bpe, left, right);
    if (!raised) return ENX_NOMEM;
    raised->count += words[word_index].count;
    if (!raised->is_raised) {
        uint64_t *key = array_push(&bpe->raised, sizeof *key);
        if (!key) return ENX_NOMEM;
        *key = (uint64_t)left << 32 | right;
        raised->is_raised = true;
    }
    return list_word(bpe, raised, word_index);
}

static void lower_pair(enx_bpe *bpe, uint32_t left, uint32_t right, uint64_t by)
{
    pair *lowered = &bpe->pairs[find_pair_slot(bpe, left, right)];
    ENX_CHECK(lowered->is_used && lowered->count >= by);
    lowered->count -= by;
}

static enx_status count_pairs(enx_bpe *bpe)
{
    const word *words = bpe->words.items;
    for (uint32_t i = 0; i < bpe->words.count; i++) {
        const uint32_t *symbols = (const uint32_t *)bpe->symbols.items + words[i].first;
        for (uint32_t j = 0; j + 1 < words[i].symbol_count; j++)
            ENX_TRY(raise_pair(bpe, symbols[j], symbols[j + 1], i));
    }
    return ENX_OK;
}

/* Merge every place of the pair in a word, left to right. */
static enx_status merge_word(enx_bpe *bpe, uint32_t word_index, uint32_t left, uint32_t right,
                             uint32_t made)
{
    word          *words = bpe->words.items, *changed = &words[word_index];
    uint32_t      *symbols = (uint32_t *)bpe->symbols.items + changed->first;
    const uint32_t count = changed->symbol_count;
    uint32_t       at = 0, kept = 0;
    while (at + 1 < count && (symbols[at] != left || symbols[at + 1] != right)) at++;
    if (at + 1 >= count) return ENX_OK;

    uint32_t old[ENX_BPE_PIECE_BYTES_MAX];
    memcpy(old, symbols, count * sizeof *old);
    bool is_made_before = false; /* was the symbol before a place that was merged? */
    for (at = kept = 0; at < count; kept++) {
        const bool     is_made = at + 1 < count && old[at] == left && old[at + 1] == right;
        const uint32_t symbol = is_made ? made : old[at];
        if (at > 0 && (is_made || is_made_before)) {
            lower_pair(bpe, old[at - 1], old[at], changed->count);
            ENX_TRY(raise_pair(bpe, symbols[kept - 1], symbol, word_index));
        }
        if (is_made) lower_pair(bpe, left, right, changed->count);
        symbols[kept] = symbol;
        at += is_made ? 2 : 1;
        is_made_before = is_made;
    }
    changed->symbol_count = (uint16_t)kept;
    return ENX_OK;
}

/* ---- (4) the heap ---- */

static bool is_better(const entry *a, const entry *b)
{
    if (a->count != b->count) return a->count > b->count;
    if (a->left != b->left) return a->left < b->left;
    return a->right < b->right;
}

static enx_status heap_push(array *heap, entry pushed)
{
    if (!array_push(heap, sizeof pushed)) return ENX_NOMEM;
    entry *entries = heap->items;
    size_t at = heap->count - 1;
    for (; at > 0 && is_better(&pushed, &entries[(at - 1) / 2]); at = (at - 1) / 2)
        entries[at] = entries[(at - 1) / 2];
    entries[at] = pushed;
    return ENX_OK;
}

static entry heap_pop(array *heap)
{
    entry      *entries = heap->items;
    const entry top = entries[0], last = entries[--heap->count];
    size_t      at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && is_better(&entries[child + 1], &entries[child])) child++;
        if (!is_better(&entries[child], &last)) break;
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = last;
    return top;
}

static enx_status push_raised(enx_bpe *bpe)
{
    const uint64_t *keys = bpe->raised.items;
    for (size_t i = 0; i < bpe->raised.count; i++) {
        const uint32_t left = (uint32_t)(keys[i] >> 32), right = (uint32_t)keys[i];
        pair          *raised = &bpe->pairs[find_pair_slot(bpe, left, right)];
        raised->is_raised = false;
        if (raised->count >= bpe->pair_count_min && !raised->is_barred)
            ENX_TRY(heap_push(&bpe->heap,
                              (entry){ .count = raised->count, .left = left, .right = right }));
    }
    bpe->raised.count = 0;
    return ENX_OK;
}

/* The best pair; *best is NULL when none is left. */
static enx_status pop_best(enx_bpe *bpe, pair **best)
{
    *best = NULL;
    while (bpe->heap.count) {
        entry top = heap_pop(&bpe->heap);
        pair *found = &bpe->pairs[find_pair_slot(bpe, top.left, top.right)];
        if (found->is_barred || found->count < bpe->pair_count_min) continue;
        if (found->count == top.count) {
            *best = found;
            return ENX_OK;
        }
        top.count = found->count;
        ENX_TRY(heap_push(&bpe->heap, top));
    }
    return ENX_OK;
}

/* ---- tokens ---- */

static enx_status add_token(enx_bpe *bpe, const char *bytes, size_t size_bytes, bool is_control)
{
    char **block = array_push(&bpe->token_bytes, sizeof *block);
    if (!block) return ENX_NOMEM;
    *block = ENX_MEM_NEW(char, size_bytes);
    if (!*block) return ENX_NOMEM;
    memcpy(*block, bytes, size_bytes);
    bpe->tokens[bpe->token_count] = (enx_gguf_str){ .data = *block, .size_bytes = size_bytes };
    bpe->is_control[bpe->token_count] = is_control;
    enx_token_map_put(&bpe->token_map, bpe->token_count++);
    return ENX_OK;
}

/* The token that the pair makes, added if it is new; ENX_TOKEN_NONE in *made: the pair is barred.
 */
static enx_status make_token(enx_bpe *bpe, const pair *best, uint32_t *made)
{
    const enx_gguf_str *left = &bpe->tokens[best->left], *right = &bpe->tokens[best->right];
    const size_t        size_bytes = left->size_bytes + right->size_bytes;
    char                joined[ENX_TOKEN_BYTES_MAX];
    *made = ENX_TOKEN_NONE;
    if (size_bytes > bpe->token_bytes_max) return ENX_OK;
    memcpy(joined, left->data, left->size_bytes);
    memcpy(joined + left->size_bytes, right->data, right->size_bytes);
    const uint32_t known = enx_token_map_find(&bpe->token_map, joined, size_bytes);
    if (known != ENX_TOKEN_NONE) {
        if (!bpe->is_control[known]) *made = known;
        return ENX_OK;
    }
    ENX_TRY(add_token(bpe, joined, size_bytes, false));
    *made = bpe->token_count - 1;
    return ENX_OK;
}

static enx_status merge_pair(enx_bpe *bpe, pair *best)
{
    uint32_t       made = ENX_TOKEN_NONE;
    const uint32_t left = best->left, right = best->right, first = best->first;
    ENX_TRY(make_token(bpe, best, &made));
    if (made == ENX_TOKEN_NONE) {
        best->is_barred = true;
        return ENX_OK;
    }
    uint32_t *merge = array_push(&bpe->merges, 2 * sizeof *merge);
    if (!merge) return ENX_NOMEM;
    merge[0] = left;
    merge[1] = right;
    best->first = NODE_NONE;
    for (uint32_t at = first; at != NODE_NONE;) {
        const node taken = ((node *)bpe->nodes.items)[at];
        ENX_TRY(merge_word(bpe, taken.word, left, right, made));
        ((node *)bpe->nodes.items)[at].next = bpe->free_node;
        bpe->free_node = at;
        at = taken.next;
    }
    return push_raised(bpe);
}

static enx_status learn(enx_bpe *bpe)
{
    ENX_TRY(count_pairs(bpe));
    ENX_TRY(push_raised(bpe));
    while (bpe->token_count < bpe->vocab_count) {
        pair *best = NULL;
        ENX_TRY(pop_best(bpe, &best));
        if (!best) break;
        ENX_TRY(merge_pair(bpe, best));
    }
    return ENX_OK;
}

enx_status enx_bpe_run(enx_bpe *bpe, enx_report *report)
{
    ENX_CHECK(bpe && !bpe->is_run);
    if (learn(bpe) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory to learn merges from %zu distinct words",
                        bpe->words.count);
    bpe->is_run = true;
    bpe->vocab = (enx_vocab){ .tokens = bpe->tokens,
                              .is_control = bpe->is_control,
                              .token_count = bpe->token_count,
                              .merges = bpe->merges.items,
                              .merge_count = (uint32_t)bpe->merges.count,
                              .pre = enx_presplit_name(bpe->split),
                              .eos = bpe->eos };
    return ENX_OK;
}

const enx_vocab *enx_bpe_vocab(const enx_bpe *bpe)
{
    ENX_CHECK(bpe->is_run);
    return &bpe->vocab;
}

/* ---- opening ---- */

static enx_status check_options(const enx_bpe_options *options, enx_report *report)
{
    if (options->control_count > ENX_BPE_CONTROL_COUNT_MAX)
        return ENX_FAIL(report, INVALID, "%u control tokens; at most %d are allowed",
                        options->control_count, ENX_BPE_CONTROL_COUNT_MAX);
    if (options->vocab_count < options->control_count + BYTE_COUNT ||
        options->vocab_count > ENX_VOCAB_MAX)
        return ENX_FAIL(report, INVALID, "a vocabulary of %u tokens; it must have %u to %d",
                        options->vocab_count, options->control_count + BYTE_COUNT, ENX_VOCAB_MAX);
    if (options->eos != ENX_TOKEN_NONE && options->eos >= options->control_count)
        return ENX_FAIL(report, INVALID,
                        "the end-of-text id is %u, but there are %u control tokens", options->eos,
                        options->control_count);
    if (options->token_bytes_max > ENX_TOKEN_BYTES_MAX)
        return ENX_FAIL(report, INVALID, "tokens of up to %u bytes; at most %d are allowed",
                        options->token_bytes_max, ENX_TOKEN_BYTES_MAX);
    return ENX_OK;
}

/* Names must not look like a byte or a space in GPT-2's alphabet, where files put all tokens. */
static bool is_control_name(const char *name)
{
    const size_t size_bytes = strlen(name);
    for (size_t i = 0; i < size_bytes; i++)
        if (name[i] < 0x21 || name[i] > 0x7E) return false;
    return size_bytes >= CONTROL_BYTES_MIN && size_bytes <= ENX_TOKEN_BYTES_MAX;
}

static enx_status add_first_tokens(enx_bpe *bpe, const enx_bpe_options *options, enx_report *report)
{
    for (uint32_t i = 0; i < options->control_count; i++) {
        const char  *name = options->control_names[i];
        const size_t size_bytes = strlen(name);
        if (!is_control_name(name))
            return ENX_FAIL(report, INVALID,
                            "control token %u has the name \"%.64s\"; it must have 2 to %d visible "
                            "ASCII characters",
                            i, name, ENX_TOKEN_BYTES_MAX);
        if (enx_token_map_find(&bpe->token_map, name, size_bytes) != ENX_TOKEN_NONE)
            return ENX_FAIL(report, INVALID, "two control tokens have the name \"%.64s\"", name);
        if (add_token(bpe, name, size_bytes, true) != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for a vocabulary");
    }
    for (unsigned byte = 0; byte < BYTE_COUNT; byte++) {
        const char text = (char)byte;
        if (add_token(bpe, &text, 1, false) != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for a vocabulary");
    }
    return ENX_OK;
}

static enx_status build(enx_bpe *bpe, const enx_bpe_options *options, enx_report *report)
{
    ENX_TRY(check_options(options, report));
    ENX_TRY(enx_presplit_open(&bpe->split, options->pre, strlen(options->pre), report));
    bpe->vocab_count = options->vocab_count;
    bpe->control_count = options->control_count;
    bpe->eos = options->eos;
    bpe->pair_count_min = options->pair_count_min ? options->pair_count_min : 2;
    bpe->token_bytes_max =
        options->token_bytes_max ? options->token_bytes_max : ENX_TOKEN_BYTES_MAX;
    bpe->free_node = NODE_NONE;
    bpe->tokens = ENX_MEM_NEW(enx_gguf_str, options->vocab_count);
    bpe->is_control = ENX_MEM_NEW(bool, options->vocab_count);
    if (!bpe->tokens || !bpe->is_control ||
        enx_token_map_init(&bpe->token_map, bpe->tokens, options->vocab_count) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a vocabulary");
    return add_first_tokens(bpe, options, report);
}

enx_status enx_bpe_open(enx_bpe **out, const enx_bpe_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->pre &&
              (options->control_names || options->control_count == 0));
    enx_bpe *bpe = ENX_MEM_NEW(enx_bpe, 1);
    if (!bpe) return ENX_FAIL(report, NOMEM, "no memory for a vocabulary");
    const enx_status status = build(bpe, options, report);
    if (status != ENX_OK) enx_bpe_close(&bpe);
    else *out = bpe;
    return status;
}

void enx_bpe_close(enx_bpe **bpe)
{
    enx_bpe *b = *bpe;
    if (!b) return;
    char **blocks = b->token_bytes.items;
    for (size_t i = 0; i < b->token_bytes.count; i++) enx_mem_free(blocks[i]);
    enx_presplit_close(&b->split);
    enx_token_map_deinit(&b->token_map);
    enx_mem_free(b->word_slots);
    enx_mem_free(b->pairs);
    enx_mem_free(b->tokens);
    enx_mem_free(b->is_control);
    const array owned[] = { b->words,  b->symbols, b->nodes,      b->heap,
                            b->raised, b->merges,  b->token_bytes };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) enx_mem_free(owned[i].items);
    enx_mem_free(b);
    *bpe = NULL;
}
