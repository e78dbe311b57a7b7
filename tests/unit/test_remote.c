/* SPDX-License-Identifier: Apache-2.0 */
/* test_remote.c - requests over a real socket, to a server that does everything wrong. */
#include "backend/remote.h"

#include "base/mem.h"
#include "loopback.h"
#include "plat/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAD(status, type) \
    "HTTP/1.1 " status "\r\nContent-Type: " type "\r\nConnection: close\r\n\r\n"
#define STREAM       HEAD("200 OK", "text/event-stream; charset=utf-8")
#define ERROR(line)  HEAD(line, "application/json")
#define SAY(text)    "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define STOP(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define USAGE(in, out)                                                                          \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":" in ",\"completion_tokens\":" out "}}" \
    "\n\n"
#define DONE "data: [DONE]\n\n"

enum { RESULTS_MAX = 64, MS = 1000 };

static const char secret[] = "sk-very-secret-0123456789";
static loopback   server;
static char       url[64];

typedef struct results {
    uint32_t        count;
    uint64_t        id[RESULTS_MAX];
    enx_verdict     verdict[RESULTS_MAX];
    char            text[RESULTS_MAX][256];
    char            error[RESULTS_MAX][600];
    bool            has_doubt[RESULTS_MAX];
    enx_api_stop    stop[RESULTS_MAX];
    enx_usage_count usage[RESULTS_MAX];
    uint32_t        attempts[RESULTS_MAX];
    uint64_t        latency_us[RESULTS_MAX];
} results;

static void keep(void *user, const enx_remote_result *result)
{
    results       *r = user;
    const uint32_t i = r->count++;
    assert_true(i < RESULTS_MAX);
    r->id[i] = result->id;
    r->verdict[i] = result->verdict;
    snprintf(r->text[i], sizeof r->text[i], "%s", enx_buf_text(&result->reply->text));
    snprintf(r->error[i], sizeof r->error[i], "%s", result->error ? result->error : "");
    r->has_doubt[i] = result->doubt != NULL;
    r->stop[i] = result->reply->stop;
    r->usage[i] = result->usage;
    r->attempts[i] = result->attempts;
    r->latency_us[i] = result->latency_us;
}

static enx_remote_model model_of(const enx_api *api)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/", server.port);
    return (enx_remote_model){ .api = api,
                               .url = url,
                               .model = "big-1",
                               .key = secret,
                               .connect_us = 2000 * MS,
                               .first_us = 400 * MS,
                               .idle_us = 300 * MS,
                               .total_us = 1500 * MS,
                               .attempts = 2,
                               .features = ENX_API_HAS_ALL };
}

static enx_remote *open_remote(const enx_remote_model *model)
{
    enx_remote              *remote = NULL;
    enx_report               report = { 0 };
    const enx_remote_options options = { .salt = 0xABC, .seed = 1 };
    if (enx_remote_open(&remote, model, 1, &options, &report) != ENX_OK)
        fail_msg("%s", report.text);
    return remote;
}

/* And wait for the server: scripts may be about to go. */
static void close_remote(enx_remote **remote)
{
    enx_remote_close(remote, NULL, NULL);
    assert_null(*remote);
    loopback_wait(&server);
}

static const enx_api_message prompt[] = { { ENX_API_USER, "hello there", 11 } };

static void submit(enx_remote *remote, uint64_t id, const char *schema)
{
    const enx_api_request request = {
        .messages = prompt, .message_count = 1, .max_tokens = 40, .temperature = 0, .schema = schema
    };
    const enx_remote_call call = { .id = id,
                                   .request = &request,
                                   .bounds = { 100, 40, sizeof "hello there" - 1 } };
    assert_int_equal(enx_remote_submit(remote, &call, NULL), ENX_OK);
}

static void wait_all(enx_remote *remote, results *r, uint32_t count)
{
    const uint64_t until_us = enx_clock_monotonic_us() + 20000 * MS;
    while (r->count < count && enx_clock_monotonic_us() < until_us)
        enx_remote_poll(remote, 100 * MS, -1, keep, r);
    assert_int_equal(r->count, count);
    assert_int_equal(enx_remote_flight(remote), 0);
}

/* One call against what was put on to play. */
static results *ask_with(const enx_remote_model *model)
{
    static results r;
    r = (results){ 0 };
    enx_remote *remote = open_remote(model);
    submit(remote, 7, NULL);
    wait_all(remote, &r, 1);
    close_remote(&remote);
    return &r;
}

