/* SPDX-License-Identifier: Apache-2.0 */
/* test_api.c - requests say what the two APIs want to hear, and answers are read with distrust. */
#include "backend/api.h"

#include "base/mem.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}}";

static const enx_api_message messages[] = {
    { ENX_API_SYSTEM, "Be brief.", 9 },
    { ENX_API_USER, "Olá \"x\"\n", 9 },
    { ENX_API_ASSISTANT, "Hm", 2 },
    { ENX_API_USER, "a\0b", 3 },
};

static enx_api_request request(void)
{
    static const char *const stops[] = { "END" };
    return (enx_api_request){ .messages = messages,
                              .message_count = 4,
                              .max_tokens = 50,
                              .temperature = 0,
                              .top_p = .5,
                              .has_seed = true,
                              .seed = 7,
                              .stops = stops,
                              .stop_count = 1,
                              .wants_logprobs = true };
}

static json_t *written(const enx_api *api, const enx_api_request *q, unsigned features)
{
    enx_buf    out;
    enx_report report = { 0 };
    enx_buf_init(&out, 1 << 20);
    if (api->write(q, "big-1", features, &out, &report) != ENX_OK) fail_msg("%s", report.text);
    json_t *json = json_loadb(enx_buf_text(&out), out.size_bytes, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    enx_buf_deinit(&out);
    return json;
}

/* The values at a path like "a.0.b"; NULL: none. */
static const json_t *at(const json_t *json, const char *path)
{
    char word[64];
    while (json && *path) {
        const size_t size = strcspn(path, ".");
        memcpy(word, path, size);
        word[size] = '\0';
        json = json_is_array(json) ? json_array_get(json, (size_t)strtoul(word, NULL, 10))
                                   : json_object_get(json, word);
        path += size + (path[size] == '.');
    }
    return json;
}

static const char *word_at(const json_t *json, const char *path)
{
    const char *word = json_string_value(at(json, path));
    return word ? word : "(none)";
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void openai_requests_carry_everything(void **state)
{
    (void)state;
    enx_api_request q = request();
    q.schema = schema;
    json_t *json = written(&enx_api_openai, &q, ENX_API_HAS_ALL);
    assert_string_equal(word_at(json, "model"), "big-1");
    assert_string_equal(word_at(json, "messages.0.role"), "system");
    assert_string_equal(word_at(json, "messages.1.content"), "Olá \"x\"\n");
    assert_string_equal(word_at(json, "messages.2.role"), "assistant");
    assert_int_equal(json_string_length(at(json, "messages.3.content")), 3);
    assert_int_equal(json_integer_value(at(json, "max_tokens")), 50);
    assert_true(json_number_value(at(json, "temperature")) == 0 && at(json, "temperature"));
    assert_true(json_number_value(at(json, "top_p")) == .5);
    assert_int_equal(json_integer_value(at(json, "seed")), 7);
    assert_string_equal(word_at(json, "stop.0"), "END");
    assert_true(json_is_true(at(json, "stream")) && json_is_true(at(json, "logprobs")));
    assert_true(json_is_true(at(json, "stream_options.include_usage")));
    assert_string_equal(word_at(json, "response_format.json_schema.name"), "answer");
    assert_string_equal(word_at(json, "response_format.json_schema.schema.type"), "object");
    json_decref(json);
}

static void a_server_that_knows_less_is_told_less(void **state)
{
    (void)state;
    enx_api_request q = request();
    q.schema = schema;
    json_t *json = written(&enx_api_openai, &q, 0);
    assert_int_equal(json_object_size(json), 4); /* model, messages, stream, and: */
    assert_int_equal(json_integer_value(at(json, "max_completion_tokens")), 50);
    assert_non_null(strstr(word_at(json, "messages.0.content"), schema)); /* in words, then */
    assert_string_equal(word_at(json, "messages.1.content"), "Be brief.");
    json_decref(json);
    json = written(&enx_api_anthropic, &q, 0);
    assert_int_equal(json_object_size(json), 5); /* with system */
    assert_non_null(strstr(word_at(json, "system"), schema));
    json_decref(json);
}

static void anthropic_requests_carry_everything(void **state)
{
    (void)state;
    enx_api_request q = request();
    q.schema = schema;
    q.schema_name = "plan";
    json_t *json = written(&enx_api_anthropic, &q, ENX_API_HAS_ALL);
    assert_string_equal(word_at(json, "system"), "Be brief.");
    assert_int_equal(json_array_size(at(json, "messages")), 3);
    assert_string_equal(word_at(json, "messages.0.role"), "user");
    assert_int_equal(json_integer_value(at(json, "max_tokens")), 50);
    assert_string_equal(word_at(json, "stop_sequences.0"), "END");
    assert_string_equal(word_at(json, "tools.0.name"), "plan");
    assert_string_equal(word_at(json, "tools.0.input_schema.type"), "object");
    assert_string_equal(word_at(json, "tool_choice.type"), "tool");
    assert_string_equal(word_at(json, "tool_choice.name"), "plan");
    assert_null(at(json, "seed"));
    json_decref(json);
}

static void what_no_api_can_carry_is_refused(void **state)
{
    (void)state;
    const enx_api_message latin[] = { { ENX_API_USER, "ol\xE1", 3 } };
    const enx_api_message late[] = { { ENX_API_USER, "a", 1 }, { ENX_API_SYSTEM, "b", 1 } };
    const struct {
        enx_api_request q;
        enx_status      wanted;
        const char     *says;
    } cases[] = {
        { { .messages = latin, .message_count = 1, .max_tokens = 1 }, ENX_FORMAT, "byte 3" },
        { { .messages = late, .message_count = 2, .max_tokens = 1 }, ENX_INVALID, "come first" },
        { { .messages = messages, .message_count = 2, .max_tokens = 1, .schema = "{" },
          ENX_FORMAT,
          "not JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_buf    out;
        enx_report report = { 0 };
        enx_buf_init(&out, 1 << 20);
        assert_int_equal(enx_api_anthropic.write(&cases[i].q, "m", ENX_API_HAS_ALL, &out, &report),
                         cases[i].wanted);
        assert_non_null(strstr(report.text, cases[i].says));
        enx_buf_deinit(&out);
    }
    enx_buf         out;
    enx_api_request q = request();
    enx_buf_init(&out, 20);
    assert_int_equal(enx_api_openai.write(&q, "m", ENX_API_HAS_ALL, &out, NULL), ENX_LIMIT);
    enx_buf_deinit(&out);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static enx_status read_all(enx_api_reply *reply, const enx_api *api, const char *const *events,
                           enx_report *report)
{
    enx_api_reply_init(reply);
    for (; *events; events++) {
        const enx_status status = api->event(reply, *events, strlen(*events), report);
        if (status != ENX_OK) return status;
    }
    return ENX_OK;
}

static void openai_streams_become_replies(void **state)
{
    (void)state;
    const char *const events[] = {
        "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}",
        "{\"choices\":[{\"delta\":{\"content\":\"Ol\"},\"logprobs\":{\"content\":["
        "{\"token\":\"Ol\",\"logprob\":-0.5},{\"token\":\"x\",\"logprob\":-0.25}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"\\u00e1\"},\"finish_reason\":null}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12,"
        "\"total_tokens\":42,\"prompt_tokens_details\":{\"cached_tokens\":10},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":8}}}",
        "[DONE]",
        NULL,
    };
    enx_api_reply r;
    assert_int_equal(read_all(&r, &enx_api_openai, events, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&r.text), "Olá");
    assert_int_equal(r.stop, ENX_API_STOP_END);
    assert_true(r.is_ended && !r.error.is_set);
    assert_int_equal(r.usage.in, 20);
    assert_int_equal(r.usage.cached, 10);
    assert_int_equal(r.usage.out, 12);
    assert_int_equal(r.usage.reasoning, 8);
    assert_true(r.sum_logprob == -.75 && r.min_logprob == -.5 && r.logprob_count == 2);
    enx_api_reply_deinit(&r);
}

static void anthropic_streams_become_replies(void **state)
{
    (void)state;
    const char *const events[] = {
        "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":20,"
        "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":10,\"output_tokens\":1}}}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"thinking\","
        "\"thinking\":\"\"}}",
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":\"hm\"}}",
        "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Ol\"}}",
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"á\"}}",
        "{\"type\":\"content_block_stop\"}",
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
        "\"usage\":{\"output_tokens\":12}}",
        "{\"type\":\"message_stop\"}",
        NULL,
    };
    enx_api_reply r;
    assert_int_equal(read_all(&r, &enx_api_anthropic, events, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&r.text), "Olá");
    assert_int_equal(r.stop, ENX_API_STOP_END);
    assert_true(r.is_ended);
    assert_int_equal(r.usage.in, 25);
    assert_int_equal(r.usage.cached, 10);
    assert_int_equal(r.usage.out, 12);
    enx_api_reply_deinit(&r);
}

static void the_input_of_a_tool_is_the_answer(void **state)
{
    (void)state;
    const char *const events[] = {
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Well\"}}",
        "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\","
        "\"name\":\"answer\",\"input\":{}}}",
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
        "\"partial_json\":\"{\\\"n\\\":\"}}",
        "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
        "\"partial_json\":\" 1}\"}}",
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{}}",
        NULL,
    };
    enx_api_reply r;
    assert_int_equal(read_all(&r, &enx_api_anthropic, events, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&r.text), "{\"n\": 1}");
    assert_int_equal(r.stop, ENX_API_STOP_END);
    assert_false(r.is_ended);
    enx_api_reply_deinit(&r);
    const char body[] = "{\"content\":[{\"type\":\"text\",\"text\":\"Well\"},"
                        "{\"type\":\"tool_use\",\"input\":{\"n\":2}}],"
                        "\"stop_reason\":\"tool_use\"}";
    enx_api_reply_init(&r);
    assert_int_equal(enx_api_anthropic.body(&r, body, sizeof body - 1, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&r.text), "{\"n\":2}");
    enx_api_reply_deinit(&r);
}

