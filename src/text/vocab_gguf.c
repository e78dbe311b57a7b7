/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_gguf.c - vocabularies in GGUF files. */
#include "text/vocab_gguf.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/presplit.h"
#include "text/token_map.h"

#include <string.h>

enum {
    PRE_BYTES_MAX = 64,
    PRINTED_BYTES_MAX = 2 * ENX_TOKEN_BYTES_MAX, /* every byte is at most two in the alphabet */
    MERGE_BYTES_MAX = 2 * ENX_TOKEN_BYTES_MAX * 2 + 1, /* two tokens and a space */
};

/* ---- the alphabet ---- */

static bool is_seen(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

/* byte → character, and character (below U+0180) → byte, -1 where there is none. */
typedef struct alphabet {
    uint16_t character[256];
    int16_t  byte[0x180];
} alphabet;

static void alphabet_init(alphabet *letters)
{
    unsigned next = 0x100;
    memset(letters->byte, 0xFF, sizeof letters->byte);
    for (unsigned byte = 0; byte < 256; byte++) {
        const unsigned character = is_seen(byte) ? byte : next++;
        letters->character[byte] = (uint16_t)character;
        letters->byte[character] = (int16_t)byte;
    }
}

/* `out` has room for 2 * size_bytes; returns the bytes written. */
static size_t print_bytes(const alphabet *letters, const char *bytes, size_t size_bytes, char *out)
{
    size_t count = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        const unsigned character = letters->character[(uint8_t)bytes[i]];
        if (character < 0x80) {
            out[count++] = (char)character;
        } else {
            out[count++] = (char)(0xC0 | character >> 6);
            out[count++] = (char)(0x80 | (character & 0x3F));
        }
    }
    return count;
}

/* The other way; `out` has room for size_bytes.  0: some character is not of the alphabet. */
static size_t read_printed(const alphabet *letters, const char *text, size_t size_bytes, char *out)
{
    size_t count = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        unsigned character = (uint8_t)text[i];
        if (character >= 0x80) {
            if (character < 0xC2 || character > 0xC5 || i + 1 == size_bytes) return 0;
            const unsigned low = (uint8_t)text[++i];
            if ((low & 0xC0) != 0x80) return 0;
            character = (character & 0x1F) << 6 | (low & 0x3F);
        }
        if (letters->byte[character] < 0) return 0;
        out[count++] = (char)letters->byte[character];
    }
    return count;
}

/* ---- writing ---- */

typedef struct print_job {
    alphabet      letters;
    char         *bytes; /* owned: printed tokens, then printed merges */
    size_t        used;
    enx_gguf_str *texts; /* owned [max(token_count, merge_count)] */
    int32_t      *types; /* owned [token_count] */
} print_job;

static bool is_control_in(const enx_vocab *vocab, uint32_t id)
{
    return vocab->is_control && vocab->is_control[id];
}

static bool is_raw_in(const enx_vocab *vocab, uint32_t id)
{
    return is_control_in(vocab, id) || (vocab->is_added && vocab->is_added[id]);
}

static enx_status check_written(const enx_vocab *vocab, enx_report *report)
{
    for (uint32_t id = 0; id < vocab->token_count; id++)
        if (vocab->tokens[id].size_bytes > ENX_TOKEN_BYTES_MAX)
            return ENX_FAIL(report, INVALID, "token %u has %llu bytes; at most %d are allowed", id,
                            (unsigned long long)vocab->tokens[id].size_bytes, ENX_TOKEN_BYTES_MAX);
    for (uint32_t rank = 0; rank < vocab->merge_count; rank++)
        if (vocab->merges[rank][0] >= vocab->token_count ||
            vocab->merges[rank][1] >= vocab->token_count)
            return ENX_FAIL(report, INVALID, "merge %u joins tokens %u and %u, but there are %u",
                            rank, vocab->merges[rank][0], vocab->merges[rank][1],
                            vocab->token_count);
    return ENX_OK;
}

