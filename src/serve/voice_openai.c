/* SPDX-License-Identifier: Apache-2.0 */
/* voice_openai.c - fields and figures of OpenAI's completions, of either kind. */
#include "serve/voice_openai.h"

#include <string.h>

enum { TEMPERATURE_MAX = 2 };

/* ---- Reading -------------------------------------------------------------------------------- */

enx_status enx_openai_common(enx_question *q, enx_report *report)
{
    uint64_t      tokens = 0, answers = 1;
    const json_t *options = json_object_get(q->body, "stream_options");
    ENX_TRY(enx_question_text(q->body, "model", &q->model, report));
    ENX_TRY(enx_question_sampling(q, TEMPERATURE_MAX, report));
    ENX_TRY(enx_question_stops(q, "stop", report));
    ENX_TRY(enx_question_count(q->body, "max_tokens", 1, UINT32_MAX, &tokens, report));
    ENX_TRY(enx_question_count(q->body, "max_completion_tokens", 1, UINT32_MAX, &tokens, report));
    ENX_TRY(enx_question_count(q->body, "n", 1, ENX_QUESTION_ANSWERS_MAX, &answers, report));
    ENX_TRY(enx_question_flag(q->body, "stream", &q->is_stream, report));
    if (json_is_object(options))
        ENX_TRY(enx_question_flag(options, "include_usage", &q->wants_usage, report));
    q->max_tokens = (uint32_t)tokens;
    q->answer_count = (uint32_t)answers;
    bool has_many = true;
    ENX_TRY(enx_question_flag(q->body, "parallel_tool_calls", &has_many, report));
    q->has_one_tool_call = !has_many;
    return ENX_OK;
}

enx_status enx_openai_tool_choice(enx_question *q, const char *word, bool is_name,
                                  enx_report *report)
{
    if (word && is_name) {
        if (!enx_question_tool(q, word))
            return ENX_FAIL(report, INVALID, "tool_choice: there is no tool called %.64s", word);
        q->tool_choice = ENX_TOOL_NAMED;
        q->tool_name = word;
    } else if (word && strcmp(word, "none") == 0) q->tool_choice = ENX_TOOL_NONE;
    else if (word && strcmp(word, "required") == 0) q->tool_choice = ENX_TOOL_REQUIRED;
    else if (!word || strcmp(word, "auto") != 0)
        return ENX_FAIL(report, INVALID,
                        "tool_choice: none, auto, required or the name of a tool is needed");
    if (q->tool_choice == ENX_TOOL_REQUIRED && !q->tools)
        return ENX_FAIL(report, INVALID, "tool_choice: required, but there are no tools");
    return ENX_OK;
}

enx_status enx_openai_format(enx_question *q, const char *type, const json_t *schema,
                             const char *place, enx_report *report)
{
    if (type && strcmp(type, "text") == 0) return ENX_OK;
    if (type && strcmp(type, "json_object") == 0) {
        q->wants_json = true;
        return ENX_OK;
    }
    if (type && strcmp(type, "json_schema") == 0)
        return enx_voice_set_schema(q, schema, place, report);
    return ENX_FAIL(report, INVALID, "%s: type text, json_object or json_schema is needed", place);
}

/* ---- Writing -------------------------------------------------------------------------------- */

enx_gguf_str enx_openai_token(const enx_turn *t, uint32_t token)
{
    return enx_tokenizer_bytes(t->tokenizer, token);
}

static json_t *token_json(const enx_turn *t, uint32_t token, float logprob)
{
    const enx_gguf_str bytes = enx_openai_token(t, token);
    json_t            *numbers = json_array();
    for (uint64_t i = 0; i < bytes.size_bytes; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes.data[i]));
    return json_pack("{s:o, s:f, s:o}", "token", enx_voice_text(bytes.data, bytes.size_bytes),
                     "logprob", (double)logprob, "bytes", numbers);
}

static json_t *top_json(const enx_turn *t, const enx_likely *top)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < t->question->top_count && top[i].token != ENX_TOKEN_NONE; i++)
        json_array_append_new(list, token_json(t, top[i].token, top[i].logprob));
    return list;
}

