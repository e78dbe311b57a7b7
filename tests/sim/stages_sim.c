/* SPDX-License-Identifier: Apache-2.0 */
/* stages_sim.c - certificates of a goal in stages, where the truth is known.
 *
 *     stages_sim TRIALS TASKS     of each world; the whole state machine over simulated models
 *
 * A stage reads each line, a second one judges each answer of the first, a third one is given all
 * of those at once.  The lead's answer to an input is the reference; a worker's is another one with
 * a chance that the world sets, also where the input was made of a wrong answer.  Counted are
 * trials in which anything that was promised of any stage is false: more wrong answers than its
 * claim says, more that are wrong or made of a wrong one, or more wrong ones among what the third
 * was given.  All of it is promised at once.
 *
 * Fails when the lower 99 % bound of that share is above delta in any world.
 */
#include "base/binomial.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "idle_ports.h"
#include "swarm/swarm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MAX = 64, TEXT_BYTES = 24, STAGES = 3, LINE_BYTES = 10 };

static const double delta = .1;

/* How a worker errs: rate on average, by a power of the difficulty that its score shows; a share of
 * the surest answers is wrong all the same. */
typedef struct regime {
    const char *name;
    double      target; /* 0: labels only */
    double      rate, power, betrayed;
} regime;

static const regime regimes[] = {
    { "strong score", .05, .10, 4, 0 },      { "moderate score", .05, .10, 1, 0 },
    { "useless score", .05, .10, 0, 0 },     { "at the target", .05, .05, 0, 0 },
    { "a little above", .05, .07, 0, 0 },    { "far above", .05, .30, 1, 0 },
    { "sure and wrong", .05, .05, 4, .06 },  { "at a loose target", .10, .10, 0, 0 },
    { "above a loose one", .10, .14, 1, 0 }, { "labels only", 0, .05, 0, 0 },
    { "labels, many errors", 0, .20, 0, 0 },
};

typedef struct world {
    uint64_t        seed;
    const regime   *is;
    enx_swarm      *swarm;
    enx_call_report waiting[CALLS_MAX];
    char            answers[CALLS_MAX][TEXT_BYTES];
    uint32_t        waiting_count;
    uint64_t       *inputs; /* [task_count] hashes of what each task was given */
    uint64_t        lead_calls, tasks;
} world;

static uint64_t hash_of(const char *text, size_t size_bytes)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* The reference is a function of the input; a wrong answer is another text. */
static void write_answer(char out[TEXT_BYTES], uint64_t input, bool is_wrong)
{
    snprintf(out, TEXT_BYTES, "%c%016llx", is_wrong ? 'x' : 'a', (unsigned long long)input);
}

static void port_generate(void *self, const enx_call *call)
{
    world         *w = self;
    const uint32_t i = w->waiting_count++;
    const uint64_t input = hash_of(call->input, call->input_bytes);
    enx_rng        rng = enx_rng_open(w->seed, input);
    const double   u = enx_rng_unit(&rng), lot = enx_rng_unit(&rng);
    const double   chance = fmin(1, w->is->rate * (w->is->power + 1) * pow(u, w->is->power));
    const bool     is_wrong = call->model != 0 && (lot < chance || u < w->is->betrayed);
    ENX_CHECK(i < CALLS_MAX);
    w->inputs[call->item] = input;
    w->lead_calls += call->model == 0;
    w->tasks += call->role == ENX_ROLE_WORK;
    write_answer(w->answers[i], input, is_wrong);
    w->waiting[i] = (enx_call_report){ .call_id = call->call_id,
                                       .answer_bytes = strlen(w->answers[i]),
                                       .level = ENX_LEVEL_UNKNOWN,
                                       .error_chance = u,
                                       .usage = { .tokens_in = 1, .tokens_out = 1 } };
}

static uint64_t port_random(void *self) { return ((world *)self)->seed * 7 + 3; }

#define STAGE(id, each, needs)                                                                   \
    "{\"id\":\"" id "\",\"for_each\":\"" each "\",\"needs\":[" needs "],\"instruction\":\"do\"," \
    "\"output\":[],\"checks\":[],\"on_fail\":\"escalate\"}"
/* clang-format off */
static const char graph[] =
    "{\"mode\":\"swarm\",\"why\":\"\",\"advice\":\"\",\"stages\":["
    STAGE("read", "line", "") ","
    STAGE("judge", "answer", "\"read\"") ","
    STAGE("all", "once", "\"judge\"")
    "],\"assembly\":{\"kind\":\"join\",\"instruction\":\"\"},\"done_when\":\"\"}";
/* clang-format on */