static enx_api_stop stop_of(const enx_api *api, const char *event)
{
    enx_api_reply     r;
    const char *const events[] = { event, NULL };
    assert_int_equal(read_all(&r, api, events, NULL), ENX_OK);
    enx_api_reply_deinit(&r);
    return r.stop;
}

static void ends_say_why(void **state)
{
    (void)state;
    const enx_api *o = &enx_api_openai, *a = &enx_api_anthropic;
    assert_int_equal(stop_of(o, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}"),
                     ENX_API_STOP_LENGTH);
    assert_int_equal(
        stop_of(o, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}"),
        ENX_API_STOP_FILTER);
    assert_int_equal(stop_of(o, "{\"choices\":[{\"delta\":{\"refusal\":\"I will not\"},"
                                "\"finish_reason\":\"stop\"}]}"),
                     ENX_API_STOP_REFUSAL);
    assert_int_equal(stop_of(o, "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}"),
                     ENX_API_STOP_NONE);
    assert_int_equal(
        stop_of(a, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"}}"),
        ENX_API_STOP_LENGTH);
    assert_int_equal(
        stop_of(a, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"}}"),
        ENX_API_STOP_REFUSAL);
}

static void errors_are_read_and_made_printable(void **state)
{
    (void)state;
    const char body[] =
        "{\"error\":{\"message\":\"bad\\u001b[31m \\u0085thing\",\"type\":\"t\",\"param\":\"seed\","
        "\"code\":\"c\"}}";
    enx_api_reply r;
    enx_api_reply_init(&r);
    assert_int_equal(enx_api_openai.body(&r, body, sizeof body - 1, NULL), ENX_OK);
    assert_true(r.error.is_set);
    assert_string_equal(r.error.message, "bad [31m   thing");
    assert_string_equal(r.error.kind, "c");
    assert_int_equal(enx_api_refused_feature(&r.error, ENX_API_HAS_ALL), ENX_API_HAS_SEED);
    assert_int_equal(enx_api_refused_feature(&r.error, ENX_API_HAS_SCHEMA), 0);
    enx_api_reply_deinit(&r);
    const enx_api_error in_words = { .is_set = true,
                                     .message = "Unsupported: 'max_tokens', use "
                                                "'max_completion_tokens'" };
    assert_int_equal(enx_api_refused_feature(&in_words, ENX_API_HAS_ALL), ENX_API_HAS_MAX_TOKENS);
    const enx_api_error too_many = { .is_set = true, .message = "max_tokens: 9 > 8" };
    assert_int_equal(enx_api_refused_feature(&too_many, ENX_API_HAS_ALL), 0);
    const enx_api_error other = { .is_set = true, .field = "messages", .message = "seed" };
    assert_int_equal(enx_api_refused_feature(&other, ENX_API_HAS_ALL), 0);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const nonsense[] = { "",      "{",        "[1]",
                                            "null",  "{\"a\":}", "\xFF",
                                            "{} {}", "[DONE",    "{\"a\":\"\xC3\"}" };
    char                     deep[300] = "";
    memset(deep, '[', sizeof deep - 1);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        const char *const events[] = { nonsense[i], NULL };
        enx_api_reply     r;
        assert_int_equal(read_all(&r, &enx_api_openai, events, NULL), ENX_FORMAT);
        enx_api_reply_deinit(&r);
        assert_int_equal(read_all(&r, &enx_api_anthropic, events, NULL), ENX_FORMAT);
        enx_api_reply_deinit(&r);
    }
    const char *const events[] = { deep, NULL };
    enx_api_reply     r;
    assert_int_equal(read_all(&r, &enx_api_openai, events, NULL), ENX_LIMIT);
    enx_api_reply_deinit(&r);
    static const char *const odd[] = {
        /* well-formed, of the wrong kinds: nothing is taken */
        "{\"choices\":7,\"usage\":[],\"error\":null}",
        "{\"choices\":[{\"delta\":\"x\",\"finish_reason\":1,\"logprobs\":{\"content\":[1]}}]}",
        "{\"type\":3,\"delta\":{\"text\":[]},\"message\":\"x\"}",
        "{\"type\":\"content_block_delta\",\"delta\":[{}]}",
        NULL,
    };
    assert_int_equal(read_all(&r, &enx_api_openai, odd, NULL), ENX_OK);
    assert_true(r.text.size_bytes == 0 && r.stop == ENX_API_STOP_NONE && !r.error.is_set);
    enx_api_reply_deinit(&r);
    assert_int_equal(read_all(&r, &enx_api_anthropic, odd, NULL), ENX_OK);
    assert_true(r.text.size_bytes == 0 && r.stop == ENX_API_STOP_NONE);
    enx_api_reply_deinit(&r);
}