static results *ask(const char *const *script)
{
    const enx_remote_model model = model_of(&enx_api_openai);
    loopback_reset(&server);
    loopback_play(&server, script);
    return ask_with(&model);
}

static int open_server(void **state)
{
    (void)state;
    loopback_open(&server);
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    loopback_close(&server);
    return 0;
}

/* ---- What goes well ------------------------------------------------------------------------- */

static void a_stream_is_an_answer_with_its_bill(void **state)
{
    (void)state;
    static const char *const script[] = { STREAM,
                                          SAY("Ol"),
                                          LOOPBACK_PAUSE,
                                          "data: {\"choi",
                                          LOOPBACK_PAUSE,
                                          "ces\":[{\"delta\":{\"content\":\"á\"}}]}"
                                          "\n\n" STOP("stop") USAGE("30", "5") DONE,
                                          NULL };
    const results           *r = ask(script);
    assert_int_equal(r->verdict[0], ENX_VERDICT_ANSWERED);
    assert_string_equal(r->text[0], "Olá");
    assert_string_equal(r->error[0], "");
    assert_false(r->has_doubt[0]);
    assert_int_equal(r->stop[0], ENX_API_STOP_END);
    assert_int_equal(r->usage[0].tokens_in, 30);
    assert_int_equal(r->usage[0].tokens_out, 5);
    assert_int_equal(r->attempts[0], 1);
    assert_true(r->latency_us[0] > 80 * MS);
    const char *request = loopback_request(&server, 0);
    assert_ptr_equal(strstr(request, "POST /v1/chat/completions HTTP/1.1"), request);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer sk-very-secret-0123456789\r\n"));
    assert_non_null(strstr(request, "\r\nIdempotency-Key: enxame-0000000000000abc-"
                                    "0000000000000007-ff\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(request, "\"content\":\"hello there\""));
    assert_null(strstr(request, "Expect"));
}

static void anthropic_is_spoken_too(void **state)
{
    (void)state;
    static const char *const script[] = {
        STREAM "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
               "{\"input_tokens\":30,\"output_tokens\":1}}}\n\n"
               "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":"
               "{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
               "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
               "{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n"
               "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        NULL
    };
    const enx_remote_model model = model_of(&enx_api_anthropic);
    loopback_reset(&server);
    loopback_play(&server, script);
    const results *r = ask_with(&model);
    assert_int_equal(r->verdict[0], ENX_VERDICT_ANSWERED);
    assert_string_equal(r->text[0], "Hi");
    assert_int_equal(r->usage[0].tokens_in, 30);
    assert_int_equal(r->usage[0].tokens_out, 5);
    const char *request = loopback_request(&server, 0);
    assert_ptr_equal(strstr(request, "POST /v1/messages HTTP/1.1"), request);
    assert_non_null(strstr(request, "\r\nx-api-key: sk-very-secret-0123456789\r\n"));
    assert_non_null(strstr(request, "\r\nanthropic-version: 2023-06-01\r\n"));
}

static void a_server_that_does_not_stream_is_understood(void **state)
{
    (void)state;
    static const char *const script[] = {
        HEAD("200 OK", "application/json") "{\"choices\":[{\"message\":{\"content\":\"Hi\"},"
                                           "\"finish_reason\":\"stop\"}],\"usage\":{"
                                           "\"prompt_tokens\":30,\"completion_tokens\":5}}",
        NULL
    };
    const results *r = ask(script);
    assert_int_equal(r->verdict[0], ENX_VERDICT_ANSWERED);
    assert_string_equal(r->text[0], "Hi");
    assert_int_equal(r->usage[0].tokens_in, 30);
}

static void the_end_may_come_without_its_word(void **state)
{
    (void)state;
    static const char *const script[] = { STREAM SAY("Hi") STOP("stop") USAGE("30", "5"), NULL };
    static const char *const open_end[] = { STREAM SAY("Hi") STOP("stop") USAGE("30", "5") DONE,
                                            LOOPBACK_HANG, NULL };
    assert_int_equal(ask(script)->verdict[0], ENX_VERDICT_ANSWERED);
    assert_int_equal(ask(open_end)->verdict[0], ENX_VERDICT_ANSWERED);
}

