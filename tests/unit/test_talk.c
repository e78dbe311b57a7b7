/* SPDX-License-Identifier: Apache-2.0 */
/* test_talk.c - conversations keep whole exchanges, and say what is wrong with a file. */
#include "cli/cli_talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 256 };

/* "s:…" a system message, "u:…" and "a:…" question and answer, "t:…" a tool's. */
static cli_talk talk_of(const char *const *messages)
{
    cli_talk   talk;
    enx_report report = { 0 };
    assert_int_equal(cli_talk_init(&talk, &report), ENX_OK);
    for (; *messages; messages++) {
        const char *text = *messages + 2;
        enx_status  status = ENX_OK;
        if (**messages == 's') status = cli_talk_set_system(&talk, text, &report);
        else if (**messages == 'u') status = cli_talk_ask(&talk, text, &report);
        else if (**messages == 'a') status = cli_talk_answer(&talk, text, "", &report);
        else
            json_array_append_new(talk.messages,
                                  json_pack("{s:s, s:s}", "role", "tool", "content", text));
        if (status != ENX_OK) fail_msg("%s", report.text);
    }
    return talk;
}
#define TALK(...) talk_of((const char *const[]){ __VA_ARGS__, NULL })

/* The messages as "s:… u:… a:…". */
static void assert_talk(const cli_talk *talk, const char *want)
{
    char    got[TEXT_MAX] = "";
    size_t  i, size = 0;
    json_t *message;
    json_array_foreach (talk->messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        size += (size_t)snprintf(got + size, sizeof got - size, "%s%c:%s", i ? " " : "", role[0],
                                 json_string_value(json_object_get(message, "content")));
        assert_true(size < sizeof got);
    }
    assert_string_equal(got, want);
}

static void the_system_message_comes_first_and_once(void **state)
{
    (void)state;
    cli_talk talk = TALK("u:a", "s:one", "s:two");
    assert_talk(&talk, "s:two u:a");
    assert_string_equal(cli_talk_system(&talk), "two");
    assert_int_equal(cli_talk_set_system(&talk, "", NULL), ENX_OK);
    assert_null(cli_talk_system(&talk));
    assert_talk(&talk, "u:a");
    cli_talk_deinit(&talk);
}

static void the_last_exchange_is_dropped_whole(void **state)
{
    (void)state;
    cli_talk talk = TALK("s:x", "u:a", "a:b", "u:c", "a:d", "t:e", "a:f");
    assert_int_equal(cli_talk_exchange_count(&talk), 2);
    assert_true(cli_talk_drop_last(&talk));
    assert_talk(&talk, "s:x u:a a:b");
    assert_true(cli_talk_drop_last(&talk));
    assert_talk(&talk, "s:x");
    assert_false(cli_talk_drop_last(&talk));
    assert_int_equal(cli_talk_exchange_count(&talk), 0);
    cli_talk_deinit(&talk);
}

static void an_answer_is_dropped_and_the_question_stays(void **state)
{
    (void)state;
    cli_talk talk = TALK("u:a", "a:b", "u:c", "a:d");
    assert_true(cli_talk_drop_answer(&talk));
    assert_talk(&talk, "u:a a:b u:c");
    assert_false(cli_talk_drop_answer(&talk));
    cli_talk_deinit(&talk);
    talk = TALK("s:x");
    assert_false(cli_talk_drop_answer(&talk));
    assert_talk(&talk, "s:x");
    cli_talk_deinit(&talk);
}

static void the_oldest_goes_until_one_is_left(void **state)
{
    (void)state;
    cli_talk talk = TALK("s:x", "u:a", "a:b", "t:c", "u:d", "a:e", "u:f");
    assert_true(cli_talk_drop_oldest(&talk));
    assert_talk(&talk, "s:x u:d a:e u:f");
    assert_true(cli_talk_drop_oldest(&talk));
    assert_talk(&talk, "s:x u:f");
    assert_false(cli_talk_drop_oldest(&talk));
    assert_talk(&talk, "s:x u:f");
    cli_talk_deinit(&talk);
    talk = TALK("u:a", "a:b", "u:c");
    assert_true(cli_talk_drop_oldest(&talk));
    assert_talk(&talk, "u:c");
    cli_talk_deinit(&talk);
    talk = TALK("s:x");
    assert_false(cli_talk_drop_oldest(&talk));
    cli_talk_deinit(&talk);
}