static enx_status reserve_print(print_job *job, const enx_vocab *vocab)
{
    size_t token_bytes = 0, merge_bytes = 0;
    for (uint32_t id = 0; id < vocab->token_count; id++)
        token_bytes += 2 * vocab->tokens[id].size_bytes;
    for (uint32_t rank = 0; rank < vocab->merge_count; rank++)
        merge_bytes += 2 * (vocab->tokens[vocab->merges[rank][0]].size_bytes +
                            vocab->tokens[vocab->merges[rank][1]].size_bytes) +
                       1;
    const uint32_t count =
        vocab->token_count > vocab->merge_count ? vocab->token_count : vocab->merge_count;
    job->bytes = ENX_MEM_NEW(char, token_bytes > merge_bytes ? token_bytes : merge_bytes);
    job->texts = ENX_MEM_NEW(enx_gguf_str, count);
    job->types = ENX_MEM_NEW(int32_t, vocab->token_count);
    return job->bytes && job->texts && job->types ? ENX_OK : ENX_NOMEM;
}

static void print_token(print_job *job, const enx_vocab *vocab, uint32_t id)
{
    const enx_gguf_str *token = &vocab->tokens[id];
    char               *at = job->bytes + job->used;
    if (is_raw_in(vocab, id)) {
        memcpy(at, token->data, token->size_bytes);
        job->used += token->size_bytes;
    } else {
        job->used += print_bytes(&job->letters, token->data, token->size_bytes, at);
    }
}

static void write_tokens(enx_gguf_writer *writer, print_job *job, const enx_vocab *vocab)
{
    job->used = 0;
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        const size_t first = job->used;
        print_token(job, vocab, id);
        job->texts[id] =
            (enx_gguf_str){ .data = job->bytes + first, .size_bytes = job->used - first };
        job->types[id] = is_control_in(vocab, id) ? ENX_TOKEN_CONTROL
                         : is_raw_in(vocab, id)   ? ENX_TOKEN_ADDED
                                                  : ENX_TOKEN_NORMAL;
    }
    enx_gguf_add_strs(writer, "tokenizer.ggml.tokens", job->texts, vocab->token_count);
    enx_gguf_add_i32s(writer, "tokenizer.ggml.token_type", job->types, vocab->token_count);
}

static void write_merges(enx_gguf_writer *writer, print_job *job, const enx_vocab *vocab)
{
    job->used = 0;
    for (uint32_t rank = 0; rank < vocab->merge_count; rank++) {
        const size_t first = job->used;
        print_token(job, vocab, vocab->merges[rank][0]);
        job->bytes[job->used++] = ' ';
        print_token(job, vocab, vocab->merges[rank][1]);
        job->texts[rank] =
            (enx_gguf_str){ .data = job->bytes + first, .size_bytes = job->used - first };
    }
    enx_gguf_add_strs(writer, "tokenizer.ggml.merges", job->texts, vocab->merge_count);
}

enx_status enx_vocab_write(enx_gguf_writer *writer, const enx_vocab *vocab, enx_report *report)
{
    ENX_CHECK(writer && vocab && vocab->pre);
    ENX_TRY(check_written(vocab, report));
    print_job  job = { .bytes = NULL };
    enx_status status = reserve_print(&job, vocab);
    if (status != ENX_OK) {
        status = ENX_FAIL(report, NOMEM, "no memory to write %u tokens", vocab->token_count);
        goto done;
    }
    alphabet_init(&job.letters);
    enx_gguf_add_str(writer, "tokenizer.ggml.model", "gpt2");
    enx_gguf_add_str(writer, "tokenizer.ggml.pre", vocab->pre);
    write_tokens(writer, &job, vocab);
    write_merges(writer, &job, vocab);
    if (vocab->eos != ENX_TOKEN_NONE) {
        enx_gguf_add_u32(writer, "tokenizer.ggml.eos_token_id", vocab->eos);
        enx_gguf_add_u32(writer, "tokenizer.ggml.padding_token_id", vocab->eos);
    }
    if (vocab->has_bos || vocab->eos != ENX_TOKEN_NONE)
        enx_gguf_add_u32(writer, "tokenizer.ggml.bos_token_id",
                         vocab->has_bos ? vocab->bos : vocab->eos);
    enx_gguf_add_bool(writer, "tokenizer.ggml.add_bos_token", vocab->has_bos);
done:
    enx_mem_free(job.bytes);
    enx_mem_free(job.texts);
    enx_mem_free(job.types);
    return status;
}