static void ends_that_are_no_answer_are_told_and_paid(void **state)
{
    (void)state;
    static const char *const length[] = { STREAM SAY("Hi") STOP("length") USAGE("30", "40") DONE,
                                          NULL };
    static const char *const filter[] = { STREAM STOP("content_filter") USAGE("30", "0") DONE,
                                          NULL };
    static const char *const refusal[] = {
        STREAM "data: {\"choices\":[{\"delta\":{\"refusal\":\"No.\"}}]}\n\n" STOP("stop")
            USAGE("30", "3") DONE,
        NULL
    };
    const results *r = ask(length);
    assert_int_equal(r->stop[0], ENX_API_STOP_LENGTH);
    assert_int_equal(r->usage[0].tokens_out, 40);
    assert_int_equal(ask(filter)->stop[0], ENX_API_STOP_FILTER);
    r = ask(refusal);
    assert_int_equal(r->stop[0], ENX_API_STOP_REFUSAL);
    assert_int_equal(r->usage[0].tokens_out, 3);
}

/* ---- What goes wrong ------------------------------------------------------------------------ */

typedef struct fault {
    const char        *name;
    const char *const *script;
    enx_verdict        verdict;
    const char        *says;
} fault;

#define SCRIPT(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void check_fault(const fault *f)
{
    const results *r = ask(f->script);
    if (r->verdict[0] != f->verdict || !strstr(r->error[0], f->says))
        fail_msg("%s: verdict %d: %s", f->name, (int)r->verdict[0], r->error[0]);
    assert_int_equal(loopback_count(&server), 1);
    const bool is_paid = f->verdict == ENX_VERDICT_SPOILT;
    assert_int_equal(r->usage[0].tokens_in, is_paid ? 100 : 0);
    assert_int_equal(r->usage[0].tokens_out, is_paid ? 40 : 0);
    assert_int_equal(r->has_doubt[0], is_paid);
}

static void what_may_have_been_paid_is_not_asked_again(void **state)
{
    (void)state;
    const fault faults[] = {
        { "hang before headers", SCRIPT(LOOPBACK_HANG), ENX_VERDICT_UNKNOWN, "no answer for 0.4" },
        { "close before headers", SCRIPT(LOOPBACK_CUT), ENX_VERDICT_UNKNOWN, "connection failed" },
        { "hang in the stream", SCRIPT(STREAM SAY("Hi"), LOOPBACK_HANG), ENX_VERDICT_UNKNOWN,
          "stood still for 0.3" },
        { "slow drip", SCRIPT(STREAM, LOOPBACK_DRIP), ENX_VERDICT_UNKNOWN, "not whole after 1.5" },
        { "cut stream", SCRIPT(STREAM SAY("Hi"), LOOPBACK_CUT), ENX_VERDICT_UNKNOWN,
          "ended early" },
        { "cut chunk",
          SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n99\r\n" SAY("Hi"),
                 LOOPBACK_CUT),
          ENX_VERDICT_UNKNOWN, "connection failed" },
        { "cut body",
          SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                 "Content-Length: 999\r\n\r\n{\"choices\":[",
                 LOOPBACK_CUT),
          ENX_VERDICT_UNKNOWN, "connection failed" },
        { "error in the stream",
          SCRIPT(STREAM SAY("Hi") "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"),
          ENX_VERDICT_UNKNOWN, "overloaded" },
        { "gateway", SCRIPT(HEAD("504 Gateway Timeout", "text/html") "<html>"), ENX_VERDICT_UNKNOWN,
          "HTTP 504" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) check_fault(&faults[i]);
}

