/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.c - byte-level byte-pair encoding.  Opening from a file is in vocab_gguf.c.
 *
 * A piece (presplit.h) starts as single bytes; then, while some neighbours have a merge, the one
 * of lowest rank is done, the leftmost first.  Three ways lead to that same result:
 *
 * (1) A piece that is a token as a whole, when merging its bytes is known to give that token
 *     (tried once for every token when the vocabulary is opened).  Most words end here.  Where
 *     several tokens have the same bytes, the lowest id stands for all.
 * (2) Short pieces: an array of ranks, searched at each step.  Quadratic in at most
 *     SHORT_PIECE_BYTES, and no memory.
 * (3) Long pieces: a list of neighbours and a heap of (rank, place), n log n.  An entry whose
 *     neighbours have changed since is recognised when it comes up: its rank names its pair.
 */
#include "text/tokenizer.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/presplit.h"
#include "text/spm.h"
#include "text/token_map.h"

#include <string.h>

enum {
    SHORT_PIECE_BYTES = 32,
    TOKENS_FIRST_COUNT = 64,
    MERGES_MAX = 1 << 22,
};
#define RANK_NONE UINT32_MAX

/* What is known of a token. */
enum { TOKEN_CONTROL = 1, TOKEN_WHOLE = 2, TOKEN_ADDED = 4, TOKEN_END = 8 };

typedef struct merge {
    uint32_t left, right, made;
} merge;

typedef struct pair_slot {
    uint32_t left, right, rank; /* RANK_NONE: empty */
} pair_slot;

struct enx_tokenizer {
    uint32_t      token_count;
    uint32_t      eos, bos;
    char         *bytes;  /* owned: all tokens' bytes, one after another */
    enx_gguf_str *tokens; /* owned: views into bytes */
    uint8_t      *flags;  /* owned: TOKEN_* */
    merge        *merges; /* owned, by rank */
    pair_slot    *pairs;  /* owned: open addressing, at most half full */
    uint32_t      pair_mask;
    uint32_t      byte_ids[256];
    enx_token_map normal; /* all that text may become: everything but control tokens */
    enx_token_map named;  /* control and added tokens */
    enx_presplit *split;  /* owned; NULL with spm */
    enx_spm      *spm;    /* owned; NULL: byte-level */
    bool          has_space_prefix;
    bool          named_first[256];                     /* some named token starts so */
    bool          named_sizes[ENX_TOKEN_BYTES_MAX + 1]; /* some named token is so long */
};

void enx_tokens_init(enx_tokens *tokens, size_t max_count)
{
    *tokens = (enx_tokens){ .max_count = max_count };
}

void enx_tokens_deinit(enx_tokens *tokens)
{
    enx_mem_free(tokens->ids);
    *tokens = (enx_tokens){ .max_count = tokens->max_count };
}

