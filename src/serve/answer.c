/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - bytes of a model through stop texts, thought and calls. */
#include "serve/answer.h"

#include "backend/api_json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char space[] = " \t\r\n";

enx_status enx_answer_init(enx_answer *a, const enx_question *question, const char *id,
                           bool is_thinking, enx_delta_fn on_delta, void *user, enx_report *report)
{
    *a = (enx_answer){ .question = question, .on_delta = on_delta, .user = user, .id = id };
    enx_buf_init(&a->plain, ENX_ANSWER_BYTES_MAX);
    enx_buf_init(&a->thought, ENX_ANSWER_BYTES_MAX);
    enx_buf_init(&a->written, ENX_ANSWER_BYTES_MAX);
    enx_buf_init(&a->text, ENX_ANSWER_BYTES_MAX);
    enx_thought_init(&a->split, is_thinking, &a->thought, &a->written);
    if (!question->messages) a->split.place = ENX_THOUGHT_ANSWER; /* a text that goes on */
    return enx_stopper_init(&a->stopper, question->stops, question->stop_count, report);
}

void enx_answer_deinit(enx_answer *a)
{
    for (uint32_t i = 0; i < a->call_count; i++) {
        enx_mem_free(a->calls[i].arguments);
        json_decref(a->calls[i].json);
    }
    enx_buf_deinit(&a->plain);
    enx_buf_deinit(&a->thought);
    enx_buf_deinit(&a->written);
    enx_buf_deinit(&a->text);
}

/* ---- Telling -------------------------------------------------------------------------------- */

static void tell_text(enx_answer *a, size_t end)
{
    const char  *text = enx_buf_text(&a->written) + a->scanned;
    const size_t size = end - a->scanned;
    if (size == 0) return;
    if (a->status == ENX_OK) a->status = enx_buf_append(&a->text, text, size);
    const enx_delta delta = { .kind = ENX_DELTA_TEXT, .text = text, .text_bytes = size };
    if (a->on_delta) a->on_delta(a->user, &delta);
    a->scanned = end;
}