static void what_is_no_answer_costs_the_worst_case(void **state)
{
    (void)state;
    static char long_text[4000]; /* 40 tokens may be 10,240 bytes */
    snprintf(long_text, sizeof long_text, SAY("%03000d"), 7);
    static char headers[ENX_REMOTE_HEADER_BYTES_MAX + 4000] = "HTTP/1.1 200 OK\r\n";
    while (strlen(headers) + 40 < sizeof headers) /* each of them is short */
        strncat(headers, "X-Some: abcdefghijklmnopqrst\r\n", 40);
    const fault faults[] = {
        { "many headers", SCRIPT(headers), ENX_VERDICT_SPOILT, "too many headers" },
        { "malformed event", SCRIPT(STREAM SAY("Hi") "data: {\"choices\":[}\n\n" DONE),
          ENX_VERDICT_SPOILT, "not JSON" },
        { "malformed body", SCRIPT(HEAD("200 OK", "application/json") "{\"choices\":"),
          ENX_VERDICT_SPOILT, "not JSON" },
        { "endless", SCRIPT(STREAM, long_text, long_text, long_text, long_text, LOOPBACK_HANG),
          ENX_VERDICT_SPOILT, "beyond what was asked for" },
        { "wrong type", SCRIPT(HEAD("200 OK", "text/html") "<html>"), ENX_VERDICT_SPOILT,
          "\"text/html\"" },
        { "nothing", SCRIPT(STREAM), ENX_VERDICT_SPOILT, "empty" },
        { "huge event", SCRIPT(STREAM "data: ", LOOPBACK_FLOOD), ENX_VERDICT_SPOILT, "event of" },
        { "huge body", SCRIPT(HEAD("200 OK", "application/json"), LOOPBACK_FLOOD),
          ENX_VERDICT_SPOILT, "too long" },
        { "huge header", SCRIPT("HTTP/1.1 200 OK\r\nX: ", LOOPBACK_FLOOD), ENX_VERDICT_UNKNOWN,
          "connection failed" },
        { "deep",
          SCRIPT(STREAM "data: {\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n\n"),
          ENX_VERDICT_SPOILT, "nested deeper" },
        { "the key",
          SCRIPT(STREAM SAY("sk-very-secret-0123456789") STOP("stop") USAGE("30", "9") DONE),
          ENX_VERDICT_SPOILT, "holds the key" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) check_fault(&faults[i]);
}

static void what_was_refused_costs_nothing(void **state)
{
    (void)state;
    const fault faults[] = {
        { "redirect",
          SCRIPT("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\n"
                 "Content-Length: 0\r\n\r\n"),
          ENX_VERDICT_REFUSED, "HTTP 307" },
        { "context",
          SCRIPT(ERROR("400 Bad Request") "{\"error\":{\"code\":\"context_length_exceeded\","
                                          "\"message\":\"too many tokens\"}}"),
          ENX_VERDICT_REFUSED, "HTTP 400 context_length_exceeded: too many tokens" },
        { "no such model", SCRIPT(ERROR("404 Not Found") "{\"error\":\"no such model\"}"),
          ENX_VERDICT_REFUSED, "HTTP 404: no such model" },
        { "html", SCRIPT(HEAD("404 Not Found", "text/html"), LOOPBACK_FLOOD), ENX_VERDICT_REFUSED,
          "HTTP 404" },
        { "a day", SCRIPT("HTTP/1.1 429 X\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n"),
          ENX_VERDICT_REFUSED, "HTTP 429" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) check_fault(&faults[i]);
}

static void lies_about_usage_settle_as_the_worst_case(void **state)
{
    (void)state;
    static const char *const lies[] = { USAGE("30", "41"), USAGE("-3", "5"), USAGE("101", "5"),
                                        USAGE("30", "0"), "" };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const char *const script[] = { STREAM SAY("Hi") STOP("stop"), lies[i], DONE, NULL };
        const results    *r = ask(script);
        assert_int_equal(r->verdict[0], ENX_VERDICT_ANSWERED);
        assert_string_equal(r->text[0], "Hi");
        assert_true(r->has_doubt[0]);
        assert_int_equal(r->usage[0].tokens_in, 100);
        assert_int_equal(r->usage[0].tokens_out, 40);
    }
}

/* ---- Tries ---------------------------------------------------------------------------------- */

static const char *const good[] = { STREAM SAY("Hi") STOP("stop") USAGE("30", "5") DONE, NULL };

static void busy_servers_are_asked_again_under_the_same_key(void **state)
{
    (void)state;
    static const char *const busy[] = { "429 X", "500 X", "503 X", "529 X" };
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++) {
        char              head[200];
        const char *const script[] = { head, NULL };
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: 0\r\n%s\r\n", busy[i],
                 i == 0 ? "Retry-After: 1\r\n" : "");
        const enx_remote_model model = model_of(&enx_api_openai);
        loopback_reset(&server);
        loopback_play(&server, script);
        loopback_play(&server, good);
        const results *r = ask_with(&model);
        assert_int_equal(r->verdict[0], ENX_VERDICT_ANSWERED);
        assert_int_equal(r->attempts[0], 2);
        assert_true(r->latency_us[0] >= (i == 0 ? 1000u : 250u) * MS);
        const char *first = strstr(loopback_request(&server, 0), "Idempotency-Key");
        const char *second = strstr(loopback_request(&server, 1), "Idempotency-Key");
        assert_memory_equal(first, second, strcspn(first, "\r"));
    }
}