enx_status enx_tokens_push(enx_tokens *tokens, uint32_t id)
{
    if (tokens->count >= tokens->max_count) return ENX_LIMIT;
    if (tokens->count == tokens->capacity) {
        const size_t capacity = tokens->capacity ? tokens->capacity * 2 : TOKENS_FIRST_COUNT;
        uint32_t    *grown = enx_mem_resize(tokens->ids, tokens->count * sizeof *tokens->ids,
                                            capacity * sizeof *tokens->ids);
        if (!grown) return ENX_NOMEM;
        tokens->ids = grown;
        tokens->capacity = capacity;
    }
    tokens->ids[tokens->count++] = id;
    return ENX_OK;
}

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    const uint64_t key = (uint64_t)left << 32 | right;
    return (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

static uint32_t find_rank(const enx_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    uint32_t slot = hash_pair(left, right) & tokenizer->pair_mask;
    for (;;) {
        const pair_slot *pair = &tokenizer->pairs[slot];
        if (pair->rank == RANK_NONE) return RANK_NONE;
        if (pair->left == left && pair->right == right) return pair->rank;
        slot = (slot + 1) & tokenizer->pair_mask;
    }
}

/* Way (2).  ids[0..count) holds the bytes' tokens, and then the result; returns its count. */
static size_t merge_short(const enx_tokenizer *tokenizer, uint32_t *ids, size_t count)
{
    uint32_t ranks[SHORT_PIECE_BYTES];
    for (size_t i = 0; i + 1 < count; i++) ranks[i] = find_rank(tokenizer, ids[i], ids[i + 1]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == RANK_NONE) break;
        ids[best] = tokenizer->merges[ranks[best]].made;
        count--;
        for (size_t i = best + 1; i < count; i++) {
            ids[i] = ids[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best > 0) ranks[best - 1] = find_rank(tokenizer, ids[best - 1], ids[best]);
        if (best + 1 < count) ranks[best] = find_rank(tokenizer, ids[best], ids[best + 1]);
    }
    return count;
}

/* Room for way (3), kept for the next long piece of the same call. */
typedef struct long_scratch {
    uint64_t *heap; /* owned, one block with the next three; (rank, place) in one number */
    uint32_t *ids;  /* ENX_TOKEN_NONE: merged into the place on its left */
    uint32_t *before, *after;
    size_t    size_bytes;
    size_t    heap_count;
} long_scratch;

/* The heap never holds more than 2 n entries: n - 1 at first, and a merge takes one and adds two.
 */
static enx_status scratch_reserve(long_scratch *scratch, size_t size_bytes)
{
    if (size_bytes <= scratch->size_bytes) return ENX_OK;
    uint64_t *block = ENX_MEM_NEW(uint64_t, 2 * size_bytes + (3 * size_bytes + 1) / 2);
    if (!block) return ENX_NOMEM;
    enx_mem_free(scratch->heap);
    scratch->heap = block;
    scratch->ids = (uint32_t *)(block + 2 * size_bytes);
    scratch->before = scratch->ids + size_bytes;
    scratch->after = scratch->before + size_bytes;
    scratch->size_bytes = size_bytes;
    return ENX_OK;
}

static void heap_push(long_scratch *scratch, uint64_t entry)
{
    size_t at = scratch->heap_count++;
    for (; at > 0 && scratch->heap[(at - 1) / 2] > entry; at = (at - 1) / 2)
        scratch->heap[at] = scratch->heap[(at - 1) / 2];
    scratch->heap[at] = entry;
}

static uint64_t heap_pop(long_scratch *scratch)
{
    uint64_t      *heap = scratch->heap;
    const uint64_t top = heap[0], last = heap[--scratch->heap_count];
    size_t         at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= scratch->heap_count) break;
        if (child + 1 < scratch->heap_count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static void push_pair(const enx_tokenizer *tokenizer, long_scratch *scratch, uint32_t left_at,
                      uint32_t right_at)
{
    const uint32_t rank = find_rank(tokenizer, scratch->ids[left_at], scratch->ids[right_at]);
    if (rank != RANK_NONE) heap_push(scratch, (uint64_t)rank << 32 | left_at);
}

/* Way (3).  Leaves the result in scratch->ids, following scratch->after from place 0 to `size`. */
static void merge_long(const enx_tokenizer *tokenizer, long_scratch *scratch, const uint8_t *bytes,
                       uint32_t size)
{
    uint32_t *ids = scratch->ids, *before = scratch->before, *after = scratch->after;
    scratch->heap_count = 0;
    for (uint32_t at = 0; at < size; at++) {
        ids[at] = tokenizer->byte_ids[bytes[at]];
        before[at] = at - 1;
        after[at] = at + 1;
        if (at > 0) push_pair(tokenizer, scratch, at - 1, at);
    }
    while (scratch->heap_count) {
        const uint64_t entry = heap_pop(scratch);
        const uint32_t at = (uint32_t)entry, next = after[at];
        const merge   *done = &tokenizer->merges[entry >> 32];
        if (ids[at] != done->left || next == size || ids[next] != done->right) continue;
        ids[at] = done->made;
        ids[next] = ENX_TOKEN_NONE;
        after[at] = after[next];
        if (after[at] < size) before[after[at]] = at;
        if (at > 0) push_pair(tokenizer, scratch, before[at], at);
        if (after[at] < size) push_pair(tokenizer, scratch, at, after[at]);
    }
}

static enx_status encode_long(const enx_tokenizer *tokenizer, const char *bytes, size_t size_bytes,
                              enx_tokens *out, long_scratch *scratch)
{
    ENX_TRY(scratch_reserve(scratch, size_bytes));
    merge_long(tokenizer, scratch, (const uint8_t *)bytes, (uint32_t)size_bytes);
    for (uint32_t at = 0; at < size_bytes; at = scratch->after[at])
        ENX_TRY(enx_tokens_push(out, scratch->ids[at]));
    return ENX_OK;
}

/* Ways (2) and (3): by merging only. */
static enx_status encode_by_merges(const enx_tokenizer *tokenizer, const char *bytes,
                                   size_t size_bytes, enx_tokens *out, long_scratch *scratch)
{
    if (size_bytes > SHORT_PIECE_BYTES)
        return encode_long(tokenizer, bytes, size_bytes, out, scratch);
    uint32_t ids[SHORT_PIECE_BYTES];
    for (size_t i = 0; i < size_bytes; i++) ids[i] = tokenizer->byte_ids[(uint8_t)bytes[i]];
    const size_t count = merge_short(tokenizer, ids, size_bytes);
    for (size_t i = 0; i < count; i++) ENX_TRY(enx_tokens_push(out, ids[i]));
    return ENX_OK;
}

static enx_status encode_piece(const enx_tokenizer *tokenizer, const char *bytes, size_t size_bytes,
                               enx_tokens *out, long_scratch *scratch)
{
    if (size_bytes == 1) return enx_tokens_push(out, tokenizer->byte_ids[(uint8_t)bytes[0]]);
    if (size_bytes <= ENX_TOKEN_BYTES_MAX) {
        const uint32_t id = enx_token_map_find(&tokenizer->normal, bytes, size_bytes);
        if (id != ENX_TOKEN_NONE && (tokenizer->flags[id] & TOKEN_WHOLE))
            return enx_tokens_push(out, id);
    }
    return encode_by_merges(tokenizer, bytes, size_bytes, out, scratch);
}

static enx_status encode_plain(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                               enx_tokens *out, long_scratch *scratch)
{
    if (size_bytes == 0) return ENX_OK;
    if (tokenizer->spm)
        return enx_spm_encode(tokenizer->spm, text, size_bytes, tokenizer->has_space_prefix, out);
    enx_presplit_cursor cursor;
    ENX_TRY(enx_presplit_cursor_init(&cursor, tokenizer->split, text, size_bytes));
    enx_status status = ENX_OK;
    size_t     first = 0, piece_bytes = 0;
    while (status == ENX_OK && enx_presplit_next(&cursor, &first, &piece_bytes))
        status = encode_piece(tokenizer, text + first, piece_bytes, out, scratch);
    enx_presplit_cursor_deinit(&cursor);
    return status;
}

/* The longest control or added token whose name starts at text[0]; only added ones where
 * is_added. */
static uint32_t find_named_prefix(const enx_tokenizer *tokenizer, const char *text,
                                  size_t size_bytes, bool is_added)
{
    if (!tokenizer->named_first[(uint8_t)text[0]]) return ENX_TOKEN_NONE;
    size_t size = size_bytes < ENX_TOKEN_BYTES_MAX ? size_bytes : ENX_TOKEN_BYTES_MAX;
    for (; size > 0; size--) {
        if (!tokenizer->named_sizes[size]) continue;
        const uint32_t id = enx_token_map_find(&tokenizer->named, text, size);
        if (id != ENX_TOKEN_NONE && (!is_added || (tokenizer->flags[id] & TOKEN_ADDED))) return id;
    }
    return ENX_TOKEN_NONE;
}

/* Names of control tokens are text at the literals, and everywhere without any list. */
static enx_status encode_named(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                               const enx_literals *literals, enx_tokens *out, long_scratch *scratch)
{
    size_t plain = 0, next = 0;
    for (size_t at = 0; at < size_bytes;) {
        while (literals && next < literals->count && literals->at[next] < at) next++;
        const bool is_literal = !literals || (next < literals->count && literals->at[next] == at);
        const uint32_t id = find_named_prefix(tokenizer, text + at, size_bytes - at, is_literal);
        if (id == ENX_TOKEN_NONE) {
            at++;
            continue;
        }
        ENX_TRY(encode_plain(tokenizer, text + plain, at - plain, out, scratch));
        ENX_TRY(enx_tokens_push(out, id));
        at += tokenizer->tokens[id].size_bytes;
        plain = at;
    }
    return encode_plain(tokenizer, text + plain, size_bytes - plain, out, scratch);
}

size_t enx_tokenizer_find_control(const enx_tokenizer *tokenizer, const char *text,
                                  size_t size_bytes, size_t from)
{
    for (size_t at = from; at < size_bytes; at++) {
        const uint32_t id = find_named_prefix(tokenizer, text + at, size_bytes - at, false);
        if (id != ENX_TOKEN_NONE && !(tokenizer->flags[id] & TOKEN_ADDED)) return at;
    }
    return size_bytes;
}

static enx_status encode(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                         const enx_literals *literals, enx_tokens *out, enx_report *report)
{
    ENX_CHECK(tokenizer && out && (text || size_bytes == 0));
    const size_t     count_before = out->count;
    long_scratch     scratch = { .heap = NULL };
    const enx_status status = encode_named(tokenizer, text, size_bytes, literals, out, &scratch);
    enx_mem_free(scratch.heap);
    if (status == ENX_OK) return ENX_OK;
    out->count = count_before;
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT,
                        "the text of %zu bytes needs more than the %zu tokens allowed", size_bytes,
                        out->max_count - count_before);
    return ENX_FAIL(report, NOMEM, "no memory to encode a text of %zu bytes", size_bytes);
}

enx_status enx_tokenizer_encode(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                                bool parse_special, enx_tokens *out, enx_report *report)
{
    static const enx_literals none = { 0 };
    return encode(tokenizer, text, size_bytes, parse_special ? &none : NULL, out, report);
}

enx_status enx_tokenizer_begin(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                               enx_tokens *out)
{
    if (tokenizer->bos == ENX_TOKEN_NONE) return ENX_OK;
    const enx_gguf_str name = enx_tokenizer_bytes(tokenizer, tokenizer->bos);
    if (name.size_bytes > 0 && size_bytes >= name.size_bytes &&
        memcmp(text, name.data, name.size_bytes) == 0)
        return ENX_OK;
    return enx_tokens_push(out, tokenizer->bos);
}

enx_status enx_tokenizer_encode_except(const enx_tokenizer *tokenizer, const char *text,
                                       size_t size_bytes, const enx_literals *literals,
                                       enx_tokens *out, enx_report *report)
{
    ENX_CHECK(literals);
    return encode(tokenizer, text, size_bytes, literals, out, report);
}

static bool is_control_in(const enx_vocab *vocab, uint32_t id)
{
    if (vocab->scores)
        return vocab->types[id] == ENX_TOKEN_CONTROL || vocab->types[id] == ENX_TOKEN_UNKNOWN;
    return vocab->is_control && vocab->is_control[id];
}

static bool is_added_in(const enx_vocab *vocab, uint32_t id)
{
    if (vocab->scores) return vocab->types[id] == ENX_TOKEN_ADDED;
    return vocab->is_added && vocab->is_added[id];
}

static bool is_named_in(const enx_vocab *vocab, uint32_t id)
{
    return is_control_in(vocab, id) || is_added_in(vocab, id);
}

static enx_status check_vocab(const enx_vocab *vocab, uint64_t *total_bytes, enx_report *report)
{
    if (vocab->token_count == 0) return ENX_FAIL(report, FORMAT, "the vocabulary has no tokens");
    if (vocab->token_count > ENX_VOCAB_MAX)
        return ENX_FAIL(report, LIMIT, "the vocabulary has %u tokens; at most %d are allowed",
                        vocab->token_count, ENX_VOCAB_MAX);
    if (vocab->merge_count > MERGES_MAX)
        return ENX_FAIL(report, LIMIT, "the vocabulary has %u merges; at most %d are allowed",
                        vocab->merge_count, MERGES_MAX);
    if (vocab->eos != ENX_TOKEN_NONE && vocab->eos >= vocab->token_count)
        return ENX_FAIL(report, FORMAT, "the end-of-text id is %u, but there are %u tokens",
                        vocab->eos, vocab->token_count);
    if (vocab->has_bos && vocab->bos >= vocab->token_count)
        return ENX_FAIL(report, FORMAT, "the start-of-text id is %u, but there are %u tokens",
                        vocab->bos, vocab->token_count);
    *total_bytes = 0;
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        const uint64_t size = vocab->tokens[id].size_bytes;
        if (size == 0) return ENX_FAIL(report, FORMAT, "token %u is empty", id);
        if (size > ENX_TOKEN_BYTES_MAX)
            return ENX_FAIL(report, LIMIT, "token %u has %llu bytes; at most %d are allowed", id,
                            (unsigned long long)size, ENX_TOKEN_BYTES_MAX);
        *total_bytes += size;
    }
    return ENX_OK;
}

