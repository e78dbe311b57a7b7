/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_serve.c - any body of a request gives a question or a reason; whatever a model then writes,
 * the answer is JSON, and a stream is events.  The first byte chooses the API, the second a text.
 */
#include "backend/api_json.h"
#include "base/check.h"
#include "serve/batch.h"
#include "serve/tools.h"
#include "serve/voice.h"

#include <stdint.h>
#include <string.h>

enum { OUT_BYTES = 4 << 20, PIECE_BYTES = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enx_voice *const voices[] = { &enx_voice_chat, &enx_voice_completions,
                                           &enx_voice_responses, &enx_voice_messages };
static const char *const      texts[] = {
         "plain words",
         "<think>a thought</think>and an answer",
         "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"\xFF\"}}</tool_call> rest",
         "{\"name\":\"f\",\"parameters\":{}}",
         "\x01\xC3\x28\"\\\n",
};

static void check_json(const char *text, size_t size)
{
    json_t *json = json_loadb(text, size, 0, NULL);
    ENX_CHECK(json_is_object(json));
    json_decref(json);
}

/* Every block is "event: …", "data: …" or both, and its data JSON or [DONE]. */
static void check_events(const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n"), *data = strstr(text, "data: ");
        ENX_CHECK(end && data && data < end);
        if (strncmp(data + 6, "[DONE]", 6) != 0) check_json(data + 6, (size_t)(end - data) - 6);
        text = end + 2;
    }
}

static void answer(enx_question *q, const enx_voice *voice, const char *text)
{
    static char            out[OUT_BYTES];
    const enx_turn_options options = { .voice = voice, .model = "m" };
    enx_reply             *reply = enx_reply_open();
    enx_turn              *turn = enx_turn_open(q, reply, &options);
    const bool             is_stream = q->is_stream;
    size_t                 size = 0;
    bool                   is_end = false;
    ENX_CHECK(reply && turn);
    q->wants_logprobs = false; /* they need a vocabulary */
    if (enx_turn_start(turn, false, NULL) == ENX_OK) {
        for (uint32_t i = 0; i < turn->answer_count; i++) {
            for (size_t at = 0; at < strlen(text); at += PIECE_BYTES)
                enx_turn_push(turn, i, text + at, strnlen(text + at, PIECE_BYTES));
            enx_turn_finish(turn, i, ENX_END_STOP);
        }
        enx_turn_close(&turn);
        while (!is_end && size < sizeof out - 1)
            size += enx_reply_take(reply, out + size, sizeof out - 1 - size, &is_end, NULL, NULL);
        out[size] = '\0';
        if (is_stream) check_events(out);
        else check_json(out, size);
    } else enx_turn_close(&turn);
    enx_reply_drop(&reply);
}

static void ask(const enx_voice *voice, const char *text, const char *body, size_t size)
{
    json_t    *json = NULL, *more = NULL;
    enx_report report = { 0 };
    if (enx_api_json_load(&json, body, size, &report) != ENX_OK) {
        ENX_CHECK(report.text[0]);
        return;
    }
    enx_question *q = enx_question_open(json);
    if (voice->read(q, &report) != ENX_OK) {
        ENX_CHECK(report.text[0] && enx_status_http(report.status) >= 400);
        enx_question_close(&q);
        return;
    }
    ENX_CHECK(q->messages || q->prompt);
    if (q->messages && enx_tools_in_words(q, &more, NULL) == ENX_OK) json_decref(more);
    if (enx_tools_schema(q, &more, NULL) == ENX_OK) json_decref(more);
    answer(q, voice, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data, *content = NULL;
    size_t      content_bytes = 0;
    char        name[64];
    if (size < 2) return 0;
    if (enx_multipart_find(body, size, "multipart/form-data; boundary=b", "file", &content,
                           &content_bytes, name))
        ENX_CHECK(content >= body && content + content_bytes <= body + size && strlen(name) < 64);
    ask(voices[data[0] % (sizeof voices / sizeof *voices)],
        texts[data[1] % (sizeof texts / sizeof *texts)], body + 2, size - 2);
    return 0;
}