static void tries_end(void **state)
{
    (void)state;
    static const char *const busy[] = { "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", NULL };
    const enx_remote_model   model = model_of(&enx_api_openai);
    loopback_reset(&server);
    for (int i = 0; i < 4; i++) loopback_play(&server, busy);
    const results *r = ask_with(&model);
    assert_int_equal(r->verdict[0], ENX_VERDICT_REFUSED);
    assert_string_equal(r->error[0], "big-1: HTTP 503 (2 tries)");
    assert_int_equal(loopback_count(&server), 2);
}

static void nobody_there_costs_nothing(void **state)
{
    (void)state;
    enx_remote_model model = model_of(&enx_api_openai);
    model.url = "http://127.0.0.1:1/v1";
    const results *r = ask_with(&model);
    assert_int_equal(r->verdict[0], ENX_VERDICT_REFUSED);
    assert_non_null(strstr(r->error[0], "connection failed"));
    assert_int_equal(r->attempts[0], 2);
}

static void what_a_server_does_not_know_is_left_out_from_then_on(void **state)
{
    (void)state;
    static const char *const no_schema[] = {
        ERROR("400 X") "{\"error\":{\"message\":\"unknown\",\"param\":\"response_format\"}}", NULL
    };
    static const char *const no_max[] = {
        ERROR("400 X") "{\"error\":{\"message\":\"use 'max_completion_tokens'\","
                       "\"param\":\"max_tokens\"}}",
        NULL
    };
    const enx_remote_model model = model_of(&enx_api_openai);
    enx_remote            *remote = open_remote(&model);
    results                r = { 0 };
    loopback_reset(&server);
    loopback_play(&server, no_schema);
    loopback_play(&server, no_max);
    loopback_play(&server, good);
    loopback_play(&server, good);
    submit(remote, 1, "{\"type\":\"object\"}");
    wait_all(remote, &r, 1);
    submit(remote, 2, "{\"type\":\"object\"}");
    wait_all(remote, &r, 2);
    close_remote(&remote);
    assert_int_equal(loopback_count(&server), 4);
    assert_int_equal(r.attempts[0], 3);
    assert_int_equal(r.attempts[1], 1);
    assert_non_null(strstr(loopback_request(&server, 0), "response_format"));
    for (uint32_t i = 2; i < 4; i++) {
        assert_null(strstr(loopback_request(&server, i), "response_format"));
        assert_non_null(strstr(loopback_request(&server, i), "JSON Schema"));
        assert_non_null(strstr(loopback_request(&server, i), "\"max_completion_tokens\":40"));
    }
    const char *first = strstr(loopback_request(&server, 0), "Idempotency-Key");
    const char *third = strstr(loopback_request(&server, 2), "Idempotency-Key");
    assert_memory_not_equal(first, third, strcspn(first, "\r")); /* it is another body */
}

static void a_wrong_key_is_asked_once_and_never_shown(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        ERROR("401 X") "{\"error\":{\"message\":\"wrong key: sk-very-secret-0123456789\","
                       "\"code\":\"sk-very-secret-0123456789\"}}",
        NULL
    };
    enx_remote_model model = model_of(&enx_api_openai);
    model.limits.concurrency = 1;
    enx_remote *remote = open_remote(&model);
    results     r = { 0 };
    loopback_reset(&server);
    loopback_play(&server, wrong);
    for (uint64_t id = 0; id < 5; id++) submit(remote, id, NULL);
    wait_all(remote, &r, 5);
    close_remote(&remote);
    assert_int_equal(loopback_count(&server), 1);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(r.verdict[i], ENX_VERDICT_REFUSED);
        assert_non_null(strstr(r.error[i], "HTTP 401"));
        assert_non_null(strstr(r.error[i], "is the key right?"));
        assert_null(strstr(r.error[i], "secret"));
    }
}

/* ---- Company -------------------------------------------------------------------------------- */