static enx_status copy_tokens(enx_tokenizer *tokenizer, const enx_vocab *vocab,
                              uint64_t total_bytes)
{
    const uint32_t count = vocab->token_count;
    tokenizer->token_count = count;
    tokenizer->eos = vocab->eos;
    tokenizer->bos = vocab->has_bos ? vocab->bos : ENX_TOKEN_NONE;
    tokenizer->bytes = ENX_MEM_NEW(char, total_bytes);
    tokenizer->tokens = ENX_MEM_NEW(enx_gguf_str, count);
    tokenizer->flags = ENX_MEM_NEW(uint8_t, count);
    if (!tokenizer->bytes || !tokenizer->tokens || !tokenizer->flags) return ENX_NOMEM;
    uint32_t control_count = 0, named_count = 0;
    char    *at = tokenizer->bytes;
    for (uint32_t id = 0; id < count; id++) {
        size_t size = vocab->tokens[id].size_bytes;
        if (vocab->scores) size = enx_spm_print(&vocab->tokens[id], vocab->types[id], at);
        else memcpy(at, vocab->tokens[id].data, size);
        tokenizer->tokens[id] = (enx_gguf_str){ .data = at, .size_bytes = size };
        at += size;
        control_count += is_control_in(vocab, id);
        named_count += is_named_in(vocab, id);
    }
    ENX_TRY(enx_token_map_init(&tokenizer->normal, tokenizer->tokens, count - control_count));
    return enx_token_map_init(&tokenizer->named, tokenizer->tokens, named_count);
}