/* ---- reading ---- */

typedef struct read_job {
    const enx_gguf *gguf;
    alphabet        letters;
    enx_vocab       vocab;
    char            pre[PRE_BYTES_MAX + 1];
    char           *bytes;      /* owned */
    enx_gguf_str   *tokens;     /* owned */
    bool           *is_control; /* owned */
    bool           *is_added;   /* owned */
    bool           *is_end;     /* owned */
    bool            is_spm;
    float          *scores; /* owned; with is_spm only, as types */
    enx_token_type *types;  /* owned */
    uint32_t (*merges)[2];  /* owned */
    enx_token_map map;
} read_job;

/* What every reader of keys here says for a missing one. */
static enx_status as_format(enx_status status, const char *key, enx_report *report)
{
    if (status != ENX_NOTFOUND) return status;
    return ENX_FAIL(report, FORMAT, "the file has no %s, so no tokenizer can be made from it", key);
}

static enx_status read_names(read_job *job, enx_report *report)
{
    enx_gguf_str model, pre;
    enx_status   status = enx_gguf_read_str(job->gguf, "tokenizer.ggml.model", &model, report);
    ENX_TRY(as_format(status, "tokenizer.ggml.model", report));
    job->is_spm = model.size_bytes == 5 && !memcmp(model.data, "llama", 5);
    if (job->is_spm) return ENX_OK;
    if (model.size_bytes != 4 || memcmp(model.data, "gpt2", 4))
        return ENX_FAIL(report, UNSUPPORTED,
                        "tokenizer model \"%.*s\" is not supported; those that work: gpt2 "
                        "(byte-level BPE), llama (SentencePiece BPE)",
                        (int)(model.size_bytes < 64 ? model.size_bytes : 64), model.data);
    status = enx_gguf_read_str(job->gguf, "tokenizer.ggml.pre", &pre, report);
    ENX_TRY(as_format(status, "tokenizer.ggml.pre", report));
    const size_t size = pre.size_bytes < PRE_BYTES_MAX ? pre.size_bytes : PRE_BYTES_MAX;
    memcpy(job->pre, pre.data, size);
    if (memchr(job->pre, '\0', size)) job->pre[0] = '\0';
    job->vocab.pre = job->pre;
    return ENX_OK;
}

static enx_status find_strs(const read_job *job, const char *key, uint64_t count_max,
                            enx_gguf_value *value, enx_report *report)
{
    if (!enx_gguf_find(job->gguf, key, value)) return as_format(ENX_NOTFOUND, key, report);
    if (value->type != ENX_GGUF_ARRAY || value->element_type != ENX_GGUF_STRING)
        return ENX_FAIL(report, FORMAT, "%s is not an array of strings", key);
    if (value->count > count_max)
        return ENX_FAIL(report, LIMIT, "%s has %llu items; at most %llu are allowed", key,
                        (unsigned long long)value->count, (unsigned long long)count_max);
    return ENX_OK;
}

static uint32_t read_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Without the key all tokens are normal. */
static enx_status read_types(read_job *job, uint32_t token_count, enx_report *report)
{
    enx_gguf_value value;
    if (!enx_gguf_find(job->gguf, "tokenizer.ggml.token_type", &value)) return ENX_OK;
    if (value.type != ENX_GGUF_ARRAY || value.count != token_count ||
        (value.element_type != ENX_GGUF_I32 && value.element_type != ENX_GGUF_U32))
        return ENX_FAIL(report, FORMAT, "tokenizer.ggml.token_type is not an array of %u i32",
                        token_count);
    for (uint32_t id = 0; id < token_count; id++) {
        const uint32_t type = read_le32(value.data + 4 * (size_t)id);
        if (type > ENX_TOKEN_BYTE)
            return ENX_FAIL(report, FORMAT, "token %u has type %u; types go up to %d", id, type,
                            ENX_TOKEN_BYTE);
        if (job->is_spm && type != 0) job->types[id] = (enx_token_type)type;
        job->is_control[id] = type == ENX_TOKEN_CONTROL;
        job->is_added[id] = type == ENX_TOKEN_ADDED;
    }
    return ENX_OK;
}

