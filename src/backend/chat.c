/* SPDX-License-Identifier: Apache-2.0 */
/* chat.c - messages, marked, through the template, to tokens.
 *
 * The template sees every name of a control token in a message behind a mark.  When it is done the
 * marks are taken out again, and where they stood no control token is found. */
#include "backend/chat.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "text/template.h"
#include "text/thought.h"

#include <string.h>

static const char mark[] = "\xEF\xB7\x90"; /* U+FDD0 */

enum { MARK_BYTES = sizeof mark - 1 };

struct enx_chat {
    const enx_loaded *loaded; /* borrowed */
    enx_template *template;   /* owned */
    enx_buf text;             /* of the template */
};

/* One line break at a template's end is dropped, so those that count are written as values. */
/* clang-format off */
static const enx_chat_form forms[] = {
    { "chatml",
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "<|im_start|>assistant{{ '\\n' }}",
      "<|im_end|>" },
    { "gemma",
      "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}<start_of_turn>user\n"
      "{{ m.content }}\n\n{% else %}"
      "{% if loop.first or loop.previtem.role != 'system' %}<start_of_turn>"
      "{{ 'model' if m.role == 'assistant' else 'user' }}\n{% endif %}"
      "{{ m.content }}<end_of_turn>\n{% endif %}{% endfor %}<start_of_turn>model{{ '\\n' }}",
      "<end_of_turn>" },
    { "llama3",
      "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
      "{{ m.content }}<|eot_id|>{% endfor %}"
      "<|start_header_id|>assistant<|end_header_id|>\n{{ '\\n' }}",
      "<|eot_id|>" },
    { "plain",
      "{% for m in messages %}{{ '' if m.role == 'system' else m.role | capitalize ~ ': ' }}"
      "{{ m.content }}\n\n{% endfor %}Assistant:",
      "\nUser:" },
};
/* clang-format on */

enum { FORM_COUNT = sizeof forms / sizeof *forms };