/* Of tokens with the same bytes, one that is text goes before the token of a byte. */
static void index_normal(enx_tokenizer *tokenizer, const enx_vocab *vocab)
{
    for (int is_byte = 0; is_byte < 2; is_byte++)
        for (uint32_t id = 0; id < tokenizer->token_count; id++)
            if (!is_control_in(vocab, id) &&
                is_byte == (vocab->scores && vocab->types[id] == ENX_TOKEN_BYTE))
                enx_token_map_put(&tokenizer->normal, id);
}

static void index_tokens(enx_tokenizer *tokenizer, const enx_vocab *vocab)
{
    index_normal(tokenizer, vocab);
    for (uint32_t id = 0; id < tokenizer->token_count; id++) {
        if (is_control_in(vocab, id)) tokenizer->flags[id] |= TOKEN_CONTROL;
        if (is_added_in(vocab, id)) tokenizer->flags[id] |= TOKEN_ADDED;
        if (id == vocab->eos || (vocab->is_end && vocab->is_end[id]))
            tokenizer->flags[id] |= TOKEN_END;
        if (!is_named_in(vocab, id)) continue;
        tokenizer->named_first[(uint8_t)tokenizer->tokens[id].data[0]] = true;
        tokenizer->named_sizes[tokenizer->tokens[id].size_bytes] = true;
        enx_token_map_put(&tokenizer->named, id);
    }
}