static enx_status reserve_tokens(read_job *job, const enx_gguf_value *texts, enx_report *report)
{
    enx_gguf_str   text;
    const uint8_t *at = texts->data;
    size_t         total_bytes = 0;
    for (uint32_t id = 0; id < texts->count; id++) {
        if (!enx_gguf_next_str(texts, id, &at, &text))
            return ENX_FAIL(report, FORMAT, "tokenizer.ggml.tokens ends before token %u", id);
        if (text.size_bytes > PRINTED_BYTES_MAX)
            return ENX_FAIL(report, LIMIT, "token %u has %llu bytes; at most %d are allowed", id,
                            (unsigned long long)text.size_bytes, PRINTED_BYTES_MAX);
        total_bytes += text.size_bytes;
    }
    job->bytes = ENX_MEM_NEW(char, total_bytes);
    job->tokens = ENX_MEM_NEW(enx_gguf_str, texts->count);
    job->is_control = ENX_MEM_NEW(bool, texts->count);
    job->is_added = ENX_MEM_NEW(bool, texts->count);
    job->is_end = ENX_MEM_NEW(bool, texts->count);
    job->types = ENX_MEM_NEW(enx_token_type, texts->count);
    job->scores = ENX_MEM_NEW(float, texts->count);
    for (uint32_t id = 0; id < texts->count && job->types; id++) job->types[id] = ENX_TOKEN_NORMAL;
    if (job->bytes && job->tokens && job->is_control && job->is_added && job->is_end &&
        job->types && job->scores &&
        enx_token_map_init(&job->map, job->tokens, (uint32_t)texts->count) == ENX_OK)
        return ENX_OK;
    return ENX_FAIL(report, NOMEM, "no memory for %llu tokens", (unsigned long long)texts->count);
}

static enx_status read_tokens(read_job *job, enx_report *report)
{
    enx_gguf_value texts;
    ENX_TRY(find_strs(job, "tokenizer.ggml.tokens", ENX_VOCAB_MAX, &texts, report));
    ENX_TRY(reserve_tokens(job, &texts, report));
    ENX_TRY(read_types(job, (uint32_t)texts.count, report));
    enx_gguf_str   text;
    const uint8_t *at = texts.data;
    char          *out = job->bytes;
    for (uint32_t id = 0; id < texts.count && enx_gguf_next_str(&texts, id, &at, &text); id++) {
        size_t size = 0;
        if (!job->is_spm && !job->is_control[id] && !job->is_added[id])
            size = read_printed(&job->letters, text.data, text.size_bytes, out);
        if (size == 0) { /* a name, or what some makers add without the alphabet */
            size = text.size_bytes;
            memcpy(out, text.data, size);
        }
        job->tokens[id] = (enx_gguf_str){ .data = out, .size_bytes = size };
        if (!job->is_control[id]) enx_token_map_put(&job->map, id);
        out += size;
    }
    job->vocab.tokens = job->tokens;
    job->vocab.token_count = (uint32_t)texts.count;
    job->vocab.is_control = job->is_control;
    job->vocab.is_added = job->is_added;
    job->vocab.is_end = job->is_end;
    return ENX_OK;
}

