/* SPDX-License-Identifier: Apache-2.0 */
/* test_meter.c - what Prometheus reads: every family has its head, every model its line. */
#include "base/mem.h"
#include "serve/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const enx_engine_counts counts = {
    .steps = 9,
    .rows = 300,
    .tokens_in = 240,
    .tokens_cached = 31,
    .tokens_out = 60,
    .forced = 7,
    .drafted = 20,
    .accepted = 12,
    .requests = 5,
    .canceled = 1,
    .refused = 2,
    .prefix_hits = 3,
    .evicted = 4,
    .batches = { 2, 1, [5] = 5, [ENX_ENGINE_BATCHES - 1] = 1 },
    .sequences = 6,
    .pages = 64,
    .pages_free = 20,
    .pages_remembered = 14,
};

static void assert_says(const enx_buf *text, const char *line)
{
    if (!strstr(enx_buf_text(text), line)) fail_msg("no line %s in\n%s", line, enx_buf_text(text));
}

static void an_engine_tells_all_it_counts(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "_steps_total{model=\"lead\"} 9\n",       "_rows_total{model=\"lead\"} 300\n",
        "_tokens_in_total{model=\"lead\"} 240\n", "_tokens_cached_total{model=\"lead\"} 31\n",
        "_tokens_out_total{model=\"lead\"} 60\n", "_forced_total{model=\"lead\"} 7\n",
        "_drafted_total{model=\"lead\"} 20\n",    "_accepted_total{model=\"lead\"} 12\n",
        "_requests_total{model=\"lead\"} 5\n",    "_canceled_total{model=\"lead\"} 1\n",
        "_refused_total{model=\"lead\"} 2\n",     "_prefix_hits_total{model=\"lead\"} 3\n",
        "_evicted_total{model=\"lead\"} 4\n",     "_waiting{model=\"lead\"} 8\n",
        "_sequences{model=\"lead\"} 6\n",         "_pages{model=\"lead\"} 64\n",
        "_pages_free{model=\"lead\"} 20\n",       "_pages_remembered{model=\"lead\"} 14\n",
        "# TYPE enxame_engine_waiting gauge\n",   "# TYPE enxame_engine_evicted_total counter\n",
    };
    const enx_meter_engine engines[] = { { "lead", 8, counts }, { "a \"b\"", 0, { 0 } } };
    enx_buf                text;
    enx_buf_init(&text, 1 << 16);
    assert_int_equal(enx_meter_write_engines(engines, 2, &text), ENX_OK);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) assert_says(&text, lines[i]);
    assert_says(&text, "enxame_engine_pages{model=\"a \\\"b\\\"\"} 0\n");
    enx_buf_deinit(&text);
}

static void sizes_of_batches_add_up(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "# TYPE enxame_engine_batch_rows histogram\n",
        "_bucket{model=\"lead\",le=\"1\"} 2\n",
        "_bucket{model=\"lead\",le=\"2\"} 3\n",
        "_bucket{model=\"lead\",le=\"16\"} 3\n",
        "_bucket{model=\"lead\",le=\"32\"} 8\n",
        "_bucket{model=\"lead\",le=\"512\"} 8\n",
        "_bucket{model=\"lead\",le=\"+Inf\"} 9\n",
        "_rows_sum{model=\"lead\"} 300\n",
        "_rows_count{model=\"lead\"} 9\n",
    };
    const enx_meter_engine engine = { "lead", 0, counts };
    enx_buf                text;
    enx_buf_init(&text, 1 << 16);
    assert_int_equal(enx_meter_write_engines(&engine, 1, &text), ENX_OK);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) assert_says(&text, lines[i]);
    enx_buf_deinit(&text);
}

static void turns_and_requests_add_up(void **state)
{
    (void)state;
    const char *const   names[] = { "lead", "worker" };
    const enx_turn_bill bill = { .usage = { 10, 20, 30 }, .is_failed = true };
    enx_meter          *meter = NULL;
    enx_buf             text;
    enx_buf_init(&text, 1 << 16);
    assert_int_equal(enx_meter_open(&meter, names, 2, NULL), ENX_OK);
    for (int i = 0; i < 3; i++) enx_meter_turn(meter, 1, &bill);
    enx_meter_turn(meter, 2, &bill); /* no such model */
    enx_meter_request(meter, 200, false, 100, 5);
    enx_meter_request(meter, 200, true, 10, 5);
    enx_meter_request(meter, 999, false, 1, 5);
    assert_int_equal(enx_meter_write(meter, &text), ENX_OK);
    assert_says(&text, "enxame_turns_total{model=\"lead\"} 0\n");
    assert_says(&text, "enxame_turns_failed_total{model=\"worker\"} 3\n");
    assert_says(&text, "enxame_tokens_cached_total{model=\"worker\"} 60\n");
    assert_says(&text, "enxame_requests_total{status=\"2xx\"} 1\n");
    assert_says(&text, "enxame_requests_total{status=\"cut\"} 2\n");
    assert_says(&text, "enxame_response_bytes_total 111\n");
    enx_buf_deinit(&text);
    enx_meter_close(&meter);
    enx_meter_close(&meter);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    const char *const      names[] = { "lead" };
    const enx_meter_engine engine = { "lead", 0, counts };
    enx_meter             *meter = NULL;
    enx_buf                text;
    enx_mem_fail_after(0);
    assert_int_equal(enx_meter_open(&meter, names, 1, NULL), ENX_NOMEM);
    enx_mem_fail_after(-1);
    enx_buf_init(&text, 100);
    assert_int_equal(enx_meter_write_engines(&engine, 1, &text), ENX_LIMIT);
    enx_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_tells_all_it_counts),
        cmocka_unit_test(sizes_of_batches_add_up),
        cmocka_unit_test(turns_and_requests_add_up),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
