/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - swarm.yaml is read, judged, and its mistakes are named. */
#include "backend/config.h"

#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/enxame-config-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? 1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static enx_status load(const char *text, enx_config **out, enx_report *report)
{
    FILE *stream = fopen(path, "w");
    fputs(text, stream);
    fclose(stream);
    *report = (enx_report){ 0 };
    *out = NULL;
    return enx_config_open(out, path, report);
}

static void every_key_is_read(void **state)
{
    (void)state;
    enx_config *c;
    enx_report  report;
    const char *text = "name: x\n"
                       "machine: {usd_per_hour: 3.6, param_tokens_per_s_in: 1e9, "
                       "param_tokens_per_s_out: 5e8, cores: 2}\n"
                       "lead: {model: lead.gguf, usd_per_mtok_in: 0.5, slots: 3, "
                       "cache: q8, cache_mb: 64}\n"
                       "scout: {model: /abs/scout.gguf}\n"
                       "workers:\n  - {model: a.gguf, specialty: [pt_BR, es]}\n"
                       "escalate: {above: {\"1\": 0.1, \"3\": 0.3}}\n"
                       "gate: {min_paragraphs: 9}\namortize: {jobs: 10}\nthreads: 3\n";
    assert_int_equal(load(text, &c, &report), ENX_OK);
    assert_string_equal(c->name, "x");
    assert_int_equal(c->worker_count, 1);
    assert_int_equal(c->workers[0].specialty_count, 2);
    assert_string_equal(c->workers[0].specialty[1], "es");
    assert_true(c->escalate_above[1] == .1 && c->escalate_above[2] == 0 &&
                c->escalate_above[3] == .3);
    assert_int_equal(c->gate_min_paragraphs, 9);
    assert_int_equal(c->threads, 3);
    assert_int_equal(c->lead.slots, 3);
    assert_string_equal(c->lead.cache, "q8");
    assert_int_equal(c->lead.cache_mb, 64);
    enx_buf out;
    enx_buf_init(&out, 1000);
    assert_int_equal(enx_config_model_path(c, &c->lead, &out), ENX_OK);
    assert_string_equal(out.data, "/tmp/lead.gguf");
    enx_buf_clear(&out);
    assert_int_equal(enx_config_model_path(c, &c->scout, &out), ENX_OK);
    assert_string_equal(out.data, "/abs/scout.gguf");
    enx_buf_deinit(&out);
    /* $3.6 an hour is $0.001 a second; 1e6 parameters read 1000 tokens a second: $1 a million */
    const enx_price price = enx_config_price(c, &c->workers[0], 1000000);
    assert_int_equal(price.in, 1000000000);
    assert_int_equal(price.out, 2000000000);
    assert_int_equal(price.cached, 0);
    assert_int_equal(enx_config_price(c, &c->lead, 1000000).in, 500000000);
    /* 7200 CPU seconds on 2 cores: one hour, $3.6, over 10 jobs */
    assert_int_equal(enx_config_fixed_usd_nano(c, 7200), 360000000);
    enx_config_close(&c);
    assert_null(c);
}

static void one_number_is_the_limit_of_all_levels(void **state)
{
    (void)state;
    enx_config *c;
    enx_report  report;
    assert_int_equal(load("lead: {model: a}\nescalate: {above: 0.4}\n", &c, &report), ENX_OK);
    for (int level = 1; level < ENX_CONFIG_LEVELS; level++)
        assert_true(c->escalate_above[level] == .4);
    assert_int_equal(c->amortize_jobs, 10000);
    enx_config_close(&c);
}

static void an_unknown_key_is_named_with_its_line_and_the_nearest(void **state)
{
    (void)state;
    char        want[100];
    enx_config *c;
    enx_report  report;
    assert_int_equal(
        load("name: x\nlead: {model: a}\nworkers:\n  - model: b\n    specialti: [es]\n", &c,
             &report),
        ENX_FORMAT);
    snprintf(want, sizeof want, "%s:5: unknown key \"specialti\"; did you mean \"specialty\"?",
             path);
    assert_string_equal(report.text, want);
    assert_int_equal(load("lead: {model: a}\ngaet: {min_paragraphs: 4}\n", &c, &report),
                     ENX_FORMAT);
    assert_non_null(strstr(report.text, ":2: unknown key \"gaet\"; did you mean \"gate\"?"));
    assert_null(c);
}