static enx_status read_scores(read_job *job, enx_report *report)
{
    enx_gguf_value value;
    const uint32_t count = job->vocab.token_count;
    if (!enx_gguf_find(job->gguf, "tokenizer.ggml.scores", &value))
        return as_format(ENX_NOTFOUND, "tokenizer.ggml.scores", report);
    if (value.type != ENX_GGUF_ARRAY || value.count != count || value.element_type != ENX_GGUF_F32)
        return ENX_FAIL(report, FORMAT, "tokenizer.ggml.scores is not an array of %u f32", count);
    for (uint32_t id = 0; id < count; id++) {
        const uint32_t bits = read_le32(value.data + 4 * (size_t)id);
        memcpy(&job->scores[id], &bits, sizeof bits);
    }
    job->vocab.scores = job->scores;
    job->vocab.types = job->types;
    return ENX_OK;
}

static uint32_t find_printed(const read_job *job, const char *text, size_t size_bytes)
{
    char bytes[MERGE_BYTES_MAX];
    if (size_bytes > sizeof bytes) return ENX_TOKEN_NONE;
    const size_t size = read_printed(&job->letters, text, size_bytes, bytes);
    return size ? enx_token_map_find(&job->map, bytes, size) : ENX_TOKEN_NONE;
}

static enx_status read_merges(read_job *job, enx_report *report)
{
    enx_gguf_value texts;
    ENX_TRY(find_strs(job, "tokenizer.ggml.merges", ENX_GGUF_ARRAY_COUNT_MAX, &texts, report));
    job->merges = enx_mem_new(texts.count, sizeof *job->merges);
    if (!job->merges)
        return ENX_FAIL(report, NOMEM, "no memory for %llu merges",
                        (unsigned long long)texts.count);
    enx_gguf_str   text;
    const uint8_t *at = texts.data;
    for (uint32_t rank = 0; rank < texts.count; rank++) {
        if (!enx_gguf_next_str(&texts, rank, &at, &text))
            return ENX_FAIL(report, FORMAT, "tokenizer.ggml.merges ends before merge %u", rank);
        const int   shown = (int)(text.size_bytes < 80 ? text.size_bytes : 80);
        const char *space =
            text.size_bytes > 1 ? memchr(text.data + 1, ' ', text.size_bytes - 1) : NULL;
        if (!space)
            return ENX_FAIL(report, FORMAT,
                            "merge %u is \"%.*s\"; it must be two tokens and a space", rank, shown,
                            text.data);
        const size_t   left_bytes = (size_t)(space - text.data);
        const uint32_t left = find_printed(job, text.data, left_bytes);
        const uint32_t right = find_printed(job, space + 1, text.size_bytes - left_bytes - 1);
        if (left == ENX_TOKEN_NONE || right == ENX_TOKEN_NONE)
            return ENX_FAIL(report, FORMAT, "merge %u is \"%.*s\", but the %s is no token", rank,
                            shown, text.data, left == ENX_TOKEN_NONE ? "first" : "second");
        job->merges[rank][0] = left;
        job->merges[rank][1] = right;
    }
    job->vocab.merges = (const uint32_t(*)[2])job->merges;
    job->vocab.merge_count = (uint32_t)texts.count;
    return ENX_OK;
}

/* ENX_TOKEN_NONE where the file has no such key; ids are checked against the vocabulary here. */
static enx_status read_id(const read_job *job, const char *key, uint32_t *id, enx_report *report)
{
    uint64_t         value = 0;
    const enx_status status = enx_gguf_read_u64(job->gguf, key, &value, report);
    *id = ENX_TOKEN_NONE;
    if (status == ENX_NOTFOUND) return ENX_OK;
    ENX_TRY(status);
    if (value >= job->vocab.token_count)
        return ENX_FAIL(report, FORMAT, "%s is %llu, but there are %u tokens", key,
                        (unsigned long long)value, job->vocab.token_count);
    *id = (uint32_t)value;
    return ENX_OK;
}

static enx_status read_flag(const read_job *job, const char *key, bool *value, enx_report *report)
{
    const enx_status status = enx_gguf_read_bool(job->gguf, key, value, report);
    return status == ENX_NOTFOUND ? ENX_OK : status;
}