static enx_status index_bytes(enx_tokenizer *tokenizer, enx_report *report)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const char     text = (char)byte;
        const uint32_t id = enx_token_map_find(&tokenizer->normal, &text, 1);
        if (id == ENX_TOKEN_NONE)
            return ENX_FAIL(report, FORMAT,
                            "the vocabulary has no token for the byte 0x%02X; byte-level BPE needs "
                            "all 256",
                            byte);
        tokenizer->byte_ids[byte] = id;
    }
    return ENX_OK;
}

static uint32_t find_made(const enx_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    char                joined[ENX_TOKEN_BYTES_MAX];
    const enx_gguf_str *a = &tokenizer->tokens[left], *b = &tokenizer->tokens[right];
    if (a->size_bytes + b->size_bytes > sizeof joined) return ENX_TOKEN_NONE;
    memcpy(joined, a->data, a->size_bytes);
    memcpy(joined + a->size_bytes, b->data, b->size_bytes);
    return enx_token_map_find(&tokenizer->normal, joined, a->size_bytes + b->size_bytes);
}

/* Where a pair comes twice its first rank holds. */
static void put_pair(enx_tokenizer *tokenizer, uint32_t left, uint32_t right, uint32_t rank)
{
    uint32_t slot = hash_pair(left, right) & tokenizer->pair_mask;
    while (tokenizer->pairs[slot].rank != RANK_NONE) {
        if (tokenizer->pairs[slot].left == left && tokenizer->pairs[slot].right == right) return;
        slot = (slot + 1) & tokenizer->pair_mask;
    }
    tokenizer->pairs[slot] = (pair_slot){ .left = left, .right = right, .rank = rank };
}