static void clearing_keeps_the_system_message(void **state)
{
    (void)state;
    cli_talk talk = TALK("s:x", "u:a", "a:b");
    cli_talk_clear(&talk);
    assert_talk(&talk, "s:x");
    cli_talk_deinit(&talk);
    talk = TALK("u:a", "a:b");
    cli_talk_clear(&talk);
    assert_talk(&talk, "");
    cli_talk_deinit(&talk);
}

static void thoughts_are_kept_beside_the_answer(void **state)
{
    (void)state;
    cli_talk talk = TALK("u:a");
    assert_int_equal(cli_talk_answer(&talk, "b", "hm", NULL), ENX_OK);
    const json_t *answer = json_array_get(talk.messages, 1);
    assert_string_equal(json_string_value(json_object_get(answer, "reasoning_content")), "hm");
    assert_int_equal(cli_talk_answer(&talk, "c", "", NULL), ENX_OK);
    assert_null(json_object_get(json_array_get(talk.messages, 2), "reasoning_content"));
    cli_talk_deinit(&talk);
}

static void a_list_has_a_limit(void **state)
{
    (void)state;
    cli_talk   talk = TALK("u:a");
    enx_report report = { 0 };
    for (int i = 1; i < CLI_TALK_MESSAGES_MAX; i++)
        assert_int_equal(cli_talk_ask(&talk, "a", NULL), ENX_OK);
    assert_int_equal(cli_talk_ask(&talk, "a", &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "/clear"));
    assert_int_equal(json_array_size(talk.messages), CLI_TALK_MESSAGES_MAX);
    cli_talk_deinit(&talk);
}

static void saved_conversations_come_back(void **state)
{
    (void)state;
    static const char list[] = "[{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\","
                               "\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\","
                               "\"reasoning_content\":\"t\",\"more\":[1]}]";
    char              object[TEXT_MAX];
    cli_talk          talk = TALK("u:old");
    assert_int_equal(cli_talk_load(&talk, list, sizeof list - 1, NULL), ENX_OK);
    assert_talk(&talk, "s:x u:a a:b");
    const int size = snprintf(object, sizeof object, "{\"usage\": 3, \"messages\": %s}", list);
    assert_int_equal(cli_talk_load(&talk, object, (size_t)size, NULL), ENX_OK);
    assert_talk(&talk, "s:x u:a a:b");
    char *dump = json_dumps(talk.messages, JSON_COMPACT);
    assert_string_equal(dump, list);
    assert_int_equal(cli_talk_load(&talk, "[]", 2, NULL), ENX_OK);
    assert_talk(&talk, "");
    free(dump);
    cli_talk_deinit(&talk);
}

static void what_is_no_conversation_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        { "", "line 1" },
        { "[\n{]", "line 2" },
        { "3", "line 1" },
        { "{}", "a list of messages is needed" },
        { "{\"messages\": {}}", "a list of messages is needed" },
        { "[3]", "message 1: a \"role\"" },
        { "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"boss\",\"content\":\"a\"}]",
          "message 2: a \"role\"" },
        { "[{\"role\":\"user\"}]", "message 1: a \"content\"" },
        { "[{\"role\":\"user\",\"content\":null}]", "message 1: a \"content\"" },
        { "[{\"role\":\"user\",\"content\":\"a\",\"reasoning_content\":1}]", "reasoning_content" },
        { "[{\"role\":\"user\",\"role\":\"user\",\"content\":\"a\"}]", "duplicate" },
        { "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]", "line 1" },
        { "[{\"role\":\"user\",\"content\":\"\xFF\"}]", "line 1" },
        { "[] []", "line 1" },
    };
    cli_talk talk = TALK("u:kept");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_report report = { 0 };
        assert_int_equal(cli_talk_load(&talk, cases[i].json, strlen(cases[i].json), &report),
                         ENX_FORMAT);
        if (!strstr(report.text, cases[i].says)) fail_msg("%s: %s", cases[i].json, report.text);
        assert_talk(&talk, "u:kept");
    }
    cli_talk_deinit(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_message_comes_first_and_once),
        cmocka_unit_test(the_last_exchange_is_dropped_whole),
        cmocka_unit_test(an_answer_is_dropped_and_the_question_stays),
        cmocka_unit_test(the_oldest_goes_until_one_is_left),
        cmocka_unit_test(clearing_keeps_the_system_message),
        cmocka_unit_test(thoughts_are_kept_beside_the_answer),
        cmocka_unit_test(a_list_has_a_limit),
        cmocka_unit_test(saved_conversations_come_back),
        cmocka_unit_test(what_is_no_conversation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