/* Names of control tokens that end an answer, whatever keys the file has. */
static bool is_end_name(const enx_gguf_str *token)
{
    static const char *const names[] = {
        "<|eot_id|>",    "<|im_end|>",    "<|end|>",    "<|return|>",         "<|call|>",
        "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<|end_of_text|>",    "</s>",
        "<EOT>",         "_<EOT>",        "[EOT]",      "<end_of_utterance>", "[EOS]",
        "<eos>",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == token->size_bytes &&
            !memcmp(names[i], token->data, token->size_bytes))
            return true;
    return false;
}

/* Where calls and returns are tokens (gpt-oss), <|end|> only ends a part of an answer. */
static void read_end_names(read_job *job)
{
    uint32_t part_end = ENX_TOKEN_NONE, call_count = 0;
    for (uint32_t id = 0; id < job->vocab.token_count; id++) {
        const enx_gguf_str *token = &job->tokens[id];
        if (!job->is_control[id] || !is_end_name(token)) continue;
        job->is_end[id] = true;
        if (token->size_bytes == 7 && !memcmp(token->data, "<|end|>", 7)) part_end = id;
        call_count += token->size_bytes == 8 && !memcmp(token->data, "<|call|>", 8);
        call_count += token->size_bytes == 10 && !memcmp(token->data, "<|return|>", 10);
    }
    if (part_end != ENX_TOKEN_NONE && call_count == 2) job->is_end[part_end] = false;
}

static enx_status read_ends(read_job *job, enx_report *report)
{
    static const char *const keys[] = { "tokenizer.ggml.eot_token_id",
                                        "tokenizer.ggml.eom_token_id" };
    read_end_names(job);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint32_t id = ENX_TOKEN_NONE;
        ENX_TRY(read_id(job, keys[i], &id, report));
        if (id != ENX_TOKEN_NONE) job->is_end[id] = true;
    }
    return ENX_OK;
}

static enx_status read_ids(read_job *job, enx_report *report)
{
    bool is_added = job->is_spm || enx_presplit_adds_bos(job->pre, strlen(job->pre));
    job->vocab.has_space_prefix = job->is_spm;
    ENX_TRY(read_id(job, "tokenizer.ggml.eos_token_id", &job->vocab.eos, report));
    ENX_TRY(read_id(job, "tokenizer.ggml.bos_token_id", &job->vocab.bos, report));
    ENX_TRY(read_id(job, "tokenizer.ggml.unknown_token_id", &job->vocab.unknown, report));
    ENX_TRY(read_ends(job, report));
    ENX_TRY(read_flag(job, "tokenizer.ggml.add_bos_token", &is_added, report));
    job->vocab.has_bos = is_added && job->vocab.bos != ENX_TOKEN_NONE;
    if (!job->is_spm) return ENX_OK;
    return read_flag(job, "tokenizer.ggml.add_space_prefix", &job->vocab.has_space_prefix, report);
}

enx_status enx_tokenizer_open(enx_tokenizer **out, const enx_gguf *gguf, enx_report *report)
{
    ENX_CHECK(out && gguf);
    read_job *job = ENX_MEM_NEW(read_job, 1);
    if (!job) return ENX_FAIL(report, NOMEM, "no memory for a tokenizer");
    job->gguf = gguf;
    alphabet_init(&job->letters);
    enx_status status = read_names(job, report);
    if (status == ENX_OK) status = read_tokens(job, report);
    if (status == ENX_OK)
        status = job->is_spm ? read_scores(job, report) : read_merges(job, report);
    if (status == ENX_OK) status = read_ids(job, report);
    if (status == ENX_OK) status = enx_tokenizer_open_vocab(out, &job->vocab, report);
    enx_token_map_deinit(&job->map);
    enx_mem_free(job->merges);
    enx_mem_free(job->scores);
    enx_mem_free(job->types);
    enx_mem_free(job->is_end);
    enx_mem_free(job->is_added);
    enx_mem_free(job->is_control);
    enx_mem_free(job->tokens);
    enx_mem_free(job->bytes);
    enx_mem_free(job);
    return status;
}