static void many_calls_share_few_connections(void **state)
{
    (void)state;
    static const char body[] = SAY("Hi") STOP("stop") USAGE("30", "5") DONE;
    char              head[200];
    const char *const paused[] = { head, LOOPBACK_PAUSE, body, LOOPBACK_NEXT, NULL };
    enx_remote_model  model = model_of(&enx_api_openai);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    model.limits.concurrency = 4;
    enx_remote *remote = open_remote(&model);
    results     r = { 0 };
    loopback_reset(&server);
    for (int i = 0; i < 20; i++) loopback_play(&server, paused);
    const uint64_t start_us = enx_clock_monotonic_us();
    for (uint64_t id = 0; id < 20; id++) submit(remote, id, NULL);
    wait_all(remote, &r, 20);
    const uint64_t spent_us = enx_clock_monotonic_us() - start_us;
    close_remote(&remote);
    for (uint32_t i = 0; i < 20; i++)
        if (r.verdict[i] != ENX_VERDICT_ANSWERED) fail_msg("%s", r.error[i]);
    assert_true(spent_us >= 250 * MS); /* five rounds of 50 ms */
}

/* A model of its own limits and one without, at the same provider. */
static void models_of_one_provider_share_its_limits(void **state)
{
    (void)state;
    const enx_remote_model   model = model_of(&enx_api_openai);
    enx_remote_model         models[3] = { model, model, model };
    enx_remote              *remote = NULL;
    results                  r = { 0 };
    const enx_remote_options options = { .salt = 1 };
    models[0].limits.requests_per_min = 2;
    models[1].model = "big-2";
    models[2].key = "sk-another-key"; /* another account */
    loopback_reset(&server);
    for (int i = 0; i < 4; i++) loopback_play(&server, good);
    assert_int_equal(enx_remote_open(&remote, models, 3, &options, NULL), ENX_OK);
    const enx_api_request request = { .messages = prompt, .message_count = 1, .max_tokens = 9 };
    for (uint32_t i = 0; i < 4; i++) {
        const enx_remote_call call = { .id = i, .model = i == 3 ? 2 : 1, .request = &request };
        assert_int_equal(enx_remote_submit(remote, &call, NULL), ENX_OK);
    }
    for (int i = 0; i < 10; i++) enx_remote_poll(remote, 50 * MS, -1, keep, &r);
    assert_int_equal(r.count, 3);
    for (uint32_t i = 0; i < 3; i++) assert_true(r.id[i] != 2);
    close_remote(&remote);
}

static void a_failing_provider_is_left_alone_for_a_while(void **state)
{
    (void)state;
    static const char *const cut[] = { STREAM SAY("Hi"), LOOPBACK_CUT, NULL };
    enx_remote_model         model = model_of(&enx_api_openai);
    model.limits.concurrency = 1;
    enx_remote *remote = open_remote(&model);
    results     r = { 0 };
    loopback_reset(&server);
    for (int i = 0; i < ENX_THROTTLE_FAILURES; i++) loopback_play(&server, cut);
    for (int i = 0; i < 2; i++) loopback_play(&server, good);
    const uint64_t start_us = enx_clock_monotonic_us();
    for (uint64_t id = 0; id < ENX_THROTTLE_FAILURES + 2; id++) submit(remote, id, NULL);
    wait_all(remote, &r, ENX_THROTTLE_FAILURES + 2);
    assert_true(enx_clock_monotonic_us() - start_us >= ENX_THROTTLE_OPEN_US);
    for (uint32_t i = 0; i < r.count; i++)
        assert_int_equal(r.verdict[i],
                         i < ENX_THROTTLE_FAILURES ? ENX_VERDICT_UNKNOWN : ENX_VERDICT_ANSWERED);
    close_remote(&remote);
}

static void limits_of_requests_a_minute_hold(void **state)
{
    (void)state;
    enx_remote_model model = model_of(&enx_api_openai);
    model.limits.requests_per_min = 2;
    enx_remote *remote = open_remote(&model);
    results     r = { 0 };
    loopback_reset(&server);
    for (int i = 0; i < 4; i++) loopback_play(&server, good);
    for (uint64_t id = 0; id < 4; id++) submit(remote, id, NULL);
    for (int i = 0; i < 10; i++) enx_remote_poll(remote, 50 * MS, -1, keep, &r);
    assert_int_equal(r.count, 2);
    assert_int_equal(loopback_count(&server), 2);
    assert_int_equal(enx_remote_flight(remote), 2);
    enx_remote_cancel(remote, 2);
    enx_remote_cancel(remote, 3);
    wait_all(remote, &r, 4);
    assert_int_equal(r.verdict[3], ENX_VERDICT_REFUSED); /* it never left */
    close_remote(&remote);
}

