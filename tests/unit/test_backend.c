/* SPDX-License-Identifier: Apache-2.0 */
/* test_backend.c - local and remote models of one swarm, behind one door. */
#include "backend/backend.h"

#include "loopback.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "tiny_swarm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LEAD, SCOUT, SPANISH, PORTUGUESE, MS = 1000 };

static char     folder[] = "/tmp/enxame-backend-XXXXXX";
static loopback server;

#define ANSWER(text)                                                                              \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"             \
    "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"},\"finish_reason\":\"stop\"}]}\n\n" \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":7}}\n\n"

static const char *const answer[] = { ANSWER("Hola."), NULL };

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return 1;
    tiny_swarm swarm = { .folder = folder };
    loopback_open(&server);
    return tiny_swarm_make(&swarm) == ENX_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[100];
    loopback_close(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *secret(const char *name)
{
    return strcmp(name, "MY_KEY") == 0 ? "sk-0123456789" : NULL;
}

/* The lead is remote; with `is_cloud` all models are. */
static enx_config *open_config(bool is_cloud)
{
    char        path[100], remote[300];
    enx_buf     text;
    enx_config *config = NULL;
    enx_report  report = { 0 };
    snprintf(path, sizeof path, "%s/cloud.yaml", folder);
    snprintf(remote, sizeof remote,
             "{api: openai, url: \"http://127.0.0.1:%u/v1\", model: big-1, key: MY_KEY, "
             "thinking_tokens: 100}, usd_per_mtok_in: 3, usd_per_mtok_out: 15",
             server.port);
    enx_buf_init(&text, 4096);
    enx_status status = enx_buf_printf(&text, "lead: {remote: %s}\n", remote);
    if (status == ENX_OK)
        status = is_cloud
                     ? enx_buf_printf(&text,
                                      "scout: {remote: %s}\nworkers:\n"
                                      "  - {remote: %s, specialty: [es, cs]}\n",
                                      remote, remote)
                     : enx_buf_append_text(&text, "scout: {model: scout.gguf}\nworkers:\n"
                                                  "  - {model: es.gguf, specialty: [es]}\n"
                                                  "  - {model: pt_BR.gguf, specialty: [pt_BR]}\n");
    if (status == ENX_OK) status = enx_file_write(path, text.data, text.size_bytes, &report);
    if (status == ENX_OK) status = enx_config_open(&config, path, &report);
    if (status != ENX_OK) fail_msg("%s", report.text);
    enx_buf_deinit(&text);
    return config;
}

static enx_backend *open_backend(const enx_config *config)
{
    enx_backend              *backend = NULL;
    enx_report                report = { 0 };
    const enx_backend_options options = { .local = { .thread_count = 2 }, .secret = secret };
    if (enx_backend_open(&backend, config, &options, &report) != ENX_OK)
        fail_msg("%s", report.text);
    return backend;
}

static enx_call call_of(uint64_t id, enx_role role, uint32_t model)
{
    return (enx_call){ .call_id = id,
                       .role = role,
                       .model = model,
                       .what = "restore",
                       .goal = "put everything back",
                       .input = "hola",
                       .input_bytes = 4,
                       .language = "es",
                       .level = 3,
                       .kinds = ENX_KINDS_ALL,
                       .max_tokens_in = UINT32_MAX,
                       .max_tokens_out = UINT32_MAX };
}

typedef struct seen {
    uint32_t        count;
    uint64_t        ids[16];
    enx_call_status status[16];
    enx_usage_count usage[16];
} seen;

static void keep(void *user, const enx_call_report *report)
{
    seen *s = user;
    assert_true(s->count < 16);
    s->ids[s->count] = report->call_id;
    s->status[s->count] = report->status;
    s->usage[s->count++] = report->usage;
}

static void wait_for(enx_backend *backend, seen *s, uint32_t count)
{
    for (int i = 0; i < 200 && s->count < count; i++) enx_backend_poll(backend, 50 * MS, keep, s);
    assert_int_equal(s->count, count);
}

static void generate(enx_backend *backend, uint64_t id, enx_role role, uint32_t model)
{
    enx_call call = call_of(id, role, model);
    enx_backend_measure(backend, &call);
    assert_int_equal(call.model, model);
    enx_backend_generate(backend, &call);
}

static void the_roster_has_all_models_in_their_places(void **state)
{
    (void)state;
    enx_config       *config = open_config(false);
    enx_backend      *backend = open_backend(config);
    const enx_roster *roster = enx_backend_roster(backend);
    assert_int_equal(roster->model_count, 4);
    assert_string_equal(roster->models[LEAD].name, "big-1");
    assert_string_equal(roster->models[SCOUT].name, "scout");
    assert_string_equal(roster->models[PORTUGUESE].languages[0], "pt_BR");
    assert_int_equal(roster->models[LEAD].duty, ENX_DUTY_LEAD);
    assert_int_equal(roster->models[LEAD].price.out, 15000000000);
    assert_int_equal(roster->models[LEAD].thinking_tokens, 100);
    assert_int_equal(roster->models[SPANISH].thinking_tokens, 0);
    assert_int_equal(enx_backend_fixed_usd_nano(backend, LEAD), 0);
    assert_true(enx_backend_fixed_usd_nano(backend, SPANISH) > 0);
    enx_backend_close(&backend);
    assert_null(backend);
    enx_config_close(&config);
}

static void calls_go_where_their_models_are(void **state)
{
    (void)state;
    enx_config  *config = open_config(false);
    enx_backend *backend = open_backend(config);
    seen         s = { 0 };
    loopback_reset(&server);
    loopback_play(&server, answer);
    generate(backend, 1, ENX_ROLE_LEAD, LEAD);
    generate(backend, 2, ENX_ROLE_SCOUT, SCOUT);
    generate(backend, 3, ENX_ROLE_WORK, SPANISH);
    generate(backend, 4, ENX_ROLE_WORK, PORTUGUESE);
    assert_int_equal(enx_backend_flight(backend), 4);
    wait_for(backend, &s, 4);
    assert_int_equal(enx_backend_flight(backend), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(s.status[i], ENX_CALL_OK);
        assert_int_equal(s.usage[i].tokens_in == 300, s.ids[i] == 1);
    }
    assert_int_equal(loopback_count(&server), 1);
    enx_backend_close(&backend);
    enx_config_close(&config);
}

/* The remote call hangs: the wait must end with the local report, not with its own time. */
static void local_reports_end_the_wait_for_remote_ones(void **state)
{
    (void)state;
    static const char *const hang[] = { LOOPBACK_HANG, NULL };
    enx_config              *config = open_config(false);
    enx_backend             *backend = open_backend(config);
    seen                     s = { 0 };
    loopback_reset(&server);
    loopback_play(&server, hang);
    generate(backend, 1, ENX_ROLE_LEAD, LEAD);
    for (int i = 0; i < 100 && loopback_count(&server) == 0; i++)
        enx_backend_poll(backend, 10 * MS, keep, &s);
    generate(backend, 2, ENX_ROLE_WORK, SPANISH);
    const uint64_t start_us = enx_clock_monotonic_us();
    assert_int_equal(enx_backend_poll(backend, 20000 * MS, keep, &s), 1);
    assert_true(enx_clock_monotonic_us() - start_us < 10000 * MS);
    assert_int_equal(s.ids[0], 2);
    enx_backend_cancel(backend, 1);
    wait_for(backend, &s, 2);
    assert_int_equal(s.status[1], ENX_CALL_LOST); /* it may have been paid */
    enx_backend_close(&backend);
    loopback_wait(&server);
    enx_config_close(&config);
}

static void held_calls_leave_when_they_are_released_or_never(void **state)
{
    (void)state;
    enx_config  *config = open_config(false);
    enx_backend *backend = open_backend(config);
    seen         s = { 0 };
    loopback_reset(&server);
    loopback_play(&server, answer);
    enx_backend_hold(backend);
    generate(backend, 1, ENX_ROLE_LEAD, LEAD);
    generate(backend, 2, ENX_ROLE_WORK, SPANISH);
    enx_backend_poll(backend, 100 * MS, keep, &s);
    assert_int_equal(s.count + loopback_count(&server), 0);
    enx_backend_release(backend, false);
    assert_int_equal(enx_backend_flight(backend), 0);

    enx_backend_hold(backend);
    generate(backend, 3, ENX_ROLE_LEAD, LEAD);
    generate(backend, 4, ENX_ROLE_LEAD, LEAD);
    enx_backend_cancel(backend, 3); /* it never leaves: nothing to pay */
    enx_backend_release(backend, true);
    wait_for(backend, &s, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(s.status[i], s.ids[i] == 3 ? ENX_CALL_ERROR : ENX_CALL_OK);
        assert_int_equal(s.usage[i].tokens_in, s.ids[i] == 3 ? 0 : 300);
    }
    assert_int_equal(loopback_count(&server), 1);
    generate(backend, 5, ENX_ROLE_LEAD, LEAD); /* what is under way at close is dropped */
    enx_backend_close(&backend);
    loopback_wait(&server);
    enx_config_close(&config);
}

static void all_models_may_be_remote(void **state)
{
    (void)state;
    enx_config  *config = open_config(true);
    enx_backend *backend = open_backend(config);
    seen         s = { 0 };
    loopback_reset(&server);
    for (int i = 0; i < 3; i++) loopback_play(&server, answer);
    for (uint32_t m = 0; m < 3; m++)
        generate(backend, m, m == SCOUT ? ENX_ROLE_SCOUT : ENX_ROLE_WORK, m);
    wait_for(backend, &s, 3);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(s.usage[i].tokens_out, 7);
    bool has_languages = false; /* the scout is told what workers know */
    for (uint32_t i = 0; i < 3; i++)
        has_languages |= strstr(loopback_request(&server, i), "one of: es cs") != NULL;
    assert_true(has_languages);
    enx_backend_close(&backend);
    enx_config_close(&config);
}

typedef struct heard {
    char   text[100];
    size_t size;
} heard;

static void hear(void *user, const char *text, size_t text_bytes)
{
    heard *h = user;
    assert_true(h->size + text_bytes < sizeof h->text);
    memcpy(h->text + h->size, text, text_bytes);
    h->size += text_bytes;
}

static void keep_answer(void *user, const enx_call_report *report)
{
    seen *s = user;
    assert_string_equal(report->answer, "{\"a\":1} Hola.");
    assert_int_equal(report->answer_bytes, strlen(report->answer));
    keep(s, report);
}

/* The answer is taken as it comes, even where it looks like a plan; text is heard meanwhile. */
static void conversations_are_carried_as_they_are(void **state)
{
    (void)state;
    static const char *const     said[] = { ANSWER("{\\\"a\\\":1} Hola."), NULL };
    static const enx_api_message list[] = { { ENX_API_USER, "one", 3 },
                                            { ENX_API_ASSISTANT, "two", 3 },
                                            { ENX_API_USER, "three", 5 } };
    const enx_api_request request = { .messages = list, .message_count = 3, .max_tokens = 50 };
    enx_config           *config = open_config(false);
    enx_backend          *backend = open_backend(config);
    seen                  s = { 0 };
    heard                 h = { 0 };
    enx_backend_talk      talk = { 7, LEAD, &request, { 1000, 50, 11 }, hear, &h };
    enx_report            report = { 0 };
    assert_true(enx_backend_is_remote(backend, LEAD));
    assert_false(enx_backend_is_remote(backend, SPANISH));
    loopback_reset(&server);
    loopback_play(&server, said);
    assert_int_equal(enx_backend_ask(backend, &talk, &report), ENX_OK);
    while (s.count == 0) enx_backend_poll(backend, 1000 * MS, keep_answer, &s);
    assert_int_equal(s.status[0], ENX_CALL_OK);
    assert_int_equal(s.usage[0].tokens_in, 300);
    assert_string_equal(h.text, "{\"a\":1} Hola.");
    assert_non_null(strstr(loopback_request(&server, 0), "\"three\""));
    assert_null(strstr(loopback_request(&server, 0), "system"));
    enx_backend_close(&backend);
    loopback_wait(&server);
    enx_config_close(&config);
}

static void who_wakes_ends_the_wait(void **state)
{
    (void)state;
    enx_config    *config = open_config(true);
    enx_backend   *backend = open_backend(config);
    seen           s = { 0 };
    const uint64_t start_us = enx_clock_monotonic_us();
    enx_backend_wake(backend); /* before it begins */
    assert_int_equal(enx_backend_poll(backend, 20000 * MS, keep, &s), 0);
    assert_true(enx_clock_monotonic_us() - start_us < 10000 * MS);
    enx_backend_close(&backend);
    enx_config_close(&config);
}

static void a_missing_key_is_named(void **state)
{
    (void)state;
    enx_config               *config = open_config(false);
    enx_backend              *backend = NULL;
    enx_report                report = { 0 };
    const enx_backend_options options = { .local = { .thread_count = 1 } };
    assert_int_equal(enx_backend_open(&backend, config, &options, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "MY_KEY"));
    assert_null(backend);
    enx_config_close(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_roster_has_all_models_in_their_places),
        cmocka_unit_test(calls_go_where_their_models_are),
        cmocka_unit_test(local_reports_end_the_wait_for_remote_ones),
        cmocka_unit_test(held_calls_leave_when_they_are_released_or_never),
        cmocka_unit_test(all_models_may_be_remote),
        cmocka_unit_test(conversations_are_carried_as_they_are),
        cmocka_unit_test(who_wakes_ends_the_wait),
        cmocka_unit_test(a_missing_key_is_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
