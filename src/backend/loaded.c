/* SPDX-License-Identifier: Apache-2.0 */
/* loaded.c - opening a model file; prompts and calibration from its metadata. */
#include "backend/loaded.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum { KEY_BYTES_MAX = 128, CONTROL_BYTES_MAX = 64, DRAFT_BYTES_PER_BYTE = 4 };

static enx_status open_lexicons(enx_loaded *l, enx_report *report)
{
    static const char prefix[] = "enxame.lexicon.";
    const uint64_t    prefix_bytes = sizeof prefix - 1, keys = enx_gguf_key_count(l->gguf);
    for (uint64_t i = 0; i < keys; i++) {
        enx_gguf_value     value;
        const enx_gguf_str key = enx_gguf_key_at(l->gguf, i, &value);
        if (key.size_bytes <= prefix_bytes || memcmp(key.data, prefix, prefix_bytes) != 0) continue;
        if (value.type != ENX_GGUF_ARRAY || value.element_type != ENX_GGUF_U8 ||
            l->lexicon_count == ENX_LOADED_LEXICONS_MAX)
            return ENX_FAIL(report, FORMAT, "%.*s is no array of u8, or there are more than %d",
                            (int)key.size_bytes, key.data, ENX_LOADED_LEXICONS_MAX);
        enx_loaded_lexicon *to = &l->lexicons[l->lexicon_count];
        const enx_status    status =
            enx_lexicon_open_bytes(&to->lexicon, value.data, (size_t)value.count, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "%.*s", (int)key.size_bytes, key.data);
            return status;
        }
        to->language = (enx_gguf_str){ key.data + prefix_bytes, key.size_bytes - prefix_bytes };
        l->lexicon_count++;
    }
    return ENX_OK;
}

enx_status enx_loaded_open(enx_loaded *out, const char *path, enx_report *report)
{
    ENX_CHECK(out && path);
    enx_loaded loaded = { 0 };
    ENX_TRY(enx_model_file_open(&loaded.file, path, report));
    loaded.gguf = loaded.file.gguf;
    enx_status status = enx_model_open_file(&loaded.model, &loaded.file, report);
    if (status == ENX_OK) status = enx_tokenizer_open(&loaded.tokenizer, loaded.gguf, report);
    if (status == ENX_OK) status = enx_trie_open(&loaded.trie, loaded.tokenizer, report);
    if (status == ENX_OK) status = open_lexicons(&loaded, report);
    if (status == ENX_OK &&
        enx_tokenizer_count(loaded.tokenizer) > enx_model_hparams(loaded.model)->vocab_count)
        status = ENX_FAIL(report, FORMAT, "%u tokens, but the model has rows for %u only",
                          enx_tokenizer_count(loaded.tokenizer),
                          enx_model_hparams(loaded.model)->vocab_count);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        enx_loaded_close(&loaded);
        return status;
    }
    *out = loaded;
    return ENX_OK;
}

void enx_loaded_close(enx_loaded *loaded)
{
    for (unsigned i = 0; i < loaded->lexicon_count; i++)
        enx_lexicon_close(&loaded->lexicons[i].lexicon);
    enx_trie_close(&loaded->trie);
    enx_tokenizer_close(&loaded->tokenizer);
    enx_model_close(&loaded->model);
    enx_model_file_close(&loaded->file);
    *loaded = (enx_loaded){ 0 };
}

/* ---- Prompts -------------------------------------------------------------------------------- */

static bool find_template(const enx_loaded *loaded, const char *what, enx_gguf_str *out)
{
    char key[KEY_BYTES_MAX];
    snprintf(key, sizeof key, "enxame.prompt.%s", what);
    return enx_gguf_read_str(loaded->gguf, key, out, NULL) == ENX_OK;
}

bool enx_loaded_can(const enx_loaded *loaded, const char *what)
{
    enx_gguf_str template;
    return find_template(loaded, what, &template);
}

/* Push the control token <|name|>, when the vocabulary has it. */
static enx_status push_control(const enx_loaded *loaded, const char *name, enx_tokens *out)
{
    char           word[CONTROL_BYTES_MAX];
    const int      size = snprintf(word, sizeof word, "<|%s|>", name);
    const uint32_t id = enx_tokenizer_find(loaded->tokenizer, word, (size_t)size);
    if (id == ENX_TOKEN_NONE || !enx_tokenizer_is_control(loaded->tokenizer, id)) return ENX_OK;
    return enx_tokens_push(out, id);
}

static const enx_lexicon *lexicon_of(const enx_loaded *loaded, const char *language)
{
    if (loaded->lexicon_count == 1) return loaded->lexicons[0].lexicon;
    for (unsigned i = 0; language && i < loaded->lexicon_count; i++) {
        const enx_gguf_str tag = loaded->lexicons[i].language;
        if (strlen(language) == tag.size_bytes && memcmp(tag.data, language, tag.size_bytes) == 0)
            return loaded->lexicons[i].lexicon;
    }
    return NULL;
}

static enx_status push_draft(const enx_loaded *loaded, const enx_prompt_fields *fields,
                             enx_tokens *out, enx_report *report)
{
    const enx_lexicon *lexicon = lexicon_of(loaded, fields->language);
    if (!lexicon)
        return enx_tokenizer_encode(loaded->tokenizer, fields->text, fields->text_bytes, false, out,
                                    report);
    enx_buf draft;
    enx_buf_init(&draft, DRAFT_BYTES_PER_BYTE * (fields->text_bytes + 64));
    enx_status status = enx_lexicon_draft(lexicon, fields->text, fields->text_bytes, fields->kinds,
                                          NULL, &draft, report);
    if (status == ENX_OK)
        status = enx_tokenizer_encode(loaded->tokenizer, enx_buf_text(&draft), draft.size_bytes,
                                      false, out, report);
    enx_buf_deinit(&draft);
    return status;
}