static enx_status index_merges(enx_tokenizer *tokenizer, const enx_vocab *vocab, enx_report *report)
{
    size_t slot_count = 16;
    while (slot_count < (size_t)vocab->merge_count * 2) slot_count *= 2;
    tokenizer->pair_mask = (uint32_t)(slot_count - 1);
    tokenizer->pairs = ENX_MEM_NEW(pair_slot, slot_count);
    tokenizer->merges = ENX_MEM_NEW(merge, vocab->merge_count);
    if (!tokenizer->pairs || !tokenizer->merges)
        return ENX_FAIL(report, NOMEM, "no memory for %u merges", vocab->merge_count);
    memset(tokenizer->pairs, 0xFF, slot_count * sizeof *tokenizer->pairs);
    for (uint32_t rank = 0; rank < vocab->merge_count; rank++) {
        const uint32_t left = vocab->merges[rank][0], right = vocab->merges[rank][1];
        if (left >= vocab->token_count || right >= vocab->token_count)
            return ENX_FAIL(report, FORMAT, "merge %u joins tokens %u and %u, but there are %u",
                            rank, left, right, vocab->token_count);
        if (is_control_in(vocab, left) || is_control_in(vocab, right))
            return ENX_FAIL(report, FORMAT,
                            "merge %u joins tokens %u and %u: one is a control token", rank, left,
                            right);
        const uint32_t made = find_made(tokenizer, left, right);
        if (made == ENX_TOKEN_NONE)
            return ENX_FAIL(report, FORMAT,
                            "merge %u joins tokens %u and %u, but no token has their bytes", rank,
                            left, right);
        tokenizer->merges[rank] = (merge){ .left = left, .right = right, .made = made };
        put_pair(tokenizer, left, right, rank);
    }
    return ENX_OK;
}

/* Find out for which tokens way (1) is right.  Some models take it for all, reachable by merges or
 * not ("ignore_merges" in their tokenizer.json). */
static enx_status mark_whole_tokens(enx_tokenizer *tokenizer)
{
    const bool   is_any_whole = enx_presplit_ignores_merges(tokenizer->split);
    enx_status   status = ENX_OK;
    enx_tokens   result;
    long_scratch scratch = { .heap = NULL };
    enx_tokens_init(&result, ENX_TOKEN_BYTES_MAX);
    for (uint32_t id = 0; id < tokenizer->token_count && status == ENX_OK; id++) {
        const enx_gguf_str *token = &tokenizer->tokens[id];
        if (tokenizer->flags[id] & TOKEN_CONTROL) continue;
        if (is_any_whole) {
            tokenizer->flags[id] |= TOKEN_WHOLE;
            continue;
        }
        result.count = 0;
        status = encode_by_merges(tokenizer, token->data, token->size_bytes, &result, &scratch);
        if (status == ENX_OK && result.count == 1 && result.ids[0] == id)
            tokenizer->flags[id] |= TOKEN_WHOLE;
    }
    enx_mem_free(scratch.heap);
    enx_tokens_deinit(&result);
    return status;
}