/* Until the server has been asked: a request that is still under way would be played the script of
 * the next test. */
static void wait_asked(enx_remote *remote, results *r)
{
    for (int i = 0; i < 1000 && loopback_count(&server) == 0; i++)
        enx_remote_poll(remote, 5 * MS, -1, keep, r);
    assert_int_equal(loopback_count(&server), 1);
}

static void a_call_in_flight_can_be_canceled(void **state)
{
    (void)state;
    static const char *const hang[] = { STREAM SAY("Hi"), LOOPBACK_HANG, NULL };
    enx_remote_model         model = model_of(&enx_api_openai);
    model.idle_us = 10000 * MS;
    model.total_us = 10000 * MS;
    enx_remote *remote = open_remote(&model);
    results     r = { 0 };
    loopback_reset(&server);
    loopback_play(&server, hang);
    submit(remote, 9, NULL);
    enx_remote_poll(remote, 200 * MS, -1, keep, &r);
    wait_asked(remote, &r);
    assert_int_equal(r.count, 0);
    const uint64_t start_us = enx_clock_monotonic_us();
    enx_remote_cancel(remote, 9);
    wait_all(remote, &r, 1);
    assert_true(enx_clock_monotonic_us() - start_us < 100 * MS);
    assert_int_equal(r.verdict[0], ENX_VERDICT_UNKNOWN);
    assert_string_equal(r.error[0], "big-1: canceled");
    close_remote(&remote);
}

static void closing_ends_what_is_in_flight(void **state)
{
    (void)state;
    static const char *const hang[] = { LOOPBACK_HANG, NULL };
    const enx_remote_model   model = model_of(&enx_api_openai);
    enx_remote              *remote = open_remote(&model);
    results                  r = { 0 };
    loopback_reset(&server);
    loopback_play(&server, hang);
    submit(remote, 1, NULL);
    wait_asked(remote, &r);
    submit(remote, 2, NULL);
    assert_int_equal(r.count, 0);
    enx_remote_close(&remote, keep, &r);
    loopback_wait(&server);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.verdict[0], ENX_VERDICT_UNKNOWN);
    assert_int_equal(r.verdict[1], ENX_VERDICT_REFUSED);
}

static void another_descriptor_ends_the_wait(void **state)
{
    (void)state;
    static const char *const hang[] = { LOOPBACK_HANG, NULL };
    const enx_remote_model   model = model_of(&enx_api_openai);
    enx_remote              *remote = open_remote(&model);
    results                  r = { 0 };
    int                      ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loopback_reset(&server);
    loopback_play(&server, hang);
    submit(remote, 1, NULL);
    const uint64_t start_us = enx_clock_monotonic_us();
    assert_int_equal(enx_remote_poll(remote, 5000 * MS, ends[0], keep, &r), 0);
    assert_true(enx_clock_monotonic_us() - start_us < 300 * MS);
    wait_asked(remote, &r);
    close_remote(&remote);
    close(ends[0]);
    close(ends[1]);
}

static void add_text(void *user, const char *text, size_t text_bytes)
{
    assert_int_equal(enx_buf_append(user, text, text_bytes), ENX_OK);
    assert_int_equal(enx_buf_append(user, "|", 1), ENX_OK);
}

static void text_can_be_had_as_it_comes(void **state)
{
    (void)state;
    static const char *const script[] = { STREAM SAY("a") SAY("") SAY("bc") STOP("stop") DONE,
                                          NULL };
    const enx_remote_model   model = model_of(&enx_api_openai);
    enx_remote              *remote = open_remote(&model);
    results                  r = { 0 };
    enx_buf                  seen;
    enx_buf_init(&seen, 100);
    loopback_reset(&server);
    loopback_play(&server, script);
    const enx_api_request request = { .messages = prompt, .message_count = 1, .max_tokens = 4 };
    const enx_remote_call call = { .request = &request, .user = &seen, .on_text = add_text };
    assert_int_equal(enx_remote_submit(remote, &call, NULL), ENX_OK);
    wait_all(remote, &r, 1);
    assert_string_equal(enx_buf_text(&seen), "a|bc|");
    enx_buf_deinit(&seen);
    close_remote(&remote);
}