static void tell_thought(enx_answer *a)
{
    const enx_delta delta = { .kind = ENX_DELTA_THOUGHT,
                              .text = enx_buf_text(&a->thought) + a->thought_told,
                              .text_bytes = a->thought.size_bytes - a->thought_told };
    if (delta.text_bytes == 0) return;
    if (a->on_delta) a->on_delta(a->user, &delta);
    a->thought_told = a->thought.size_bytes;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* The arguments of {"name", "arguments" or "parameters"}; NULL: no call of a tool that was offered.
 */
static json_t *arguments_of(const enx_answer *a, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    json_t     *arguments = json_object_get(json, "arguments");
    if (!arguments) arguments = json_object_get(json, "parameters");
    return name && json_is_object(arguments) && enx_question_tool(a->question, name) ? arguments
                                                                                     : NULL;
}

static enx_status take_call(enx_answer *a, json_t *json)
{
    enx_buf text;
    enx_buf_init(&text, ENX_ANSWER_BYTES_MAX);
    enx_status status = enx_api_json_append(&text, json_incref(arguments_of(a, json)), NULL);
    char      *arguments = status == ENX_OK ? enx_buf_take(&text) : NULL;
    enx_buf_deinit(&text);
    if (!arguments) return ENX_NOMEM;
    enx_tool_call *call = &a->calls[a->call_count];
    *call = (enx_tool_call){ .name = json_string_value(json_object_get(json, "name")),
                             .arguments = arguments,
                             .json = json_incref(json) };
    snprintf(call->id, sizeof call->id, "call_%.24s_%u", a->id, a->call_count);
    const enx_delta delta = { .kind = ENX_DELTA_CALL, .call = call, .call_index = a->call_count++ };
    if (a->on_delta) a->on_delta(a->user, &delta);
    return ENX_OK;
}

/* All are judged before the first is taken: what is told cannot be taken back. */
static bool take_list(enx_answer *a, const json_t *list)
{
    size_t       i;
    json_t      *call;
    const size_t count = json_array_size(list);
    if (count == 0 || count > ENX_ANSWER_CALLS_MAX - a->call_count) return false;
    json_array_foreach (list, i, call)
        if (!arguments_of(a, call)) return false;
    json_array_foreach (list, i, call)
        if (a->status == ENX_OK) a->status = take_call(a, call);
    return true;
}

/* One object, or an array of them: all are calls, or none is taken. */
static bool take_calls(enx_answer *a, const char *text, size_t size_bytes)
{
    json_t *json = NULL;
    size_t  begin = 0, end = 0;
    if (!enx_api_json_find(text, size_bytes, &begin, &end)) return false;
    const bool is_array = text[begin] == '[';
    enx_buf    wrapped;
    enx_buf_init(&wrapped, ENX_ANSWER_BYTES_MAX);
    const bool is_taken =
        enx_buf_printf(&wrapped, "{\"calls\":%s%.*s%s}", is_array ? "" : "[", (int)(end - begin),
                       text + begin, is_array ? "" : "]") == ENX_OK &&
        enx_api_json_load(&json, enx_buf_text(&wrapped), wrapped.size_bytes, NULL) == ENX_OK &&
        take_list(a, json_object_get(json, "calls"));
    json_decref(json);
    enx_buf_deinit(&wrapped);
    return is_taken;
}

static size_t find(const enx_buf *text, size_t from, const char *word)
{
    const char *at = memmem(enx_buf_text(text) + from, text->size_bytes - from, word, strlen(word));
    return at ? (size_t)(at - enx_buf_text(text)) : text->size_bytes;
}

/* Where the text ends that cannot become a tag: without white space at its end, which belongs to
 * the tag, and without a part of the tag. */
static size_t certain_end(const enx_answer *a)
{
    const char *text = enx_buf_text(&a->written);
    size_t      end = a->written.size_bytes;
    for (size_t part = sizeof ENX_ANSWER_CALL_OPEN - 2; part > 0; part--)
        if (end - a->scanned >= part &&
            memcmp(text + end - part, ENX_ANSWER_CALL_OPEN, part) == 0) {
            end -= part;
            break;
        }
    while (end > a->scanned && strchr(space, text[end - 1])) end--;
    return end;
}

static size_t trim(const enx_answer *a, size_t end)
{
    while (end > a->scanned && strchr(space, enx_buf_text(&a->written)[end - 1])) end--;
    return end;
}

static void skip_space(enx_answer *a)
{
    const char *text = enx_buf_text(&a->written);
    while (a->scanned < a->written.size_bytes && strchr(space, text[a->scanned])) a->scanned++;
}

/* The call's text is whole up to `close`: it is one, or the text that it was. */
static void end_call(enx_answer *a, size_t close, size_t next)
{
    const size_t open = a->scanned + sizeof ENX_ANSWER_CALL_OPEN - 1;
    if (take_calls(a, enx_buf_text(&a->written) + open, close - open)) {
        a->scanned = next;
        skip_space(a);
    } else tell_text(a, next);
    a->is_in_call = false;
}

static void scan_tags(enx_answer *a)
{
    while (a->scanned < a->written.size_bytes) {
        if (!a->is_in_call) {
            const size_t open = find(&a->written, a->scanned, ENX_ANSWER_CALL_OPEN);
            const bool   is_open = open < a->written.size_bytes;
            tell_text(a, is_open ? trim(a, open) : certain_end(a));
            if (!is_open) return;
            a->scanned = open;
            a->is_in_call = true;
        }
        const size_t close = find(&a->written, a->scanned, ENX_ANSWER_CALL_CLOSE);
        if (close == a->written.size_bytes) return;
        end_call(a, close, close + sizeof ENX_ANSWER_CALL_CLOSE - 1);
    }
}

/* Does the answer begin as a call that has no tags around it?  Then it is held to its end. */
static bool begins_bare(const enx_answer *a)
{
    const char  *text = enx_buf_text(&a->written);
    const size_t size = a->written.size_bytes, tag = sizeof ENX_ANSWER_CALLS - 1;
    return size > 0 &&
           (text[0] == '{' || memcmp(text, ENX_ANSWER_CALLS, size < tag ? size : tag) == 0);
}

/* All of a held answer is calls, behind Mistral's tag or without one. */
static bool take_bare(enx_answer *a)
{
    const size_t tag = enx_buf_text(&a->written)[0] == '[' ? sizeof ENX_ANSWER_CALLS - 1 : 0;
    const size_t size = a->written.size_bytes;
    return size > tag && take_calls(a, enx_buf_text(&a->written) + tag, size - tag);
}

static void scan(enx_answer *a)
{
    tell_thought(a);
    if (!a->question->tools) {
        tell_text(a, a->written.size_bytes);
        return;
    }
    if (a->scanned == 0 && a->call_count == 0) a->is_held = begins_bare(a);
    if (!a->is_held) scan_tags(a);
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

static void pass_on(enx_answer *a)
{
    if (a->status == ENX_OK)
        a->status = enx_thought_push(&a->split, enx_buf_text(&a->plain), a->plain.size_bytes);
    enx_buf_clear(&a->plain);
}

void enx_answer_push(enx_answer *a, const char *bytes, size_t size_bytes)
{
    if (enx_answer_is_over(a)) return;
    a->status = enx_stopper_push(&a->stopper, bytes, size_bytes, &a->plain);
    pass_on(a);
    if (a->status == ENX_OK) scan(a);
}

void enx_answer_finish(enx_answer *a)
{
    if (a->status == ENX_OK) a->status = enx_stopper_finish(&a->stopper, &a->plain);
    pass_on(a);
    if (a->status == ENX_OK) a->status = enx_thought_finish(&a->split);
    if (a->status != ENX_OK) return;
    scan(a);
    const size_t end = a->written.size_bytes;
    if (a->is_in_call) end_call(a, end, end);
    else if (a->is_held && take_bare(a)) a->scanned = end;
    tell_text(a, a->question->tools && a->call_count ? trim(a, end) : end);
}

bool enx_answer_is_over(const enx_answer *a)
{
    return a->stopper.is_stopped || a->status != ENX_OK;
}
