/* SPDX-License-Identifier: Apache-2.0 */
/* voice_completions.c - OpenAI's completions: a text that is continued. */
#include "serve/voice.h"
#include "serve/voice_openai.h"

#include <string.h>

enum { TOKENS_DEFAULT = 16 /* OpenAI's */ };

/* ---- Reading -------------------------------------------------------------------------------- */

static enx_status read_prompt(enx_question *q, enx_report *report)
{
    const json_t *prompt = json_object_get(q->body, "prompt");
    if (json_is_array(prompt) && json_array_size(prompt) == 1) prompt = json_array_get(prompt, 0);
    if (json_is_array(prompt))
        return ENX_FAIL(report, UNSUPPORTED,
                        "prompt: one text a request; several are several "
                        "requests, or a batch");
    if (!json_is_string(prompt) || json_string_length(prompt) == 0)
        return ENX_FAIL(report, INVALID, "prompt: a text that is not empty is needed");
    q->prompt = json_string_value(prompt);
    return ENX_OK;
}

static enx_status read_completions(enx_question *q, enx_report *report)
{
    uint64_t      top = 0;
    const json_t *suffix = json_object_get(q->body, "suffix");
    ENX_TRY(enx_openai_common(q, report));
    ENX_TRY(read_prompt(q, report));
    if (json_is_string(suffix) && json_string_length(suffix) > 0)
        return ENX_FAIL(report, UNSUPPORTED, "suffix: text between two others is not supported");
    ENX_TRY(enx_question_count(q->body, "logprobs", 0, ENX_QUESTION_TOP_MAX, &top, report));
    ENX_TRY(enx_question_flag(q->body, "echo", &q->is_echo, report));
    q->wants_logprobs = json_is_integer(json_object_get(q->body, "logprobs"));
    q->top_count = (uint32_t)top;
    if (q->max_tokens == 0) q->max_tokens = TOKENS_DEFAULT;
    return ENX_OK;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* Characters that begin in a token; one may be spread over several. */
static json_int_t count_characters(const json_t *bytes)
{
    json_int_t count = 0;
    size_t     i;
    json_t    *byte;
    json_array_foreach (bytes, i, byte) count += (json_integer_value(byte) & 0xC0) != 0x80;
    return count;
}

/* {tokens, token_logprobs, top_logprobs, text_offset}, of chat's notes in their older shape.
 * Offsets are in characters, from the answer's first. */
static json_t *logprobs_json(enx_turn_answer *a)
{
    json_t *chat = enx_openai_logprobs(a, true), *tokens = json_array(), *values = json_array(),
           *tops = json_array(), *offsets = json_array(), *note, *other;
    size_t     i, k;
    json_int_t offset = 0;
    json_array_foreach (json_object_get(chat, "content"), i, note) {
        json_t *top = json_object();
        json_array_append(tokens, json_object_get(note, "token"));
        json_array_append(values, json_object_get(note, "logprob"));
        json_array_foreach (json_object_get(note, "top_logprobs"), k, other)
            json_object_set(top, json_string_value(json_object_get(other, "token")),
                            json_object_get(other, "logprob"));
        json_array_append_new(tops, top);
        json_array_append_new(offsets, json_integer(offset));
        offset += count_characters(json_object_get(note, "bytes"));
    }
    json_decref(chat);
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values,
                     "top_logprobs", tops, "text_offset", offsets);
}

static enx_status write_chunk(enx_turn *t, uint32_t index, const char *text, size_t text_bytes,
                              const char *finish)
{
    ENX_TRY(enx_buf_append(&t->out, enx_buf_text(&t->head), t->head.size_bytes));
    ENX_TRY(enx_buf_printf(&t->out, "\"choices\":[{\"index\":%u,\"text\":", index));
    ENX_TRY(enx_voice_string(&t->out, text, text_bytes));
    ENX_TRY(enx_buf_append_text(&t->out, ",\"logprobs\":"));
    ENX_TRY(enx_voice_json(&t->out, t->question->wants_logprobs ? logprobs_json(&t->answers[index])
                                                                : json_null()));
    const char *quote = finish ? "\"" : "";
    return enx_buf_printf(&t->out, ",\"finish_reason\":%s%s%s}]}\n\n", quote,
                          finish ? finish : "null", quote);
}

static enx_status begin_completions(enx_turn *t)
{
    ENX_TRY(enx_openai_head(t, "text_completion"));
    for (uint32_t i = 0; t->question->is_echo && i < t->answer_count; i++)
        ENX_TRY(write_chunk(t, i, t->question->prompt, strlen(t->question->prompt), NULL));
    return ENX_OK;
}

static enx_status delta_completions(enx_turn *t, uint32_t index, const enx_delta *delta)
{
    return write_chunk(t, index, delta->text, delta->text_bytes, NULL);
}

static enx_status finish_completions(enx_turn *t, uint32_t index)
{
    return write_chunk(t, index, "", 0, enx_openai_finish(t->answers[index].end));
}

static enx_status whole_completions(enx_turn *t)
{
    json_t *choices = json_array();
    enx_buf text;
    for (uint32_t i = 0; i < t->answer_count; i++) {
        enx_turn_answer *a = &t->answers[i];
        const enx_buf   *own = &a->answer.text;
        enx_buf_init(&text, 2 * ENX_ANSWER_BYTES_MAX);
        enx_status status = ENX_OK;
        if (t->question->is_echo) status = enx_buf_append_text(&text, t->question->prompt);
        if (status == ENX_OK) status = enx_buf_append(&text, enx_buf_text(own), own->size_bytes);
        json_t *choice =
            status == ENX_OK
                ? json_pack("{s:i, s:o, s:o, s:s}", "index", (int)i, "text",
                            enx_voice_text(enx_buf_text(&text), text.size_bytes), "logprobs",
                            t->question->wants_logprobs ? logprobs_json(a) : json_null(),
                            "finish_reason", enx_openai_finish(a->end))
                : NULL;
        enx_buf_deinit(&text);
        if (json_array_append_new(choices, choice) == 0) continue;
        json_decref(choices);
        return ENX_NOMEM;
    }
    return enx_openai_whole(t, "text_completion", choices);
}

const enx_voice enx_voice_completions = { .name = "completions",
                                          .id_prefix = "cmpl-",
                                          .read = read_completions,
                                          .begin = begin_completions,
                                          .delta = delta_completions,
                                          .finish = finish_completions,
                                          .end = enx_openai_end,
                                          .whole = whole_completions,
                                          .error = enx_voice_openai_error };