/* ---- Money ---------------------------------------------------------------------------------- */

static const enx_api_bounds bounds = { .tokens_in_max = 100,
                                       .tokens_out_max = 50,
                                       .prompt_bytes = 300 };

static const char *settle(const char *usage, const char *text, enx_usage_count *out)
{
    enx_api_reply r;
    enx_buf       event;
    enx_buf_init(&event, 10000);
    assert_int_equal(enx_buf_printf(&event,
                                    "{\"usage\":%s,\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}",
                                    usage, text),
                     ENX_OK);
    const char *const events[] = { enx_buf_text(&event), NULL };
    assert_int_equal(read_all(&r, &enx_api_openai, events, NULL), ENX_OK);
    const char *doubt = enx_api_settle(&r, &bounds, out);
    enx_buf_deinit(&event);
    enx_api_reply_deinit(&r);
    return doubt;
}

static void usage_that_can_be_true_settles(void **state)
{
    (void)state;
    enx_usage_count out;
    assert_null(settle("{\"prompt_tokens\":90,\"completion_tokens\":50,\"total_tokens\":140,"
                       "\"prompt_tokens_details\":{\"cached_tokens\":90}}",
                       "abc", &out));
    assert_true(out.tokens_in == 0 && out.tokens_cached == 90 && out.tokens_out == 50);
    assert_null(settle("{\"prompt_tokens\":2,\"completion_tokens\":0}", "", &out));
}