json_t *enx_openai_logprobs(enx_turn_answer *a, bool is_told)
{
    const enx_turn *t = a->turn;
    const uint32_t  count = (uint32_t)(a->notes.size_bytes / sizeof(enx_token_note));
    json_t         *content = json_array();
    for (uint32_t i = a->notes_told; i < count; i++) {
        enx_token_note note;
        memcpy(&note, a->notes.data + (size_t)i * sizeof note, sizeof note);
        json_t *one = token_json(t, note.token, note.logprob);
        json_object_set_new(one, "top_logprobs",
                            a->top ? top_json(t, a->top + (size_t)i * t->question->top_count)
                                   : json_array());
        json_array_append_new(content, one);
    }
    if (is_told) a->notes_told = count;
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}

const char *enx_openai_finish(enx_end end)
{
    switch (end) {
    case ENX_END_LENGTH:
        return "length";
    case ENX_END_REFUSED:
        return "content_filter";
    case ENX_END_NONE:
    case ENX_END_STOP:
    case ENX_END_STUCK:
        break;
    }
    return "stop";
}

json_t *enx_openai_usage(const enx_turn *t)
{
    const enx_turn_bill bill = enx_turn_bill_get(t);
    uint64_t            thought = 0;
    for (uint32_t i = 0; i < t->answer_count; i++) thought += t->answers[i].tokens_thought;
    return json_pack(
        "{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", (json_int_t)t->prompt_tokens,
        "completion_tokens", (json_int_t)bill.usage.tokens_out, "total_tokens",
        (json_int_t)(t->prompt_tokens + bill.usage.tokens_out), "prompt_tokens_details",
        "cached_tokens",
        (json_int_t)(bill.usage.tokens_cached < t->prompt_tokens ? bill.usage.tokens_cached
                                                                 : t->prompt_tokens),
        "completion_tokens_details", "reasoning_tokens", (json_int_t)thought);
}

enx_status enx_openai_head(enx_turn *t, const char *object)
{
    ENX_TRY(enx_buf_printf(&t->head, "data: {\"id\":\"%s%s\",\"object\":\"%s\",\"created\":%llu,",
                           t->voice->id_prefix, t->id, object, (unsigned long long)t->created_s));
    ENX_TRY(enx_buf_append_text(&t->head, "\"model\":"));
    ENX_TRY(enx_voice_string(&t->head, t->model, strlen(t->model)));
    return enx_buf_append_text(&t->head, ",");
}

enx_status enx_openai_end(enx_turn *t)
{
    if (t->question->wants_usage || t->extra) {
        ENX_TRY(enx_buf_append(&t->out, enx_buf_text(&t->head), t->head.size_bytes));
        ENX_TRY(enx_buf_append_text(&t->out, "\"choices\":[],\"usage\":"));
        ENX_TRY(enx_voice_json(&t->out, enx_openai_usage(t)));
        ENX_TRY(enx_buf_append_text(&t->out, ",\"enxame\":"));
        ENX_TRY(enx_voice_json(&t->out, enx_turn_extra(t)));
        ENX_TRY(enx_buf_append_text(&t->out, "}\n\n"));
    }
    return enx_buf_append_text(&t->out, "data: [DONE]\n\n");
}

enx_status enx_openai_whole(enx_turn *t, const char *object, json_t *choices)
{
    enx_buf id;
    enx_buf_init(&id, 2 * ENX_ANSWER_ID_BYTES);
    enx_status status = enx_buf_printf(&id, "%s%s", t->voice->id_prefix, t->id);
    json_t    *json = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "id", enx_buf_text(&id),
                                "object", object, "created", (json_int_t)t->created_s, "model",
                                enx_voice_text(t->model, strlen(t->model)), "choices", choices,
                                "usage", enx_openai_usage(t), "enxame", enx_turn_extra(t));
    enx_buf_deinit(&id);
    if (status == ENX_OK) return enx_voice_json(&t->out, json);
    json_decref(json);
    return status;
}