static enx_status build_byte_level(enx_tokenizer *tokenizer, const enx_vocab *vocab,
                                   enx_report *report)
{
    ENX_TRY(index_bytes(tokenizer, report));
    ENX_TRY(index_merges(tokenizer, vocab, report));
    if (mark_whole_tokens(tokenizer) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for %u tokens", vocab->token_count);
    return ENX_OK;
}

static enx_status build(enx_tokenizer *tokenizer, const enx_vocab *vocab, enx_report *report)
{
    uint64_t total_bytes = 0;
    if (!vocab->scores)
        ENX_TRY(enx_presplit_open(&tokenizer->split, vocab->pre, strlen(vocab->pre), report));
    ENX_TRY(check_vocab(vocab, &total_bytes, report));
    if (copy_tokens(tokenizer, vocab, total_bytes) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for %u tokens", vocab->token_count);
    index_tokens(tokenizer, vocab);
    if (!vocab->scores) return build_byte_level(tokenizer, vocab, report);
    tokenizer->has_space_prefix = vocab->has_space_prefix;
    return enx_spm_open(&tokenizer->spm, vocab, report);
}

enx_status enx_tokenizer_open_vocab(enx_tokenizer **out, const enx_vocab *vocab, enx_report *report)
{
    ENX_CHECK(out && vocab && (vocab->scores ? vocab->types != NULL : vocab->pre != NULL) &&
              (vocab->tokens || vocab->token_count == 0) &&
              (vocab->merges || vocab->merge_count == 0));
    enx_tokenizer *tokenizer = ENX_MEM_NEW(enx_tokenizer, 1);
    if (!tokenizer) return ENX_FAIL(report, NOMEM, "no memory for a tokenizer");
    const enx_status status = build(tokenizer, vocab, report);
    if (status != ENX_OK) enx_tokenizer_close(&tokenizer);
    else *out = tokenizer;
    return status;
}

void enx_tokenizer_close(enx_tokenizer **tokenizer)
{
    enx_tokenizer *t = *tokenizer;
    if (!t) return;
    enx_presplit_close(&t->split);
    enx_spm_close(&t->spm);
    enx_token_map_deinit(&t->normal);
    enx_token_map_deinit(&t->named);
    enx_mem_free(t->pairs);
    enx_mem_free(t->merges);
    enx_mem_free(t->flags);
    enx_mem_free(t->tokens);
    enx_mem_free(t->bytes);
    enx_mem_free(t);
    *tokenizer = NULL;
}

uint32_t enx_tokenizer_count(const enx_tokenizer *tokenizer) { return tokenizer->token_count; }

uint32_t enx_tokenizer_eos(const enx_tokenizer *tokenizer) { return tokenizer->eos; }

uint32_t enx_tokenizer_bos(const enx_tokenizer *tokenizer) { return tokenizer->bos; }

bool enx_tokenizer_is_end(const enx_tokenizer *tokenizer, uint32_t id)
{
    ENX_CHECK(id < tokenizer->token_count);
    return tokenizer->flags[id] & TOKEN_END;
}

bool enx_tokenizer_has_space_prefix(const enx_tokenizer *tokenizer)
{
    return tokenizer->has_space_prefix;
}

bool enx_tokenizer_is_control(const enx_tokenizer *tokenizer, uint32_t id)
{
    ENX_CHECK(id < tokenizer->token_count);
    return tokenizer->flags[id] & TOKEN_CONTROL;
}

enx_gguf_str enx_tokenizer_bytes(const enx_tokenizer *tokenizer, uint32_t id)
{
    ENX_CHECK(id < tokenizer->token_count);
    return tokenizer->tokens[id];
}

uint32_t enx_tokenizer_find(const enx_tokenizer *tokenizer, const char *bytes, size_t size_bytes)
{
    if (size_bytes == 0 || size_bytes > ENX_TOKEN_BYTES_MAX) return ENX_TOKEN_NONE;
    const uint32_t id = enx_token_map_find(&tokenizer->normal, bytes, size_bytes);
    return id != ENX_TOKEN_NONE ? id : enx_token_map_find(&tokenizer->named, bytes, size_bytes);
}