static void open_goal(world *w, const enx_span *text)
{
    static const enx_roster_model models[] = {
        { .name = "lead", .duty = ENX_DUTY_LEAD, .slots = 16 },
        { .name = "worker", .duty = ENX_DUTY_WORKER, .slots = 16 },
    };
    static const enx_roster roster = { models, 2 };
    const enx_ports         ports = { .self = w,
                                      .generate = port_generate,
                                      .cancel = idle_cancel,
                                      .save = idle_save,
                                      .now_us = idle_now,
                                      .random_u64 = port_random };
    const enx_swarm_options options = { .job_id = 1,
                                        .roster = &roster,
                                        .ports = &ports,
                                        .goal = "judge all",
                                        .is_goal = true,
                                        .graph = graph,
                                        .items = text,
                                        .item_count = 1,
                                        .target_alpha = w->is->target,
                                        .audit_labels_max = w->is->target > 0 ? 0 : 60,
                                        .delta = delta };
    enx_report              report = { 0 };
    if (enx_swarm_open(&w->swarm, &options, &report) == ENX_OK) return;
    printf("not ok - %s\n", report.text);
    exit(EXIT_FAILURE);
}

static void run_goal(world *w)
{
    enx_swarm_start(w->swarm);
    while (!enx_swarm_is_done(w->swarm)) {
        ENX_CHECK(w->waiting_count > 0);
        const uint32_t  last = --w->waiting_count;
        enx_call_report report = w->waiting[last];
        char            answer[TEXT_BYTES];
        memcpy(answer, w->answers[last], TEXT_BYTES);
        report.answer = answer;
        enx_swarm_on_report(w->swarm, &report);
    }
    ENX_CHECK(enx_swarm_summary_get(w->swarm).end == ENX_SWARM_DONE);
}

/* Is what went out for a task another answer than the lead's to what it was given? */
static bool is_wrong(const world *w, uint32_t item)
{
    char                   right[TEXT_BYTES];
    const enx_swarm_answer a = enx_swarm_result(w->swarm, item);
    write_answer(right, w->inputs[item], false);
    return a.answer.size_bytes != strlen(right) ||
           memcmp(a.answer.text, right, a.answer.size_bytes) != 0;
}

/* Without a target the claim is about answers as they were before audits replaced some. */
static bool is_claim_false(const enx_swarm_stage_claim *c, uint32_t wrong, bool has_target)
{
    const uint32_t counted = wrong + (has_target ? 0 : c->claim.wrong);
    return c->claim.is_certified && counted > c->claim.alpha * c->claim.answers + 1e-9;
}

/* Is anything false that was promised? */
static bool is_broken(const world *w, uint32_t lines)
{
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    ENX_CHECK(enx_swarm_stages(w->swarm, claims) == STAGES);
    uint32_t wrong[STAGES] = { 0 }, tainted = 0;
    for (uint32_t i = 0; i < lines; i++) {
        const bool is_read_wrong = is_wrong(w, i), is_judged_wrong = is_wrong(w, lines + i);
        wrong[0] += is_read_wrong;
        wrong[1] += is_judged_wrong;
        tainted += is_read_wrong || is_judged_wrong;
    }
    wrong[2] = is_wrong(w, 2 * lines);
    bool   is_false = tainted > claims[1].wrong_most || tainted > claims[2].read_wrong_most;
    double deltas = 0;
    for (int k = 0; k < STAGES; k++) {
        ENX_CHECK(claims[k].has_claim);
        deltas += claims[k].claim.delta;
        is_false |= wrong[k] > claims[k].wrong_most && claims[k].claim.is_certified;
        is_false |= is_claim_false(&claims[k], wrong[k], w->is->target > 0);
    }
    ENX_CHECK(deltas < delta + 1e-9);
    return is_false;
}

static bool run_regime(const regime *is, uint32_t trials, uint32_t lines)
{
    char *text = enx_mem_new(lines, LINE_BYTES);
    world w = { .is = is, .inputs = enx_mem_new(2 * lines + 1, sizeof *w.inputs) };
    ENX_CHECK(text && w.inputs);
    uint32_t broken = 0;
    for (uint32_t t = 0; t < trials; t++) {
        for (uint32_t i = 0; i < lines; i++)
            snprintf(text + (size_t)i * (LINE_BYTES - 1), LINE_BYTES, "line%04u\n", i % 10000);
        const enx_span span = { text, (size_t)lines * (LINE_BYTES - 1) };
        w.seed = t + 1;
        open_goal(&w, &span);
        run_goal(&w);
        broken += is_broken(&w, lines);
        enx_swarm_close(&w.swarm);
    }
    enx_mem_free(text);
    enx_mem_free(w.inputs);
    const bool is_ok = enx_binomial_low(broken, trials, .01) <= delta;
    printf(
        "%s - %-20s %u of %u trials broke a promise (%.3f, delta %.2f), lead calls %.2f a task\n",
        is_ok ? "ok" : "not ok", is->name, broken, trials, (double)broken / trials, delta,
        (double)w.lead_calls / (double)w.tasks);
    return is_ok;
}

int main(int argc, char **argv)
{
    const uint32_t trials = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100;
    const uint32_t lines = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 120;
    bool           is_ok = trials > 0 && lines > 0;
    for (size_t i = 0; i < sizeof regimes / sizeof *regimes; i++)
        is_ok &= run_regime(&regimes[i], trials, lines);
    return is_ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