static enx_status push_field(const enx_loaded *loaded, enx_gguf_str name,
                             const enx_prompt_fields *fields, enx_tokens *out, enx_report *report)
{
    char word[CONTROL_BYTES_MAX], level[8];
    snprintf(word, sizeof word, "%.*s", (int)name.size_bytes, name.data);
    if (strcmp(word, "text") == 0)
        return enx_tokenizer_encode(loaded->tokenizer, fields->text, fields->text_bytes, false, out,
                                    report);
    if (strcmp(word, "draft") == 0) return push_draft(loaded, fields, out, report);
    if (strcmp(word, "language") == 0)
        return fields->language && fields->language[0] ? push_control(loaded, fields->language, out)
                                                       : ENX_OK;
    if (strcmp(word, "level") == 0) {
        if (fields->level < 1 || fields->level > 3) return ENX_OK;
        snprintf(level, sizeof level, "L%d", (int)fields->level);
        return push_control(loaded, level, out);
    }
    if (strcmp(word, "more") == 0)
        return fields->is_more ? push_control(loaded, word, out) : ENX_OK;
    if (strcmp(word, "cut") == 0) return fields->is_cut ? push_control(loaded, word, out) : ENX_OK;
    return ENX_FAIL(report, UNSUPPORTED,
                    "the model's prompt has the field {%s}; this enxame knows "
                    "text, draft, language, level, more and cut",
                    word);
}

enx_status enx_loaded_prompt(const enx_loaded *loaded, const char *what,
                             const enx_prompt_fields *fields, enx_tokens *out, enx_report *report)
{
    enx_gguf_str template;
    if (!find_template(loaded, what, &template))
        return ENX_FAIL(report, UNSUPPORTED,
                        "the model has no key enxame.prompt.%s; it was not "
                        "made for that",
                        what);
    if (template.size_bytes > ENX_PROMPT_TEMPLATE_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "enxame.prompt.%s: %llu bytes; %d are allowed", what,
                        (unsigned long long)template.size_bytes, ENX_PROMPT_TEMPLATE_BYTES_MAX);
    const char *at = template.data, *const end = at + template.size_bytes;
    while (at < end) {
        const char *open = memchr(at, '{', (size_t)(end - at));
        const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        const char *plain_end = close ? open : end;
        if (plain_end > at)
            ENX_TRY(enx_tokenizer_encode(loaded->tokenizer, at, (size_t)(plain_end - at), true, out,
                                         report));
        if (!close) break;
        const enx_gguf_str name = { open + 1, (uint64_t)(close - open - 1) };
        ENX_TRY(push_field(loaded, name, fields, out, report));
        at = close + 1;
    }
    return ENX_OK;
}

/* ---- Calibration ---------------------------------------------------------------------------- */

/* Elements of an f32 array are read from bytes that need not be aligned. */
static bool read_coefficients(const enx_loaded *loaded, const char *key, float *out)
{
    enx_gguf_value value;
    if (!enx_gguf_find(loaded->gguf, key, &value) || value.type != ENX_GGUF_ARRAY ||
        value.element_type != ENX_GGUF_F32 || value.count != ENX_CALIBRATION_FEATURES)
        return false;
    memcpy(out, value.data, ENX_CALIBRATION_FEATURES * sizeof *out);
    return true;
}

double enx_loaded_error_chance(const enx_loaded *loaded, const char *what, int32_t level,
                               double sum_logprob, double min_logprob, uint32_t token_count)
{
    char         key[KEY_BYTES_MAX];
    float        c[ENX_CALIBRATION_FEATURES];
    const double features[] = { 1, sum_logprob, min_logprob, log1p((double)token_count) };
    snprintf(key, sizeof key, "enxame.calibration.%s.%d", what, (int)level);
    bool has = level >= 1 && level <= 3 && read_coefficients(loaded, key, c);
    if (!has) {
        snprintf(key, sizeof key, "enxame.calibration.%s", what);
        has = read_coefficients(loaded, key, c);
    }
    double chance = 1 - exp(sum_logprob);
    if (has) {
        double z = 0;
        for (int i = 0; i < ENX_CALIBRATION_FEATURES; i++) z += (double)c[i] * features[i];
        chance = 1 / (1 + exp(-z));
    }
    return chance >= 0 && chance <= 1 ? chance : 1; /* NaN is certainly no good answer */
}

/* ---- Text ----------------------------------------------------------------------------------- */

enx_status enx_loaded_decode(const enx_loaded *loaded, const uint32_t *tokens, size_t count,
                             enx_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (enx_tokenizer_is_control(loaded->tokenizer, tokens[i])) continue;
        const enx_gguf_str bytes = enx_tokenizer_bytes(loaded->tokenizer, tokens[i]);
        ENX_TRY(enx_buf_append(out, bytes.data, bytes.size_bytes));
    }
    return ENX_OK;
}

size_t enx_utf8_invalid_at(const char *text, size_t size_bytes)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    size_t                  at = 0;
    while (at < size_bytes) {
        utf8proc_int32_t       code;
        const utf8proc_ssize_t size =
            utf8proc_iterate(bytes + at, (utf8proc_ssize_t)(size_bytes - at), &code);
        if (size <= 0) return at;
        at += (size_t)size;
    }
    return at;
}

size_t enx_utf8_cut(const char *text, size_t size_bytes, size_t max_bytes)
{
    if (size_bytes <= max_bytes) return size_bytes;
    size_t end = max_bytes;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    return end;
}
