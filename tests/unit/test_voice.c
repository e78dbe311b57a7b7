/* SPDX-License-Identifier: Apache-2.0 */
/* test_voice.c - each API's requests as questions, and answers as each API's bytes. */
#include "base/mem.h"
#include "serve/tools.h"
#include "serve/voice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char weather[] =
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}";

static enx_question *question(const char *body)
{
    json_t *json = json_loads(body, 0, NULL);
    assert_non_null(json);
    return enx_question_open(json);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void check_messages(const enx_question *q, const char *expected)
{
    json_t *wanted = json_loads(expected, 0, NULL);
    if (!json_equal(q->messages, wanted))
        fail_msg("%s", json_dumps(q->messages, JSON_COMPACT | JSON_ENCODE_ANY));
    json_decref(wanted);
}

static const char call_messages[] =
    "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"ab\"},"
    "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
    "\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}}]},"
    "{\"role\":\"tool\",\"content\":\"42\",\"tool_call_id\":\"c1\"}]";

/* The same conversation in three APIs. */
static void three_ways_of_asking_are_one_question(void **state)
{
    static const struct {
        const enx_voice *voice;
        const char      *body;
    } cases[] = {
        { &enx_voice_chat,
          "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":"
          "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
          "\"b\"}]},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","
          "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
          "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"42\"}],\"max_tokens\":9,"
          "\"stop\":\"S\",\"stream\":true}" },
        { &enx_voice_messages,
          "{\"model\":\"m\",\"system\":\"s\",\"max_tokens\":9,\"stop_sequences\":[\"S\"],"
          "\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
          "\"text\":\"ab\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
          "\"c1\",\"name\":\"f\",\"input\":{\"x\":1}}]},{\"role\":\"user\",\"content\":[{\"type\":"
          "\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"42\"}]}]}" },
        { &enx_voice_responses,
          "{\"model\":\"m\",\"instructions\":\"s\",\"max_output_tokens\":9,\"stop\":[\"S\"],"
          "\"stream\":true,\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
          "\"text\":\"ab\"}]},{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\","
          "\"arguments\":\"{\\\"x\\\":1}\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\","
          "\"output\":\"42\"}]}" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_report    report = { 0 };
        enx_question *q = question(cases[i].body);
        if (cases[i].voice->read(q, &report) != ENX_OK) fail_msg("%s", report.text);
        check_messages(q, call_messages);
        assert_string_equal(q->model, "m");
        assert_int_equal(q->max_tokens, 9);
        assert_true(q->is_stream);
        assert_int_equal(q->stop_count, 1);
        assert_string_equal(q->stops[0], "S");
        enx_question_close(&q);
    }
}

static void bad_requests_are_refused_by_the_field(void **state)
{
    static const struct {
        const enx_voice *voice;
        const char      *body, *says;
    } cases[] = {
        { &enx_voice_chat, "{}", "messages" },
        { &enx_voice_chat, "{\"messages\":[{\"role\":\"x\",\"content\":\"\"}]}",
          "messages[0].role" },
        { &enx_voice_chat,
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
          "image_url" },
        { &enx_voice_chat, "{\"messages\":[],\"temperature\":3}", "temperature" },
        { &enx_voice_chat, "{\"messages\":[],\"max_tokens\":0}", "max_tokens" },
        { &enx_voice_chat, "{\"messages\":[],\"n\":99}", "n:" },
        { &enx_voice_chat, "{\"messages\":[],\"stream\":1}", "stream" },
        { &enx_voice_chat, "{\"messages\":[],\"stop\":[\"\"]}", "stop" },
        { &enx_voice_chat, "{\"messages\":[],\"logit_bias\":{\"x\":1}}", "logit_bias" },
        { &enx_voice_chat,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"top_logprobs\":2}",
          "top_logprobs" },
        { &enx_voice_chat,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tool_choice\":\"required\"}",
          "tool_choice" },
        { &enx_voice_chat,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"response_format\":{\"type\":"
          "\"json_schema\",\"json_schema\":{\"schema\":{\"not\":{}}}}}",
          "response_format" },
        { &enx_voice_chat,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tools\":[{\"function\":{\"name\":"
          "\"a b\"}}]}",
          "tools" },
        { &enx_voice_completions, "{}", "prompt" },
        { &enx_voice_completions, "{\"prompt\":[\"a\",\"b\"]}", "prompt" },
        { &enx_voice_messages, "{\"messages\":[{\"role\":\"system\",\"content\":\"\"}]}", "role" },
        { &enx_voice_messages, "{\"messages\":[],\"temperature\":1.5}", "temperature" },
        { &enx_voice_responses, "{\"input\":[]}", "input" },
        { &enx_voice_responses, "{\"input\":\"x\",\"previous_response_id\":\"r\"}",
          "previous_response_id" },
        { &enx_voice_responses, "{\"input\":\"x\",\"tools\":[{\"type\":\"web_search\"}]}",
          "tools[0]" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_report       report = { 0 };
        enx_question    *q = question(cases[i].body);
        const enx_status status = cases[i].voice->read(q, &report);
        if (status == ENX_OK || enx_status_http(status) != 400 ||
            !strstr(report.text, cases[i].says))
            fail_msg("%s: %s", cases[i].body, report.text);
        enx_question_close(&q);
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

typedef struct world {
    enx_question *question;
    enx_reply    *reply;
    enx_turn     *turn;
} world;

static void open_world(world *w, const enx_voice *voice, const char *body)
{
    const enx_turn_options options = { .voice = voice, .model = "m" };
    w->question = question(body);
    assert_int_equal(voice->read(w->question, NULL), ENX_OK);
    w->reply = enx_reply_open();
    w->turn = enx_turn_open(w->question, w->reply, &options);
    memcpy(w->turn->id, "T", 2);
    w->turn->created_s = 1;
    w->turn->prompt_tokens = 5;
    w->turn->extra = json_pack("{s:i}", "e", 1);
    assert_int_equal(enx_turn_start(w->turn, false, NULL), ENX_OK);
}

static void push(world *w, const char *text) { enx_turn_push(w->turn, 0, text, strlen(text)); }

/* End the answer; all that was sent, or fail unless it is `expected`. */
static void close_world(world *w, enx_end end, const char *expected)
{
    static char out[1 << 16];
    size_t      size = 0;
    bool        is_end = false;
    w->turn->answers[0].usage =
        (enx_usage_count){ .tokens_in = 3, .tokens_cached = 2, .tokens_out = 4 };
    enx_turn_finish(w->turn, 0, end);
    enx_turn_close(&w->turn);
    while (!is_end)
        size += enx_reply_take(w->reply, out + size, sizeof out - 1 - size, &is_end, NULL, NULL);
    out[size] = '\0';
    assert_string_equal(out, expected);
    enx_reply_drop(&w->reply);
}

static void a_chat_stream_is_chunks_usage_and_done(void **state)
{
    static const char *const chunks[] = {
        "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}"
        "]",
        "[{\"index\":0,\"delta\":{\"reasoning_content\":\"t\"},\"finish_reason\":null}]",
        "[{\"index\":0,\"delta\":{\"content\":\"a\\\"\\n\"},\"finish_reason\":null}]",
        "[{\"index\":0,\"delta\":{\"content\":\"\xC3\xA9\xEF\xBF\xBD\"},\"finish_reason\":null}]",
        "[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]",
        "[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":4,\"total_tokens\":9,"
        "\"prompt_tokens_details\":{\"cached_tokens\":2},\"completion_tokens_details\":{"
        "\"reasoning_tokens\":0}},\"enxame\":{\"e\":1}",
    };
    world   w;
    enx_buf expected;
    (void)state;
    enx_buf_init(&expected, 1 << 14);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        assert_int_equal(enx_buf_printf(&expected,
                                        "data: {\"id\":\"chatcmpl-T\",\"object\":"
                                        "\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
                                        "\"choices\":%s}\n\n",
                                        chunks[i]),
                         ENX_OK);
    assert_int_equal(enx_buf_append_text(&expected, "data: [DONE]\n\n"), ENX_OK);
    open_world(&w, &enx_voice_chat,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true,"
               "\"stream_options\":{\"include_usage\":true}}");
    push(&w, "<think>t</think>a\"\n");
    push(&w, "\xC3\xA9\xFF");
    close_world(&w, ENX_END_LENGTH, enx_buf_text(&expected));
    enx_buf_deinit(&expected);
}

static void a_whole_chat_has_calls_as_texts(void **state)
{
    world   w;
    enx_buf body;
    (void)state;
    enx_buf_init(&body, 1 << 12);
    assert_int_equal(enx_buf_printf(&body,
                                    "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                                    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                                    "\"get\",\"parameters\":%s}}]}",
                                    weather),
                     ENX_OK);
    open_world(&w, &enx_voice_chat, enx_buf_text(&body));
    enx_buf_deinit(&body);
    push(&w, "<tool_call>{\"name\":\"get\",\"arguments\":{\"city\":\"Faro\"}}</tool_call>");
    close_world(
        &w, ENX_END_STOP,
        "{\"id\":\"chatcmpl-T\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
        "\"refusal\":null,\"tool_calls\":[{\"id\":\"call_T_0\",\"type\":\"function\","
        "\"function\":{\"name\":\"get\",\"arguments\":\"{\\\"city\\\":\\\"Faro\\\"}\"}}]},"
        "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":5,"
        "\"completion_tokens\":4,\"total_tokens\":9,\"prompt_tokens_details\":{"
        "\"cached_tokens\":2},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
        "\"enxame\":{\"e\":1}}");
}

static void a_message_stream_is_blocks_one_after_the_other(void **state)
{
    static const struct {
        const char *name, *rest;
    } events[] = {
        { "message_start",
          ",\"message\":{\"id\":\"msg_T\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
          "\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
          "\"input_tokens\":5,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
          "\"output_tokens\":0}}" },
        { "content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"thinking\","
                                 "\"thinking\":\"\",\"signature\":\"\"}" },
        { "content_block_delta",
          ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"t\"}" },
        { "content_block_stop", ",\"index\":0" },
        { "content_block_start",
          ",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}" },
        { "content_block_delta",
          ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}" },
        { "content_block_stop", ",\"index\":1" },
        { "content_block_start", ",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":"
                                 "\"call_T_0\",\"name\":\"get\",\"input\":{}}" },
        { "content_block_delta",
          ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}" },
        { "content_block_stop", ",\"index\":2" },
        { "message_delta",
          ",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{"
          "\"input_tokens\":3,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":2,"
          "\"output_tokens\":4},\"enxame\":{\"e\":1}" },
        { "message_stop", "" },
    };
    world   w;
    enx_buf expected;
    (void)state;
    enx_buf_init(&expected, 1 << 14);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        assert_int_equal(enx_buf_printf(&expected, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n",
                                        events[i].name, events[i].name, events[i].rest),
                         ENX_OK);
    open_world(&w, &enx_voice_messages,
               "{\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
               "\"x\"}],\"tools\":[{\"name\":\"get\",\"input_schema\":{\"type\":\"object\"}}]}");
    push(&w, "<think>t</think>hi ");
    push(&w, "<tool_call>{\"name\":\"get\",\"arguments\":{}}</tool_call>");
    close_world(&w, ENX_END_STOP, enx_buf_text(&expected));
    enx_buf_deinit(&expected);
}

/* The events of a stream by their names, and their numbers without a gap. */
static void responses_open_and_close_what_they_hold(void **state)
{
    static const char *const names[] = {
        "response.created",           "response.in_progress",
        "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done",
        "response.completed"
    };
    static char out[1 << 16];
    world       w;
    size_t      size = 0, count = 0;
    bool        is_end = false;
    (void)state;
    open_world(&w, &enx_voice_responses, "{\"input\":\"x\",\"stream\":true}");
    push(&w, "hello");
    enx_turn_finish(w.turn, 0, ENX_END_STOP);
    enx_turn_close(&w.turn);
    while (!is_end)
        size += enx_reply_take(w.reply, out + size, sizeof out - 1 - size, &is_end, NULL, NULL);
    out[size] = '\0';
    for (char *at = out; (at = strstr(at, "event: ")) != NULL; count++) {
        json_error_t error;
        json_t      *json = json_loads(strstr(at, "data: ") + 6, JSON_DISABLE_EOF_CHECK, &error);
        assert_true(count < sizeof names / sizeof *names);
        assert_string_equal(json_string_value(json_object_get(json, "type")), names[count]);
        assert_memory_equal(at + 7, names[count], strlen(names[count]));
        assert_int_equal(json_integer_value(json_object_get(json, "sequence_number")), count);
        json_decref(json);
        at += 7;
    }
    assert_int_equal(count, sizeof names / sizeof *names);
    enx_reply_drop(&w.reply);
}

static void failures_have_each_apis_own_shape(void **state)
{
    static const struct {
        const enx_voice *voice;
        const char      *body;
    } cases[] = {
        { &enx_voice_chat, "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\",\"param\":"
                           "null,\"code\":\"rate_limit_exceeded\"}}" },
        { &enx_voice_messages,
          "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_buf out;
        enx_buf_init(&out, 1 << 12);
        assert_int_equal(cases[i].voice->error(429, "m", false, &out), ENX_OK);
        assert_string_equal(enx_buf_text(&out), cases[i].body);
        enx_buf_clear(&out);
        assert_int_equal(cases[i].voice->error(500, "m", true, &out), ENX_OK);
        assert_non_null(strstr(enx_buf_text(&out), "data: {"));
        assert_string_equal(enx_buf_text(&out) + out.size_bytes - 2, "\n\n");
        enx_buf_deinit(&out);
    }
}

/* ---- Tools ---------------------------------------------------------------------------------- */

static void tools_in_words_leave_nothing_that_only_tools_have(void **state)
{
    json_t       *messages = NULL;
    size_t        i;
    json_t       *message;
    enx_question *q = question(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},{\"role\":\"assistant\","
        "\"content\":\"\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"get\","
        "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"sun\"}],"
        "\"tools\":[{\"function\":{\"name\":\"get\"}}]}");
    (void)state;
    assert_int_equal(enx_voice_chat.read(q, NULL), ENX_OK);
    assert_int_equal(enx_tools_in_words(q, &messages, NULL), ENX_OK);
    assert_int_equal(json_array_size(messages), 3);
    json_array_foreach (messages, i, message) assert_int_equal(json_object_size(message), 2);
    const char *system = json_string_value(json_object_get(json_array_get(messages, 0), "content"));
    assert_non_null(strstr(system, "be brief"));
    assert_non_null(strstr(system, "\"name\":\"get\""));
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 2), "content")),
                        "<tool_response>\nsun\n</tool_response>");
    json_decref(messages);
    enx_question_close(&q);
}

static void a_call_that_is_a_must_has_a_schema(void **state)
{
    json_t       *schema = NULL;
    enx_question *q = question("{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"tools\":[{"
                               "\"function\":{\"name\":\"a\"}},{\"function\":{\"name\":\"b\"}}]}");
    (void)state;
    assert_int_equal(enx_voice_chat.read(q, NULL), ENX_OK);
    assert_int_equal(enx_tools_schema(q, &schema, NULL), ENX_OK);
    assert_null(schema);
    q->tool_choice = ENX_TOOL_REQUIRED;
    assert_int_equal(enx_tools_schema(q, &schema, NULL), ENX_OK);
    assert_int_equal(json_array_size(json_object_get(schema, "anyOf")), 2);
    json_decref(schema);
    q->tool_choice = ENX_TOOL_NAMED;
    q->tool_name = "b";
    assert_int_equal(enx_tools_schema(q, &schema, NULL), ENX_OK);
    assert_int_equal(json_array_size(json_object_get(schema, "anyOf")), 1);
    json_decref(schema);
    enx_question_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_ways_of_asking_are_one_question),
        cmocka_unit_test(bad_requests_are_refused_by_the_field),
        cmocka_unit_test(a_chat_stream_is_chunks_usage_and_done),
        cmocka_unit_test(a_whole_chat_has_calls_as_texts),
        cmocka_unit_test(a_message_stream_is_blocks_one_after_the_other),
        cmocka_unit_test(responses_open_and_close_what_they_hold),
        cmocka_unit_test(failures_have_each_apis_own_shape),
        cmocka_unit_test(tools_in_words_leave_nothing_that_only_tools_have),
        cmocka_unit_test(a_call_that_is_a_must_has_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
