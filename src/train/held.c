/* SPDX-License-Identifier: Apache-2.0 */
/* held.c - held-out text as tokens. */
#include "train/held.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>

enum { CHARACTER_BYTES_MAX = 4, PATH_MAX_BYTES = 4096, PAD_TOKENS = 32 };

struct enx_held {
    enx_tokens tokens;
    size_t    *starts; /* [window_count + 1], into tokens */
    uint32_t   window_count, window_max;
    uint64_t   bytes, hash;
    uint32_t   end; /* the token before each window */
};

static size_t character_start(const uint8_t *bytes, size_t at)
{
    for (int i = 0; i < CHARACTER_BYTES_MAX - 1 && at > 0 && (bytes[at] & 0xC0) == 0x80; i++) at--;
    return at;
}

static enx_status add_window(enx_held *h, const enx_tokenizer *tokenizer, const uint8_t *text,
                             size_t size_bytes, enx_report *report)
{
    ENX_CHECK(h->window_count < h->window_max);
    ENX_TRY(
        enx_tokenizer_encode(tokenizer, (const char *)text, size_bytes, false, &h->tokens, report));
    h->starts[++h->window_count] = h->tokens.count;
    h->bytes += size_bytes;
    for (size_t i = 0; i < size_bytes; i++) h->hash = (h->hash ^ text[i]) * UINT64_C(0x100000001B3);
    return ENX_OK;
}

/* `count` windows at equal distances. */
static enx_status add_file(enx_held *h, const enx_held_options *o, const enx_file *file,
                           uint32_t count, enx_report *report)
{
    const size_t window = o->context - CHARACTER_BYTES_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const size_t at = (size_t)((double)(file->size_bytes - window) * i / count);
        const size_t first = character_start(file->bytes, at);
        const size_t end = character_start(file->bytes, first + window);
        ENX_TRY(add_window(h, o->tokenizer, file->bytes + first, end - first, report));
    }
    return ENX_OK;
}

static enx_status map_file(enx_file *file, const enx_held_options *o, uint32_t index,
                           enx_report *report)
{
    char path[PATH_MAX_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", o->folder, o->files[index]) >= (int)sizeof path)
        return ENX_FAIL(report, LIMIT, "path too long: %s/%s", o->folder, o->files[index]);
    return enx_file_map(file, path, report);
}

static enx_status add_files(enx_held *h, const enx_held_options *o, enx_report *report)
{
    const size_t window = o->context - CHARACTER_BYTES_MAX;
    uint64_t     all_bytes = 0;
    for (uint32_t i = 0; i < o->file_count; i++) {
        enx_file file = { 0 };
        ENX_TRY(map_file(&file, o, i, report));
        all_bytes += file.size_bytes;
        enx_file_unmap(&file);
    }
    if (all_bytes < o->bytes)
        return ENX_FAIL(report, INVALID,
                        "held-out text: %u bytes are asked for, its files have %llu", o->bytes,
                        (unsigned long long)all_bytes);
    for (uint32_t i = 0; i < o->file_count; i++) {
        enx_file file = { 0 };
        ENX_TRY(map_file(&file, o, i, report));
        const double     share = (double)o->bytes * (double)file.size_bytes / (double)all_bytes;
        const uint32_t   count = file.size_bytes > window ? (uint32_t)(share / (double)window) : 0;
        const enx_status status = add_file(h, o, &file, count, report);
        enx_file_unmap(&file);
        ENX_TRY(status);
    }
    if (h->window_count == 0)
        return ENX_FAIL(report, INVALID, "held-out text: %u bytes are less than a window",
                        o->bytes);
    return ENX_OK;
}

enx_status enx_held_open(enx_held **out, const enx_held_options *options, enx_report *report)
{
    enx_held *h = ENX_MEM_NEW(enx_held, 1);
    if (!h) return ENX_FAIL(report, NOMEM, "no memory for held-out text");
    h->hash = UINT64_C(0xCBF29CE484222325);
    h->end = enx_tokenizer_eos(options->tokenizer);
    h->window_max = options->bytes / (options->context - CHARACTER_BYTES_MAX) + 1;
    h->starts = ENX_MEM_NEW(size_t, (size_t)h->window_max + 1);
    enx_tokens_init(&h->tokens, ENX_HELD_BYTES_MAX);
    enx_status status = h->starts ? add_files(h, options, report)
                                  : ENX_FAIL(report, NOMEM, "no memory for held-out text");
    if (status != ENX_OK) {
        enx_held_close(&h);
        return status;
    }
    *out = h;
    return ENX_OK;
}

void enx_held_close(enx_held **held)
{
    if (!*held) return;
    enx_tokens_deinit(&(*held)->tokens);
    enx_mem_free((*held)->starts);
    enx_mem_free(*held);
    *held = NULL;
}

static void put_window(const enx_held *h, uint32_t window, enx_batch *b, uint32_t at)
{
    const uint32_t *tokens = h->tokens.ids + h->starts[window];
    const uint32_t  count = (uint32_t)(h->starts[window + 1] - h->starts[window]);
    for (uint32_t i = 0; i < count; i++) {
        b->tokens[at + i] = i ? tokens[i - 1] : h->end;
        b->targets[at + i] = tokens[i];
        b->positions[at + i] = i;
    }
    b->target_count += count;
    b->segment_ends[b->segment_count++] = at + count;
}

bool enx_held_fill(const enx_held *held, uint32_t *next, enx_batch *batch)
{
    uint32_t used = 0;
    if (*next == held->window_count) return false;
    batch->segment_count = batch->target_count = 0;
    while (*next < held->window_count) {
        const size_t count = held->starts[*next + 1] - held->starts[*next];
        if (used + count > batch->token_count) break;
        put_window(held, (*next)++, batch, used);
        used += (uint32_t)count;
    }
    ENX_CHECK(used > 0);
    for (uint32_t i = used; i < batch->token_count; i++) {
        batch->tokens[i] = held->end;
        batch->targets[i] = ENX_TARGET_NONE;
        batch->positions[i] = (i - used) % PAD_TOKENS;
        if (i + 1 == batch->token_count || (i + 1 - used) % PAD_TOKENS == 0)
            batch->segment_ends[batch->segment_count++] = i + 1;
    }
    return true;
}

uint32_t enx_held_window_count(const enx_held *held) { return held->window_count; }

uint64_t enx_held_bytes(const enx_held *held) { return held->bytes; }

uint64_t enx_held_token_count(const enx_held *held) { return held->tokens.count; }

uint64_t enx_held_hash(const enx_held *held) { return held->hash; }