static void usage_that_cannot_be_true_is_the_worst_case(void **state)
{
    (void)state;
    static char long_text[1000];
    memset(long_text, 'x', sizeof long_text - 1);
    const struct {
        const char *usage, *text;
    } lies[] = {
        { "null", "a" },
        { "{}", "a" },
        { "{\"prompt_tokens\":90}", "a" },
        { "{\"completion_tokens\":9}", "a" },
        { "{\"prompt_tokens\":-1,\"completion_tokens\":5}", "a" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":-5}", "a" },
        { "{\"prompt_tokens\":90.5,\"completion_tokens\":5}", "a" },
        { "{\"prompt_tokens\":\"90\",\"completion_tokens\":5}", "a" },
        { "{\"prompt_tokens\":101,\"completion_tokens\":5}", "a" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":51}", "a" },
        { "{\"prompt_tokens\":9223372036854775807,\"completion_tokens\":9223372036854775807}", "" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":5,\"total_tokens\":96}", "a" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":5,"
          "\"prompt_tokens_details\":{\"cached_tokens\":91}}",
          "a" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":5,"
          "\"completion_tokens_details\":{\"reasoning_tokens\":6}}",
          "a" },
        { "{\"prompt_tokens\":90,\"completion_tokens\":0}", "a" }, /* too little */
        { "{\"prompt_tokens\":90,\"completion_tokens\":3}", long_text },
        { "{\"prompt_tokens\":0,\"completion_tokens\":5}", "a" },
        { "{\"prompt_tokens\":1,\"completion_tokens\":5}", "a" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        enx_usage_count out;
        if (!settle(lies[i].usage, lies[i].text, &out)) fail_msg("believed: %s", lies[i].usage);
        assert_true(out.tokens_in == 100 && out.tokens_cached == 0 && out.tokens_out == 50);
    }
}

/* ---- JSON in prose -------------------------------------------------------------------------- */

static void json_is_found_in_prose(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "{\"a\":1}", "{\"a\":1}" },
        { "Sure!\n```json\n{\"a\": [1, \"}\"]}\n```\nDone {x}", "{\"a\": [1, \"}\"]}" },
        { "see [ here: {\"a\":\"\\\"{\"} ok", "{\"a\":\"\\\"{\"}" },
        { "[1,2] {}", "[1,2]" },
        { "none", NULL },
        { "{\"a\":1", NULL },
        { "{]}", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t     begin = 0, end = 0;
        const bool found = enx_api_json_find(cases[i].text, strlen(cases[i].text), &begin, &end);
        assert_int_equal(found, cases[i].wanted != NULL);
        if (!found) continue;
        assert_int_equal(end - begin, strlen(cases[i].wanted));
        assert_memory_equal(cases[i].text + begin, cases[i].wanted, end - begin);
    }
    static char deep[4000];
    size_t      begin, end;
    memset(deep, '{', sizeof deep);
    assert_false(enx_api_json_find(deep, sizeof deep, &begin, &end));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai_requests_carry_everything),
        cmocka_unit_test(a_server_that_knows_less_is_told_less),
        cmocka_unit_test(anthropic_requests_carry_everything),
        cmocka_unit_test(what_no_api_can_carry_is_refused),
        cmocka_unit_test(openai_streams_become_replies),
        cmocka_unit_test(anthropic_streams_become_replies),
        cmocka_unit_test(the_input_of_a_tool_is_the_answer),
        cmocka_unit_test(ends_say_why),
        cmocka_unit_test(errors_are_read_and_made_printable),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(usage_that_can_be_true_settles),
        cmocka_unit_test(usage_that_cannot_be_true_is_the_worst_case),
        cmocka_unit_test(json_is_found_in_prose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
