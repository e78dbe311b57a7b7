/* SPDX-License-Identifier: Apache-2.0 */
/* test_profile.c - where time goes is told by layer and phase, with the work that a model's sizes
 * say, and telling changes no answer. */
#include "engine_world.h"
#include "model/profile.h"
#include "model/weights.h"

enum { LAYERS = 2 };

/* Each look is a tick later than the one before. */
static uint64_t ticks;

static uint64_t tick(void) { return ++ticks; }

static enx_profile *open_profile(void)
{
    enx_profile *p = NULL;
    assert_int_equal(enx_profile_open(&p, LAYERS, tick, NULL), ENX_OK);
    return p;
}

static void times_and_work_add_up_while_it_runs(void **state)
{
    (void)state;
    enx_profile           *p = open_profile();
    const enx_profile_work work = { .bytes = 100, .operations = 7 };
    enx_profile_add(p, 0, ENX_PHASE_DOWN, 0, work);
    assert_int_equal(enx_profile_now(p), 0);
    assert_int_equal(enx_profile_sum(p, ENX_PHASE_DOWN).work.bytes, 0);
    p->is_running = true;
    for (uint32_t layer = 0; layer <= LAYERS; layer++)
        enx_profile_add(p, layer, ENX_PHASE_DOWN, enx_profile_now(p), work);
    const enx_profile_cell sum = enx_profile_sum(p, ENX_PHASE_DOWN);
    assert_int_equal(sum.time_ns, 3);
    assert_int_equal(sum.work.bytes, 300);
    assert_int_equal(sum.work.operations, 21);
    assert_int_equal(enx_profile_sum(p, ENX_PHASE_GATE).time_ns, 0);
    enx_profile_clear(p);
    assert_int_equal(enx_profile_sum(p, ENX_PHASE_DOWN).time_ns, 0);
    enx_profile_close(&p);
    enx_profile_close(&p);
    assert_null(p);
    assert_int_equal(enx_profile_now(NULL), 0);
    enx_profile_add(NULL, 0, ENX_PHASE_DOWN, 0, work);
}

static void without_memory_there_is_no_profile(void **state)
{
    (void)state;
    for (int left = 0; left < 2; left++) {
        enx_profile *p = NULL;
        enx_mem_fail_after(left);
        assert_int_equal(enx_profile_open(&p, LAYERS, tick, NULL), ENX_NOMEM);
        enx_mem_fail_after(-1);
        assert_null(p);
    }
}

/* The bytes of a layer's matrices, or their numbers. */
static uint64_t size_of_matrices(bool in_bytes)
{
    const enx_layer  *l = &enx_model_weights(world.model)->layers[0];
    const enx_matrix *all[] = { &l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down };
    uint64_t          sum = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sum += all[i]->row_count * (in_bytes ? all[i]->row_bytes : all[i]->col_count);
    return sum;
}

static enx_profile_work products(const enx_profile *p)
{
    static const enx_phase phases[] = { ENX_PHASE_QKV, ENX_PHASE_OUT, ENX_PHASE_GATE_UP,
                                        ENX_PHASE_DOWN };
    enx_profile_work       sum = { 0 };
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        const enx_profile_cell cell = enx_profile_sum(p, phases[i]);
        sum.bytes += cell.work.bytes;
        sum.operations += cell.work.operations;
    }
    return sum;
}

/* One row a pass: each reads all weights once, and every key and value before it. */
static void the_work_is_what_the_sizes_say(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    const enx_hparams *hp = enx_model_hparams(world.model);
    enx_profile       *p = open_profile();
    enx_engine        *engine = open_engine((enx_engine_options){ .slot_count = 1, .profile = p });
    result             r = { 0 };
    enx_request        request = plain;
    request.user = &r;
    submit_or_fail(engine, &request);
    enx_engine_step(engine, collect, NULL);
    p->is_running = true;
    const enx_engine_counts before = enx_engine_count(engine);
    for (int i = 0; i < STEPS; i++) enx_engine_step(engine, collect, NULL);
    const enx_engine_counts after = enx_engine_count(engine);
    assert_int_equal(after.rows - before.rows, STEPS);
    assert_int_equal(products(p).bytes, STEPS * LAYERS * size_of_matrices(true));
    assert_int_equal(products(p).operations, 2 * STEPS * LAYERS * size_of_matrices(false));
    const enx_profile_work head = enx_profile_sum(p, ENX_PHASE_HEAD).work;
    assert_int_equal(head.operations, 2 * STEPS * (uint64_t)hp->vocab_count * hp->width);
    const enx_profile_work attention = enx_profile_sum(p, ENX_PHASE_ATTEND).work;
    assert_int_equal(attention.operations, 4 * LAYERS * (after.keys_seen - before.keys_seen) *
                                               hp->head_count * hp->head_width);
    assert_int_equal(attention.bytes, (after.keys_read - before.keys_read) *
                                          enx_engine_page_bytes(engine) / ENX_KV_PAGE);
    enx_engine_close(&engine);
    enx_profile_close(&p);
}

static void answers_are_the_same_and_every_phase_has_its_time(void **state)
{
    (void)state;
    static enx_request requests[REQUESTS_MAX];
    static pattern     patterns[REQUESTS_MAX];
    static result      alone[REQUESTS_MAX], seen[REQUESTS_MAX];
    const uint32_t     count = fill_requests(requests, patterns);
    enx_profile       *p = open_profile();
    enx_engine        *engine = open_engine((enx_engine_options){ .profile = p });
    p->is_running = true;
    for (uint32_t i = 0; i < count; i++) run_alone(requests[i], &alone[i]);
    for (uint32_t i = 0; i < count; i++) {
        requests[i].user = &seen[i];
        submit_or_fail(engine, &requests[i]);
    }
    run_to_end(engine);
    for (uint32_t i = 0; i < count; i++) assert_same(&seen[i], &alone[i]);
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++)
        assert_int_equal(enx_profile_sum(p, (enx_phase)phase).time_ns > 0,
                         phase != ENX_PHASE_ROUTE);
    close_masks(requests, count);
    enx_engine_close(&engine);
    enx_profile_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_and_work_add_up_while_it_runs),
        cmocka_unit_test(without_memory_there_is_no_profile),
        cmocka_unit_test(the_work_is_what_the_sizes_say),
        cmocka_unit_test(answers_are_the_same_and_every_phase_has_its_time),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