enx_status enx_chat_form_find(const enx_chat_form **out, const char *name, enx_report *report)
{
    const char *names[FORM_COUNT];
    for (size_t i = 0; i < FORM_COUNT; i++) {
        names[i] = forms[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = &forms[i];
        return ENX_OK;
    }
    const char *near = enx_nearest(name, names, FORM_COUNT);
    return ENX_FAIL(report, INVALID, "no form \"%s\"%s%s%s; there are chatml, gemma, llama3, plain",
                    name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

enx_status enx_chat_open(enx_chat **out, const enx_loaded *loaded, const char *text,
                         size_t size_bytes, enx_report *report)
{
    ENX_CHECK(out && loaded);
    enx_gguf_str own = { text, size_bytes };
    if (!text && enx_gguf_read_str(loaded->gguf, "tokenizer.chat_template", &own, NULL) != ENX_OK)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the model has no chat template (tokenizer.chat_template)");
    enx_chat *chat = ENX_MEM_NEW(enx_chat, 1);
    if (!chat) return ENX_FAIL(report, NOMEM, "no memory for a chat template");
    chat->loaded = loaded;
    enx_buf_init(&chat->text, ENX_TEMPLATE_BYTES_MAX);
    enx_status status = enx_template_open(&chat->template, own.data, own.size_bytes, report);
    if (status == ENX_OK && enx_buf_append(&chat->text, own.data, own.size_bytes) != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for its text");
    if (status != ENX_OK) {
        enx_report_wrap(report, "chat template");
        enx_chat_close(&chat);
        return status;
    }
    *out = chat;
    return ENX_OK;
}

void enx_chat_close(enx_chat **chat)
{
    if (!*chat) return;
    enx_template_close(&(*chat)->template);
    enx_buf_deinit(&(*chat)->text);
    enx_mem_free(*chat);
    *chat = NULL;
}

/* ---- Marks ---------------------------------------------------------------------------------- */

static bool is_mark(const char *text, size_t size_bytes)
{
    return size_bytes >= MARK_BYTES && memcmp(text, mark, MARK_BYTES) == 0;
}

/* Take the marks out of `text`, in place; at [] gets where they were, NULL: not wanted. */
static size_t unmark(enx_buf *text, size_t *at)
{
    size_t count = 0, size = 0;
    for (size_t i = 0; i < text->size_bytes;) {
        if (is_mark(text->data + i, text->size_bytes - i)) {
            if (at) at[count++] = size;
            i += MARK_BYTES;
        } else {
            text->data[size++] = text->data[i++];
        }
    }
    text->size_bytes = size;
    return count;
}

/* Append the text with a mark before every name of a control token. */
static enx_status mark_text(const enx_tokenizer *tokenizer, const enx_buf *text, enx_buf *out)
{
    for (size_t at = 0; at < text->size_bytes;) {
        const size_t named =
            enx_tokenizer_find_control(tokenizer, text->data, text->size_bytes, at);
        const bool   is_end = named == text->size_bytes;
        const size_t next = is_end ? named : named + 1;
        ENX_TRY(enx_buf_append(out, text->data + at, named - at));
        if (!is_end) ENX_TRY(enx_buf_append(out, mark, MARK_BYTES));
        ENX_TRY(enx_buf_append(out, text->data + named, next - named));
        at = next;
    }
    return ENX_OK;
}

/* The marks that are in it already go first: a name may be hidden by one. */
static json_t *mark_string(const enx_tokenizer *tokenizer, const json_t *value)
{
    enx_buf text, out;
    json_t *marked = NULL;
    enx_buf_init(&text, ENX_TEMPLATE_OUTPUT_MAX);
    enx_buf_init(&out, ENX_TEMPLATE_OUTPUT_MAX);
    enx_status status = enx_buf_append(&text, json_string_value(value), json_string_length(value));
    unmark(&text, NULL);
    if (status == ENX_OK) status = mark_text(tokenizer, &text, &out);
    if (status == ENX_OK) marked = json_stringn(enx_buf_text(&out), out.size_bytes);
    enx_buf_deinit(&out);
    enx_buf_deinit(&text);
    return marked;
}

static json_t *mark_json(const enx_tokenizer *tokenizer, const json_t *value, int depth);

static json_t *mark_array(const enx_tokenizer *tokenizer, const json_t *array, int depth)
{
    json_t *copy = json_array();
    size_t  i;
    json_t *part;
    json_array_foreach (array, i, part) {
        if (json_array_append_new(copy, mark_json(tokenizer, part, depth + 1)) == 0) continue;
        json_decref(copy);
        return NULL;
    }
    return copy;
}

static json_t *mark_object(const enx_tokenizer *tokenizer, const json_t *object, int depth)
{
    json_t     *copy = json_object(), *part;
    const char *key;
    json_object_foreach ((json_t *)(uintptr_t)object, key, part) {
        json_t *marked =
            strcmp(key, "role") == 0 ? json_deep_copy(part) : mark_json(tokenizer, part, depth + 1);
        if (json_object_set_new(copy, key, marked) == 0) continue;
        json_decref(copy);
        return NULL;
    }
    return copy;
}

/* A copy with marks in every string but roles.  NULL: no memory, or nested too deep. */
static json_t *mark_json(const enx_tokenizer *tokenizer, const json_t *value, int depth)
{
    if (depth > ENX_TEMPLATE_JSON_DEPTH_MAX) return NULL;
    if (json_is_string(value)) return mark_string(tokenizer, value);
    if (json_is_array(value)) return mark_array(tokenizer, value, depth);
    if (json_is_object(value)) return mark_object(tokenizer, value, depth);
    return json_deep_copy(value);
}

/* ---- Prompts -------------------------------------------------------------------------------- */

/* The name of the token whose id is at `key`; "" when there is none. */
static json_t *token_name(const enx_loaded *loaded, const char *key)
{
    uint64_t     id = ENX_TOKEN_NONE;
    enx_gguf_str name = { "", 0 };
    if (enx_gguf_read_u64(loaded->gguf, key, &id, NULL) == ENX_OK &&
        id < enx_tokenizer_count(loaded->tokenizer))
        name = enx_tokenizer_bytes(loaded->tokenizer, (uint32_t)id);
    return json_stringn(name.data, name.size_bytes);
}

static enx_status render(const enx_chat *chat, const json_t *messages, const json_t *tools,
                         int64_t now_s, enx_buf *out, enx_report *report)
{
    const enx_tokenizer *tokenizer = chat->loaded->tokenizer;
    json_t              *context =
        json_pack("{s:o, s:b, s:o, s:o, s:o, s:n}", "messages", mark_json(tokenizer, messages, 0),
                  "add_generation_prompt", 1, "bos_token",
                  token_name(chat->loaded, "tokenizer.ggml.bos_token_id"), "eos_token",
                  token_name(chat->loaded, "tokenizer.ggml.eos_token_id"), "tools",
                  tools ? mark_json(tokenizer, tools, 0) : json_null(), "documents");
    if (!context)
        return ENX_FAIL(report, LIMIT, "no memory for the messages, or they nest deeper than %d",
                        ENX_TEMPLATE_JSON_DEPTH_MAX);
    const enx_status status = enx_template_render(chat->template, context, now_s, out, report);
    json_decref(context);
    if (status != ENX_OK) enx_report_wrap(report, "chat template");
    return status;
}

static bool ends_in_thought(const enx_buf *text)
{
    static const char tag[] = ENX_THOUGHT_OPEN;
    size_t            size = text->size_bytes;
    while (size > 0 && strchr(" \n\t", text->data[size - 1])) size--;
    const size_t tag_bytes = sizeof tag - 1;
    return size >= tag_bytes && memcmp(text->data + size - tag_bytes, tag, tag_bytes) == 0;
}

static enx_status encode(const enx_tokenizer *tokenizer, enx_buf *text, enx_tokens *out,
                         enx_report *report)
{
    size_t *at = ENX_MEM_NEW(size_t, text->size_bytes / MARK_BYTES + 1);
    if (!at) return ENX_FAIL(report, NOMEM, "no memory for the prompt");
    const size_t       count_before = out->count;
    const enx_literals literals = { at, unmark(text, at) };
    /* Most templates write the beginning of text themselves; it comes once. */
    enx_status         status = enx_tokenizer_begin(tokenizer, text->data, text->size_bytes, out);
    if (status != ENX_OK) (void)ENX_FAIL(report, LIMIT, "no room for the prompt");
    if (status == ENX_OK)
        status = enx_tokenizer_encode_except(tokenizer, enx_buf_text(text), text->size_bytes,
                                             &literals, out, report);
    if (status != ENX_OK) out->count = count_before;
    enx_mem_free(at);
    return status;
}

enx_status enx_chat_prompt(const enx_chat *chat, const json_t *messages, int64_t now_s,
                           enx_tokens *out, bool *is_thinking, enx_report *report)
{
    return enx_chat_prompt_tools(chat, messages, NULL, now_s, out, is_thinking, report);
}

enx_status enx_chat_prompt_tools(const enx_chat *chat, const json_t *messages, const json_t *tools,
                                 int64_t now_s, enx_tokens *out, bool *is_thinking,
                                 enx_report *report)
{
    enx_buf text;
    ENX_CHECK(chat && messages && out && is_thinking);
    enx_buf_init(&text, ENX_TEMPLATE_OUTPUT_MAX);
    enx_status status = render(chat, messages, tools, now_s, &text, report);
    if (status == ENX_OK) status = encode(chat->loaded->tokenizer, &text, out, report);
    if (status == ENX_OK) *is_thinking = ends_in_thought(&text);
    enx_buf_deinit(&text);
    return status;
}

bool enx_chat_has_tools(const enx_chat *chat) { return enx_chat_names(chat, "tools"); }

bool enx_chat_names(const enx_chat *chat, const char *text)
{
    return memmem(enx_buf_text(&chat->text), chat->text.size_bytes, text, strlen(text)) != NULL;
}