static void mistakes_are_told_where_they_are(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enx_status  status;
        const char *says;
    } cases[] = {
        { "", ENX_FORMAT, "empty" },
        { "name: x\n", ENX_INVALID, "no model" },
        { "lead: {}\n", ENX_INVALID, "model" },
        { "lead: {slots: 3}\nworkers: [{model: b, specialty: [es]}]\n", ENX_INVALID,
          "lead: no model" },
        { "lead: {model: a}\nthreads: 1000\n", ENX_INVALID, "threads" },
        { "lead: {model: a}\nthreads: many\n", ENX_FORMAT, ":2:" },
        { "lead: {model: a, slots: 100000}\n", ENX_INVALID, "slots" },
        { "lead: {model: a, usd_per_mtok_in: -1}\n", ENX_INVALID, "price" },
        { "lead: {model: a}\nmachine: {usd_per_hour: -1}\n", ENX_INVALID, "usd_per_hour" },
        { "lead: {model: a}\nmachine: {param_tokens_per_s_in: -1}\n", ENX_INVALID, "param_tokens" },
        { "lead: {model: a}\nescalate: {above: 1.5}\n", ENX_INVALID, "1.5" },
        { "lead: {model: a}\nscout: {model: s}\nworkers: [{model: b}]\n", ENX_INVALID,
          "specialty" },
        { "lead: {model: a}\nworkers: [{specialty: [es]}]\n", ENX_INVALID, "model" },
        { "lead: {model: a\n", ENX_FORMAT, "yaml" },
        { "lead: {model: a}\nescalate: {abov: 1}\n", ENX_FORMAT, "did you mean \"above\"" },
        { "lead: {model: a, cache: q4}\n", ENX_INVALID, "expected f16, f32 or q8" },
        { "lead: {model: a, cache_mb: 20000000}\n", ENX_INVALID, "cache_mb" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_config *c;
        enx_report  report;
        assert_int_equal(load(cases[i].text, &c, &report), cases[i].status);
        assert_non_null(strstr(report.text, path));
        if (!strstr(report.text, cases[i].says))
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, report.text, cases[i].says);
        assert_null(c);
    }
    enx_config *c = NULL;
    enx_report  report = { 0 };
    assert_int_equal(enx_config_open(&c, "/nonexistent/swarm.yaml", &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "/nonexistent/swarm.yaml"));
}

#define REMOTE(more) "lead: {remote: {api: openai, url: \"https://x/v1\", model: m" more "}"

static void remote_models_are_read_and_judged(void **state)
{
    (void)state;
    static const char prices[] = ", usd_per_mtok_in: 3, usd_per_mtok_out: 15}\n";
    const struct {
        const char *text;
        enx_status  status;
        const char *says;
    } cases[] = {
        { REMOTE(", api_key: sk-1"), ENX_FORMAT, "unknown key \"api_key\"" },
        { REMOTE(", attempts: 21"), ENX_INVALID, "attempts" },
        { REMOTE(", total_s: -1"), ENX_INVALID, "time limit" },
        { REMOTE(", error_chance: 0"), ENX_INVALID, "error_chance" },
        { REMOTE(", thinking_tokens: 9999999"), ENX_INVALID, "thinking_tokens" },
        { "lead: {remote: {api: soap, url: \"https://x\", model: m}", ENX_INVALID, "soap" },
        { "lead: {remote: {api: openai, model: m}", ENX_FORMAT, "url" },
        { "lead: {model: a, remote: {api: openai, url: x, model: m}", ENX_INVALID, "only one" },
    };
    char        text[400];
    enx_config *c;
    enx_report  report;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", cases[i].text, prices);
        if (load(text, &c, &report) != cases[i].status || !strstr(report.text, cases[i].says))
            fail_msg("case %zu: %s", i, report.text);
        assert_null(c);
    }
    assert_int_equal(load(REMOTE("") "}\n", &c, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "prices"));
    assert_int_equal(load(REMOTE("") ", usd_per_mtok_in: 1, usd_per_mtok_out: 2, "
                                     "usd_per_mtok_cached: 1.5}\n",
                          &c, &report),
                     ENX_INVALID);
    snprintf(text, sizeof text, "%s%s",
             REMOTE(", key: K, connect_s: 1, first_byte_s: 2.5, idle_s: 3, total_s: 4, "
                    "attempts: 5, requests_per_min: 6, tokens_per_min: 7, thinking_tokens: 8, "
                    "error_chance: 0.1"),
             prices);
    assert_int_equal(load(text, &c, &report), ENX_OK);
    const enx_config_remote *r = c->lead.remote;
    assert_string_equal(r->key, "K");
    assert_true(r->connect_s == 1 && r->first_byte_s == 2.5 && r->idle_s == 3 && r->total_s == 4);
    assert_true(r->attempts == 5 && r->requests_per_min == 6 && r->tokens_per_min == 7);
    assert_true(r->thinking_tokens == 8 && *r->error_chance == .1);
    const enx_price price = enx_config_price(c, &c->lead, 0);
    assert_int_equal(price.in, 3000000000);
    assert_int_equal(price.cached, 3000000000); /* unless it is told */
    assert_int_equal(price.out, 15000000000);
    enx_config_close(&c);
}

static void nearest_words_are_near(void **state)
{
    (void)state;
    const char *const words[] = { "model", "specialty", "slots", "machine" };
    assert_int_equal(enx_nearest_distance("", ""), 0);
    assert_int_equal(enx_nearest_distance("abc", ""), 3);
    assert_int_equal(enx_nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(enx_nearest_distance("gaet", "gate"), 1);
    assert_string_equal(enx_nearest("modle", words, 4), "model");
    assert_string_equal(enx_nearest("machin", words, 4), "machine");
    assert_null(enx_nearest("xyzzy", words, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(one_number_is_the_limit_of_all_levels),
        cmocka_unit_test(an_unknown_key_is_named_with_its_line_and_the_nearest),
        cmocka_unit_test(mistakes_are_told_where_they_are),
        cmocka_unit_test(remote_models_are_read_and_judged),
        cmocka_unit_test(nearest_words_are_near),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
