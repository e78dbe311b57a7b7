/* SPDX-License-Identifier: Apache-2.0 */
/* spm.c - SentencePiece byte-pair encoding.
 *
 * Symbols are a list of neighbours over the escaped text.  A heap holds the pairs that could be
 * merged; a pair whose symbols have changed since is recognised by its size when it comes up.
 * Each merge takes one symbol and adds at most two pairs, so n symbols need at most 3 n pairs and
 * n log n steps, and a pair longer than every token is not looked up.
 *
 * Where no token has a mark after something else (nearly all vocabularies), no merge crosses from a
 * word to the mark of the next, so words are merged one after another: the same, with small heaps.
 */
#include "text/spm.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/token_map.h"
#include "text/utf8.h"

#include <math.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 30, MARK_BYTES = 3, BYTE_NAME_BYTES = 6 };

static const char mark[] = "\xE2\x96\x81"; /* U+2581 */

struct enx_spm {
    char         *bytes;  /* owned */
    enx_gguf_str *tokens; /* owned: as in the file */
    float        *scores; /* owned */
    size_t        token_bytes_max;
    uint32_t      byte_ids[256];
    bool          has_words; /* no token has a mark after something else */
    enx_token_map map;       /* the tokens that text may become */
};

typedef struct symbol {
    uint32_t first, size_bytes; /* 0: merged into the one on its left */
    uint32_t before, after;     /* UINT32_MAX: none */
} symbol;

typedef struct pair {
    uint64_t order; /* the lower comes first: by score from high to low, then from the left */
    uint32_t size_bytes;
} pair;

typedef struct merge_job {
    const enx_spm *spm;
    char          *text;    /* owned, escaped */
    symbol        *symbols; /* owned */
    pair          *heap;    /* owned */
    size_t         size_bytes, symbol_count, heap_count;
} merge_job;

/* ---- the vocabulary ---- */

static int read_hex(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

/* The byte of "<0xXX>", -1 where the token has no such name. */
static int read_byte_name(const enx_gguf_str *token)
{
    const char *name = token->data;
    if (token->size_bytes != BYTE_NAME_BYTES || memcmp(name, "<0x", 3) || name[5] != '>') return -1;
    const int high = read_hex(name[3]), low = read_hex(name[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

size_t enx_spm_print(const enx_gguf_str *token, enx_token_type type, char *out)
{
    const int byte = type == ENX_TOKEN_BYTE ? read_byte_name(token) : -1;
    if (byte >= 0) {
        out[0] = (char)byte;
        return 1;
    }
    const bool is_escaped = type == ENX_TOKEN_NORMAL || type == ENX_TOKEN_UNUSED;
    size_t     count = 0;
    for (size_t at = 0; at < token->size_bytes;) {
        if (is_escaped && token->size_bytes - at >= MARK_BYTES &&
            !memcmp(token->data + at, mark, MARK_BYTES)) {
            out[count++] = ' ';
            at += MARK_BYTES;
        } else {
            out[count++] = token->data[at++];
        }
    }
    return count;
}

static bool is_text_type(enx_token_type type)
{
    return type == ENX_TOKEN_NORMAL || type == ENX_TOKEN_ADDED || type == ENX_TOKEN_UNUSED;
}

/* The end of the word that starts at `first`: before a mark that follows something else. */
static size_t find_word_end(const char *text, size_t size_bytes, size_t first)
{
    for (size_t at = first + 1; at + MARK_BYTES <= size_bytes; at++) {
        if (memcmp(text + at, mark, MARK_BYTES) != 0) continue;
        if (at - first < MARK_BYTES || memcmp(text + at - MARK_BYTES, mark, MARK_BYTES) != 0)
            return at;
    }
    return size_bytes;
}

static enx_status copy_vocab(enx_spm *spm, const enx_vocab *vocab)
{
    size_t   total_bytes = 0;
    uint32_t text_count = 0;
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        total_bytes += vocab->tokens[id].size_bytes;
        text_count += is_text_type(vocab->types[id]);
    }
    spm->bytes = ENX_MEM_NEW(char, total_bytes);
    spm->tokens = ENX_MEM_NEW(enx_gguf_str, vocab->token_count);
    spm->scores = ENX_MEM_NEW(float, vocab->token_count);
    if (!spm->bytes || !spm->tokens || !spm->scores) return ENX_NOMEM;
    ENX_TRY(enx_token_map_init(&spm->map, spm->tokens, text_count));
    char *at = spm->bytes;
    spm->has_words = true;
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        const size_t size = vocab->tokens[id].size_bytes;
        memcpy(at, vocab->tokens[id].data, size);
        spm->tokens[id] = (enx_gguf_str){ .data = at, .size_bytes = size };
        spm->scores[id] = vocab->scores[id] + 0.0f; /* no negative zero */
        at += size;
        if (!is_text_type(vocab->types[id])) continue;
        if (find_word_end(vocab->tokens[id].data, size, 0) != size) spm->has_words = false;
        if (size > spm->token_bytes_max) spm->token_bytes_max = size;
        enx_token_map_put(&spm->map, id);
    }
    return ENX_OK;
}

/* A byte's own token, or a token of this one character, or the unknown token. */
static enx_status find_bytes(enx_spm *spm, const enx_vocab *vocab, enx_report *report)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const char     text = (char)byte;
        const uint32_t id = enx_token_map_find(&spm->map, &text, 1);
        spm->byte_ids[byte] = id != ENX_TOKEN_NONE ? id : vocab->unknown;
    }
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        const int byte = vocab->types[id] == ENX_TOKEN_BYTE ? read_byte_name(&spm->tokens[id]) : -1;
        if (byte >= 0) spm->byte_ids[byte] = id;
    }
    for (unsigned byte = 0; byte < 256; byte++)
        if (spm->byte_ids[byte] >= vocab->token_count)
            return ENX_FAIL(report, FORMAT,
                            "the vocabulary has neither a token for the byte 0x%02X nor an unknown "
                            "token",
                            byte);
    return ENX_OK;
}