/* Whichever of our own allocations fails: an error or a result, no harm and no leak. */
static void missing_memory_is_told(void **state)
{
    (void)state;
    const enx_remote_model   model = model_of(&enx_api_openai);
    const enx_remote_options options = { .salt = 1 };
    const enx_api_request    request = { .messages = prompt, .message_count = 1, .max_tokens = 40 };
    const enx_remote_call    call = { .request = &request, .bounds = { 100, 40, 11 } };
    bool                     is_whole = false;
    for (long n = 0; !is_whole; n++) {
        enx_remote *remote = NULL;
        results     r = { 0 };
        assert_true(n < 60);
        loopback_reset(&server);
        loopback_play(&server, good);
        enx_mem_fail_after(n);
        enx_status status = enx_remote_open(&remote, &model, 1, &options, NULL);
        if (status == ENX_OK) status = enx_remote_submit(remote, &call, NULL);
        for (int i = 0; status == ENX_OK && i < 100 && r.count == 0; i++)
            enx_remote_poll(remote, 50 * MS, -1, keep, &r);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_NOMEM || (status == ENX_OK && r.count == 1));
        is_whole = r.count == 1 && r.verdict[0] == ENX_VERDICT_ANSWERED;
        if (r.count == 1 && !is_whole) assert_true(r.error[0][0] != '\0');
        close_remote(&remote);
    }
}

/* ---- Settings ------------------------------------------------------------------------------- */

static void urls_and_keys_are_judged(void **state)
{
    (void)state;
    const struct {
        const char *url, *key, *says;
    } cases[] = {
        { "ftp://x/v1", NULL, "http:// or https://" },
        { "file:///etc/passwd", NULL, "http:// or https://" },
        { "https://user:word@x/v1", NULL, "no place" },
        { "https://x/v1?key=1", NULL, "no place" },
        { "http://example.com/v1", "sk-1", "in the clear" },
        { "http://localhost.example.com/v1", "sk-1", "in the clear" },
        { "https://x/v1", "", "0 bytes" },
        { "https://x/v1", "a\r\nX: y", "no key has" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_remote              *remote = NULL;
        enx_report               report = { 0 };
        const enx_remote_options options = { 0 };
        const enx_remote_model   model = {
              .api = &enx_api_openai, .url = cases[i].url, .model = "m", .key = cases[i].key
        };
        assert_int_equal(enx_remote_open(&remote, &model, 1, &options, &report), ENX_INVALID);
        if (!strstr(report.text, cases[i].says)) fail_msg("%s", report.text);
        if (cases[i].key && cases[i].key[0]) assert_null(strstr(report.text, cases[i].key));
        assert_null(remote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_an_answer_with_its_bill),
        cmocka_unit_test(anthropic_is_spoken_too),
        cmocka_unit_test(a_server_that_does_not_stream_is_understood),
        cmocka_unit_test(the_end_may_come_without_its_word),
        cmocka_unit_test(ends_that_are_no_answer_are_told_and_paid),
        cmocka_unit_test(what_may_have_been_paid_is_not_asked_again),
        cmocka_unit_test(what_is_no_answer_costs_the_worst_case),
        cmocka_unit_test(what_was_refused_costs_nothing),
        cmocka_unit_test(lies_about_usage_settle_as_the_worst_case),
        cmocka_unit_test(busy_servers_are_asked_again_under_the_same_key),
        cmocka_unit_test(tries_end),
        cmocka_unit_test(nobody_there_costs_nothing),
        cmocka_unit_test(what_a_server_does_not_know_is_left_out_from_then_on),
        cmocka_unit_test(a_wrong_key_is_asked_once_and_never_shown),
        cmocka_unit_test(many_calls_share_few_connections),
        cmocka_unit_test(models_of_one_provider_share_its_limits),
        cmocka_unit_test(a_failing_provider_is_left_alone_for_a_while),
        cmocka_unit_test(limits_of_requests_a_minute_hold),
        cmocka_unit_test(a_call_in_flight_can_be_canceled),
        cmocka_unit_test(closing_ends_what_is_in_flight),
        cmocka_unit_test(another_descriptor_ends_the_wait),
        cmocka_unit_test(text_can_be_had_as_it_comes),
        cmocka_unit_test(missing_memory_is_told),
        cmocka_unit_test(urls_and_keys_are_judged),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