enx_status enx_spm_open(enx_spm **out, const enx_vocab *vocab, enx_report *report)
{
    ENX_CHECK(out && vocab && vocab->scores && vocab->types);
    for (uint32_t id = 0; id < vocab->token_count; id++)
        if (isnan(vocab->scores[id]))
            return ENX_FAIL(report, FORMAT, "the score of token %u is not a number", id);
    enx_spm   *spm = ENX_MEM_NEW(enx_spm, 1);
    enx_status status = spm ? copy_vocab(spm, vocab) : ENX_NOMEM;
    if (status != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for %u tokens", vocab->token_count);
    else status = find_bytes(spm, vocab, report);
    if (status != ENX_OK) enx_spm_close(&spm);
    else *out = spm;
    return status;
}

void enx_spm_close(enx_spm **spm)
{
    if (!*spm) return;
    enx_token_map_deinit(&(*spm)->map);
    enx_mem_free((*spm)->scores);
    enx_mem_free((*spm)->tokens);
    enx_mem_free((*spm)->bytes);
    enx_mem_free(*spm);
    *spm = NULL;
}

/* ---- merging ---- */

static void push_heap(merge_job *job, pair entry)
{
    size_t at = job->heap_count++;
    for (; at > 0 && job->heap[(at - 1) / 2].order > entry.order; at = (at - 1) / 2)
        job->heap[at] = job->heap[(at - 1) / 2];
    job->heap[at] = entry;
}

static pair pop_heap(merge_job *job)
{
    pair      *heap = job->heap;
    const pair top = heap[0], last = heap[--job->heap_count];
    size_t     at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= job->heap_count) break;
        if (child + 1 < job->heap_count && heap[child + 1].order < heap[child].order) child++;
        if (heap[child].order >= last.order) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* The bits of a float, turned so that a higher score is a lower number. */
static uint32_t order_score(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7FFFFFFFu - bits;
}

static void push_pair(merge_job *job, uint32_t left, uint32_t right)
{
    const symbol  *a = &job->symbols[left], *b = &job->symbols[right];
    const uint32_t size = a->size_bytes + b->size_bytes;
    if (size > job->spm->token_bytes_max) return;
    const uint32_t id = enx_token_map_find(&job->spm->map, job->text + a->first, size);
    if (id == ENX_TOKEN_NONE) return;
    push_heap(job, (pair){ .order = (uint64_t)order_score(job->spm->scores[id]) << 32 | left,
                           .size_bytes = size });
}

static void merge_all(merge_job *job)
{
    symbol *symbols = job->symbols;
    for (uint32_t i = 1; i < job->symbol_count; i++) push_pair(job, i - 1, i);
    while (job->heap_count) {
        const pair     best = pop_heap(job);
        const uint32_t at = (uint32_t)best.order;
        symbol        *left = &symbols[at];
        if (left->size_bytes == 0 || left->after == UINT32_MAX) continue;
        symbol *right = &symbols[left->after];
        if (left->size_bytes + right->size_bytes != best.size_bytes) continue;
        left->size_bytes = best.size_bytes;
        right->size_bytes = 0;
        left->after = right->after;
        if (left->after != UINT32_MAX) symbols[left->after].before = at;
        if (left->before != UINT32_MAX) push_pair(job, left->before, at);
        if (left->after != UINT32_MAX) push_pair(job, at, left->after);
    }
}

/* ---- text ---- */

static enx_status escape_text(merge_job *job, const char *text, size_t size_bytes, bool is_prefixed)
{
    size_t space_count = is_prefixed;
    for (size_t i = 0; i < size_bytes; i++) space_count += text[i] == ' ';
    job->text = ENX_MEM_NEW(char, size_bytes + MARK_BYTES * space_count);
    if (!job->text) return ENX_NOMEM;
    char *at = job->text;
    if (is_prefixed) at = (char *)memcpy(at, mark, MARK_BYTES) + MARK_BYTES;
    for (size_t i = 0; i < size_bytes; i++) {
        if (text[i] == ' ') at = (char *)memcpy(at, mark, MARK_BYTES) + MARK_BYTES;
        else *at++ = text[i];
    }
    job->size_bytes = (size_t)(at - job->text);
    return ENX_OK;
}

/* A stray byte is a symbol of its own. */
static void cut_symbols(merge_job *job, size_t first, size_t end)
{
    uint32_t count = 0, character;
    for (size_t at = first; at < end; count++) {
        const size_t size = enx_utf8_decode(job->text + at, end - at, &character);
        job->symbols[count] = (symbol){ .first = (uint32_t)at,
                                        .size_bytes = (uint32_t)size,
                                        .before = count - 1,
                                        .after = count + 1 };
        at += size;
    }
    job->symbols[count - 1].after = UINT32_MAX;
    job->symbol_count = count;
}

static enx_status push_tokens(const merge_job *job, enx_tokens *out)
{
    for (uint32_t i = 0; i != UINT32_MAX; i = job->symbols[i].after) {
        const symbol  *here = &job->symbols[i];
        const char    *text = job->text + here->first;
        const uint32_t id = enx_token_map_find(&job->spm->map, text, here->size_bytes);
        if (id != ENX_TOKEN_NONE) {
            ENX_TRY(enx_tokens_push(out, id));
            continue;
        }
        for (uint32_t k = 0; k < here->size_bytes; k++)
            ENX_TRY(enx_tokens_push(out, job->spm->byte_ids[(uint8_t)text[k]]));
    }
    return ENX_OK;
}

static enx_status encode_words(merge_job *job, enx_tokens *out)
{
    job->symbols = ENX_MEM_NEW(symbol, job->size_bytes);
    job->heap = ENX_MEM_NEW(pair, 3 * job->size_bytes);
    if (!job->symbols || !job->heap) return ENX_NOMEM;
    for (size_t first = 0; first < job->size_bytes;) {
        const size_t end = job->spm->has_words ? find_word_end(job->text, job->size_bytes, first)
                                               : job->size_bytes;
        cut_symbols(job, first, end);
        merge_all(job);
        ENX_TRY(push_tokens(job, out));
        first = end;
    }
    return ENX_OK;
}

enx_status enx_spm_encode(const enx_spm *spm, const char *text, size_t size_bytes, bool is_prefixed,
                          enx_tokens *out)
{
    if (size_bytes == 0) return ENX_OK;
    if (size_bytes >= TEXT_BYTES_MAX) return ENX_LIMIT;
    merge_job  job = { .spm = spm };
    enx_status status = escape_text(&job, text, size_bytes, is_prefixed);
    if (status == ENX_OK) status = encode_words(&job, out);
    enx_mem_free(job.heap);
    enx_mem_free(job.symbols);
    enx_mem_free(job.text);
    return status;
}
