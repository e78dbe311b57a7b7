/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_goal.c - a goal as stages of tasks: how they come to be, wait for each other, and end.
 *
 *     plan ──► stages ──► (a digest to the lead ──► more stages)* ──► deliver ──► assembly
 *
 * Tasks of all stages of a plan are in the table from the plan's record on, each stage's together,
 * so that the numbers of tasks never change and a replay finds them again.  A task that needs
 * others is created when they have ended, and the record of that holds its input: what it was given
 * does not change when an answer is replaced later.
 *
 * The lead writes plans from the goal, the names and sizes of the inputs, and counts of how tasks
 * ended.  No text of an input and no answer is ever part of that: data cannot change the plan.  */
#include "base/check.h"
#include "base/mem.h"
#include "swarm/swarm_flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NOTE_BYTES = SWARM_NOTE_BYTES,
    INPUT_BYTES_MAX = ENX_SWARM_ITEM_BYTES, /* of a task that is given several answers */
    TOKEN_BYTES = 4,                        /* of an answer that is not there yet, as a rule */
};

static const char deliver_plan[] = "{\"mode\":\"deliver\"}";

/* ---- stages from records -------------------------------------------------------------------- */

/* Make room for more tasks.  The plan stays behind the last of them, and its calls with it. */
static enx_status grow_items(enx_swarm *s, uint32_t more, enx_report *report)
{
    const uint32_t old = s->item_count, count = old + more;
    swarm_item    *grown =
        enx_mem_resize(s->items, (old + 1) * sizeof *grown, ((size_t)count + 1) * sizeof *grown);
    if (!grown) return ENX_FAIL(report, NOMEM, "no memory for %u tasks", count);
    s->items = grown;
    s->items[count] = s->items[old];
    for (uint32_t i = old; i < count; i++) {
        s->items[i] = (swarm_item){ .level = ENX_LEVEL_UNKNOWN, .kinds = ENX_KINDS_ALL };
        s->items[i].hedge = s->items[i].prev = s->items[i].next = s->items[i].call =
            s->items[i].candidate = s->items[i].rank = SWARM_NONE;
    }
    for (uint32_t c = 0; c < s->call_count; c++)
        if (s->calls[c].item == old) s->calls[c].item = count;
    s->item_count = count;
    s->tasks[ENX_TASK_OPEN] += more;
    return ENX_OK;
}

static uint32_t count_tasks(const enx_swarm *s, const enx_stage *plan, uint32_t base,
                            enx_span *spans)
{
    if (plan->each == ENX_EACH_ANSWER) return s->stages[base + plan->needs[0]].count;
    if (plan->need_count > 0) return 1;
    return enx_graph_slice(plan->each, s->options.items, s->options.item_count, spans);
}

static enx_status add_stage(enx_swarm *s, const enx_stage *plan, uint32_t base, enx_span *spans,
                            enx_report *report)
{
    const uint32_t index = s->stage_count, first = s->item_count;
    const uint32_t count = count_tasks(s, plan, base, spans);
    if (count > ENX_GRAPH_TASKS_MAX || index == ENX_SWARM_STAGES_MAX)
        return ENX_FAIL(report, LIMIT, "plan: stage %s has more than %d tasks",
                        plan->task_class.name, ENX_GRAPH_TASKS_MAX);
    ENX_TRY(grow_items(s, count, report));
    s->stages[s->stage_count++] = (swarm_stage){
        .plan = plan, .first = first, .count = count, .open = count, .base = base, .round = s->round
    };
    for (uint32_t i = 0; i < count; i++) {
        s->items[first + i].stage = index;
        s->items[first + i].task_class = &plan->task_class;
        s->items[first + i].input =
            plan->need_count > 0 || plan->each == ENX_EACH_ANSWER ? (enx_span){ "", 0 } : spans[i];
    }
    return ENX_OK;
}

/* What one model does alone: the goal, over all inputs. */
static enx_stage single_stage(const enx_swarm *s)
{
    return (enx_stage){ .task_class = { .name = "answer",
                                        .instruction = s->options.goal,
                                        .is_leads = true,
                                        .answer_tokens_max = ENX_GRAPH_TOKENS_MAX },
                        .each = ENX_EACH_ONCE,
                        .is_last = true };
}

/* The assembly needs the last stages of all rounds, which `needs` has no room for: it is the stage
 * that is not of a plan's list, and gather() knows. */
static enx_status add_last_stage(enx_swarm *s, const enx_stage *stage, enx_span *spans,
                                 enx_report *report)
{
    s->is_delivering = true;
    if (!stage) return ENX_OK;
    s->last_stage = *stage;
    return add_stage(s, &s->last_stage, s->stage_count, spans, report);
}

static enx_status apply_plan_of(enx_swarm *s, const enx_graph *graph, enx_span *spans,
                                enx_report *report)
{
    uint32_t         count;
    const uint32_t   base = s->stage_count;
    const enx_stage *stages = enx_graph_stages(graph, &count);
    const enx_stage  single = single_stage(s);
    if (enx_graph_mode_get(graph) == ENX_GRAPH_SINGLE)
        return add_last_stage(s, &single, spans, report);
    for (uint32_t i = 0; i < count; i++) ENX_TRY(add_stage(s, &stages[i], base, spans, report));
    return ENX_OK;
}

static enx_status apply_text(enx_swarm *s, const char *text, size_t size_bytes, enx_span *spans,
                             enx_report *report)
{
    enx_graph      *graph = NULL;
    const enx_stage single = single_stage(s);
    if (size_bytes == 0) return add_last_stage(s, &single, spans, report);
    ENX_TRY(enx_graph_open(&graph, text, size_bytes, report));
    if (enx_graph_mode_get(graph) == ENX_GRAPH_DELIVER) {
        enx_graph_close(&graph);
        const enx_stage *assembly =
            s->round > 0 ? enx_graph_assembly(s->graphs[s->round - 1]) : NULL;
        return add_last_stage(s, assembly, spans, report);
    }
    if (s->round == ENX_SWARM_ROUNDS_MAX) {
        enx_graph_close(&graph);
        return ENX_FAIL(report, LIMIT, "plan: more than %d rounds", ENX_SWARM_ROUNDS_MAX);
    }
    s->graphs[s->round++] = graph;
    return apply_plan_of(s, graph, spans, report);
}

enx_status swarm_apply_graph(enx_swarm *s, const enx_record *record, enx_report *report)
{
    enx_span *spans = enx_mem_new(ENX_GRAPH_TASKS_MAX + 1, sizeof *spans);
    if (!spans) return ENX_FAIL(report, NOMEM, "no memory to take the inputs apart");
    const enx_status status = apply_text(s, record->text, record->text_bytes, spans, report);
    enx_mem_free(spans);
    if (status != ENX_OK) return status;
    s->has_plan = true;
    s->plan = (enx_plan){ .is_single = s->round == 0, .kinds = ENX_KINDS_ALL, .escalate = true };
    s->plan_tries = 0;
    s->plan_refusal = (swarm_text){ 0 };
    s->items[s->item_count].work = WORK_NONE;
    s->items[s->item_count].state = ENX_TASK_ACCEPTED;
    return ENX_OK;
}

/* ---- tasks that wait ------------------------------------------------------------------------ */

typedef enum readiness { WAITS, READY, HOPELESS, TOO_LONG, LEFT } readiness;

static bool is_assembly(const enx_swarm *s, const swarm_stage *stage)
{
    return stage->plan == &s->last_stage && s->round > 0;
}

/* Append the answers of a stage, each with its number. */
static enx_status append_answers(const enx_swarm *s, const swarm_stage *stage, enx_buf *out)
{
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        const swarm_item *at = &s->items[i];
        if (at->state != ENX_TASK_ACCEPTED) continue;
        ENX_TRY(
            enx_buf_printf(out, "[%s %u] ", stage->plan->task_class.name, i - stage->first + 1));
        ENX_TRY(enx_buf_append(out, swarm_text_get(s, at->answer), at->answer.size_bytes));
        ENX_TRY(enx_buf_append_text(out, "\n"));
    }
    return ENX_OK;
}

bool swarm_is_left(const enx_swarm *s, const swarm_stage *stage)
{
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++)
        if (s->items[i].state == ENX_TASK_RETURNED) return true;
    return false;
}

static readiness stage_readiness(const enx_swarm *s, const swarm_stage *need)
{
    if (need->open > 0) return WAITS;
    if (swarm_is_left(s, need)) return LEFT;
    return swarm_awaits_proof(s, need) ? WAITS : READY;
}

/* The stages before it that a task of `stage` waits for. */
bool swarm_needs_stage(const enx_swarm *s, const swarm_stage *stage, uint32_t index)
{
    if (is_assembly(s, stage)) return s->stages[index].plan->is_last && &s->stages[index] != stage;
    for (uint32_t i = 0; i < stage->plan->need_count; i++)
        if (stage->base + stage->plan->needs[i] == index) return true;
    return false;
}

/* All answers that a task is to be given together. */
static readiness gather(const enx_swarm *s, const swarm_stage *stage, enx_buf *out)
{
    for (uint32_t k = 0; k < s->stage_count; k++) {
        if (!swarm_needs_stage(s, stage, k)) continue;
        const readiness ready = stage_readiness(s, &s->stages[k]);
        if (ready != READY) return ready;
        if (append_answers(s, &s->stages[k], out) != ENX_OK) return TOO_LONG;
    }
    return out->size_bytes > 0 ? READY : HOPELESS;
}

/* Several inputs as one text. */
static readiness join_inputs(const enx_swarm *s, enx_buf *out)
{
    enx_status status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < s->options.item_count; i++) {
        status = enx_buf_printf(out, "[input %u]\n", i + 1);
        if (status == ENX_OK)
            status = enx_buf_append(out, s->options.items[i].text, s->options.items[i].size_bytes);
        if (status == ENX_OK) status = enx_buf_append_text(out, "\n");
    }
    return status == ENX_OK ? READY : TOO_LONG;
}

/* What a task is given; nothing is written where that is a part of the inputs. */
static readiness make_input(const enx_swarm *s, uint32_t item, enx_buf *out)
{
    const swarm_stage *stage = &s->stages[s->items[item].stage];
    if (stage->plan->each == ENX_EACH_ANSWER) {
        const swarm_stage *need = &s->stages[stage->base + stage->plan->needs[0]];
        const swarm_item  *at = &s->items[need->first + (item - stage->first)];
        if (at->state == ENX_TASK_OPEN) return WAITS;
        if (at->state == ENX_TASK_RETURNED) return LEFT;
        if (at->state != ENX_TASK_ACCEPTED) return HOPELESS;
        const readiness ready = swarm_awaits_proof(s, need) ? stage_readiness(s, need) : READY;
        if (ready != READY) return ready;
        return enx_buf_append(out, swarm_text_get(s, at->answer), at->answer.size_bytes) == ENX_OK
                   ? READY
                   : TOO_LONG;
    }
    if (stage->plan->need_count > 0 || is_assembly(s, stage)) return gather(s, stage, out);
    if (stage->plan->each == ENX_EACH_ONCE && s->options.item_count > 1) return join_inputs(s, out);
    return READY;
}

/* A task that has been created goes on as its input allows. */
static void begin_task(enx_swarm *s, uint32_t item, readiness ready)
{
    char note[NOTE_BYTES];
    snprintf(note, sizeof note, "what it needs is more than %d bytes together", INPUT_BYTES_MAX);
    if (ready == HOPELESS)
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_NEEDS, "");
    else if (ready == TOO_LONG)
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_TOO_LONG, note);
    else swarm_judge_input(s, item);
}

/* Create a task when all that it needs has ended.  One whose needs have no answer ends with them:
 * that is a record of its own, which a crash may have cut off, so a task that is there and has made
 * no call is judged again.  What it needs does not change any more. */
static void create_task(enx_swarm *s, uint32_t item)
{
    enx_buf           text;
    const swarm_item *at = &s->items[item];
    if (at->state != ENX_TASK_OPEN || at->call != SWARM_NONE) return;
    enx_buf_init(&text, INPUT_BYTES_MAX);
    const readiness ready = make_input(s, item, &text);
    if (ready == LEFT) {
        swarm_set_state(s, item, ENX_TASK_RETURNED);
        swarm_unlock(s, item);
    } else if (ready != WAITS) {
        if (!at->is_created)
            swarm_emit_created(s, item, enx_buf_text(&text), ready == READY ? text.size_bytes : 0);
        begin_task(s, item, ready);
        if (s->items[item].state != ENX_TASK_OPEN) swarm_unlock(s, item);
    }
    enx_buf_deinit(&text);
}

void swarm_unlock(enx_swarm *s, uint32_t item)
{
    const uint32_t own = s->items[item].stage;
    if (own == SWARM_NONE) return;
    for (uint32_t k = own + 1; k < s->stage_count && !swarm_is_over(s); k++) {
        const swarm_stage *stage = &s->stages[k];
        if (!swarm_needs_stage(s, stage, own)) continue;
        const uint32_t waiting =
            stage->first + (stage->plan->each == ENX_EACH_ANSWER ? item - s->stages[own].first : 0);
        if (!s->items[waiting].is_created) create_task(s, waiting);
    }
}

void swarm_create_stages(enx_swarm *s)
{
    for (uint32_t i = 0; i < s->item_count && !swarm_is_over(s); i++) create_task(s, i);
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* How a stage went, in numbers and in words of ours. */
static enx_status append_stage(const enx_swarm *s, const swarm_stage *stage, enx_buf *out)
{
    uint32_t states[ENX_TASK_STATE_COUNT] = { 0 }, reasons[ENX_REASON_COUNT] = { 0 };
    for (uint32_t i = stage->first; i < stage->first + stage->count; i++) {
        states[s->items[i].state]++;
        if (s->items[i].state == ENX_TASK_ABSTAINED || s->items[i].state == ENX_TASK_FAILED)
            reasons[s->items[i].reason]++;
    }
    ENX_TRY(enx_buf_printf(out, "\n- %s: %u of %u tasks have an answer",
                           stage->plan->task_class.name, states[ENX_TASK_ACCEPTED], stage->count));
    for (int r = 0; r < ENX_REASON_COUNT; r++)
        if (reasons[r])
            ENX_TRY(enx_buf_printf(out, "; %u: %s", reasons[r], enx_reason_text((enx_reason)r)));
    return ENX_OK;
}

enx_status swarm_append_digest(const enx_swarm *s, enx_buf *out)
{
    uint64_t bytes = 0, lines = 0;
    for (uint32_t i = 0; i < s->options.item_count; i++) {
        bytes += s->options.items[i].size_bytes;
        for (size_t k = 0; k < s->options.items[i].size_bytes; k++)
            lines += s->options.items[i].text[k] == '\n';
    }
    ENX_TRY(enx_buf_printf(out, "\nInputs: %u, of %" PRIu64 " bytes and %" PRIu64 " lines in all.",
                           s->options.item_count, bytes, lines));
    if (s->round == 0) return ENX_OK;
    ENX_TRY(enx_buf_printf(out, "\nRound %u of %d is over:", s->round, ENX_SWARM_ROUNDS_MAX));
    for (uint32_t k = 0; k < s->stage_count; k++) ENX_TRY(append_stage(s, &s->stages[k], out));
    return enx_buf_append_text(out, "\nSay \"deliver\", or plan more stages (\"swarm\"), or "
                                    "\"ask_user\".");
}

static size_t answer_bytes(const enx_class *c)
{
    return (size_t)TOKEN_BYTES * enx_class_answer_tokens(c);
}

/* How long an input that is made of answers may be, were all of them there. */
static size_t made_bytes(const enx_stage *stages, const enx_stage *stage, const uint32_t *counts)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < stage->need_count; i++) {
        const size_t each = answer_bytes(&stages[stage->needs[i]].task_class);
        bytes += stage->each == ENX_EACH_ANSWER ? each : each * counts[stage->needs[i]];
    }
    return bytes < INPUT_BYTES_MAX ? bytes : INPUT_BYTES_MAX;
}

/* A task once by the dearest that may do it, and once by the lead where it may go up. */
static void add_task(enx_swarm *s, const enx_class *c, size_t input_bytes, enx_swarm_outlay *sum)
{
    const bool may_go_up = !c->is_leads && s->lead != SWARM_NONE && !s->is_single &&
                           s->options.mode == ENX_SWARM_MODE_SWARM &&
                           c->on_fail == ENX_ON_FAIL_ESCALATE;
    enx_class up = *c;
    up.is_leads = true;
    sum->tasks++;
    sum->usd_nano = swarm_add(sum->usd_nano, swarm_price_of_class(s, c, input_bytes));
    if (may_go_up)
        sum->up_usd_nano = swarm_add(sum->up_usd_nano, swarm_price_of_class(s, &up, input_bytes));
}

static size_t inputs_bytes(const enx_swarm *s)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < s->options.item_count; i++) bytes += s->options.items[i].size_bytes;
    return bytes;
}

/* Tasks of a stage, were it added now, and what they may cost. */
static enx_status judge_stage(enx_swarm *s, const enx_stage *stages, uint32_t index,
                              uint32_t *counts, enx_swarm_outlay *sum, enx_span *spans,
                              enx_report *report)
{
    const enx_stage *stage = &stages[index];
    if (s->ports.admit) ENX_TRY(s->ports.admit(s->ports.self, &stage->task_class, report));
    const bool is_of_inputs = stage->need_count == 0;
    counts[index] = stage->each == ENX_EACH_ANSWER ? counts[stage->needs[0]]
                    : !is_of_inputs                ? 1
                                                   : enx_graph_slice(stage->each, s->options.items,
                                                                     s->options.item_count, spans);
    if (counts[index] == 0 || counts[index] > ENX_GRAPH_TASKS_MAX)
        return ENX_FAIL(report, LIMIT, "plan: stage %s has %s", stage->task_class.name,
                        counts[index] ? "more than 10000 tasks" : "no task");
    const size_t made = is_of_inputs ? inputs_bytes(s) : made_bytes(stages, stage, counts);
    for (uint32_t i = 0; i < counts[index]; i++)
        add_task(s, &stage->task_class,
                 is_of_inputs && spans[i].size_bytes ? spans[i].size_bytes : made, sum);
    return ENX_OK;
}

/* The assembly reads the answers of all last stages, of earlier rounds too. */
static void add_assembly(enx_swarm *s, const enx_graph *graph, const uint32_t *counts,
                         enx_swarm_outlay *sum)
{
    uint32_t         count;
    const enx_stage *stages = enx_graph_stages(graph, &count);
    const enx_stage *assembly = enx_graph_assembly(graph);
    size_t           bytes = 0;
    if (!assembly) return;
    for (uint32_t i = 0; i < count; i++)
        if (stages[i].is_last) bytes += counts[i] * answer_bytes(&stages[i].task_class);
    for (uint32_t k = 0; k < s->stage_count; k++)
        if (s->stages[k].plan->is_last)
            bytes += s->stages[k].count * answer_bytes(&s->stages[k].plan->task_class);
    add_task(s, &assembly->task_class, bytes < INPUT_BYTES_MAX ? bytes : INPUT_BYTES_MAX, sum);
}

enx_status swarm_judge_graph(enx_swarm *s, const enx_graph *graph, enx_swarm_outlay *sum,
                             enx_report *report)
{
    *sum = (enx_swarm_outlay){ 0 };
    uint32_t             count, counts[ENX_GRAPH_STAGES_MAX] = { 0 };
    const enx_graph_mode mode = enx_graph_mode_get(graph);
    const enx_stage     *stages = enx_graph_stages(graph, &count);
    if (s->round == 0 && mode == ENX_GRAPH_DELIVER)
        return ENX_FAIL(report, INVALID, "plan: \"deliver\", and nothing has been done yet");
    if (s->round > 0 && mode == ENX_GRAPH_SINGLE)
        return ENX_FAIL(report, INVALID, "plan: \"single\" is for the first plan only");
    const enx_stage *assembly = enx_graph_assembly(graph);
    const bool needs_lead = mode == ENX_GRAPH_SINGLE || (assembly && assembly->task_class.is_leads);
    if (needs_lead && s->lead == SWARM_NONE)
        return ENX_FAIL(report, INVALID, "plan: it asks a lead, and the swarm has none");
    if (mode != ENX_GRAPH_SWARM) return ENX_OK;
    enx_span *spans = enx_mem_new(ENX_GRAPH_TASKS_MAX + 1, sizeof *spans);
    if (!spans) return ENX_FAIL(report, NOMEM, "no memory to take the inputs apart");
    enx_status status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < count; i++)
        status = judge_stage(s, stages, i, counts, sum, spans, report);
    enx_mem_free(spans);
    if (status == ENX_OK) add_assembly(s, graph, counts, sum);
    const uint64_t cap = s->options.caps.usd_nano;
    if (status == ENX_OK && cap && sum->usd_nano > cap)
        return ENX_FAIL(
            report, BUDGET,
            "plan: the worst case of %u tasks, each done once, is %.6f USD, the budget is "
            "%.6f USD",
            sum->tasks, (double)sum->usd_nano * 1e-9, (double)cap * 1e-9);
    return status;
}

/* Is there anything that more tasks could make better? */
static bool is_wanting(const enx_swarm *s)
{
    return s->tasks[ENX_TASK_ABSTAINED] + s->tasks[ENX_TASK_FAILED] > 0;
}

bool swarm_next_round(enx_swarm *s)
{
    if (!s->options.is_goal || !s->has_plan || s->is_delivering || s->tasks[ENX_TASK_RETURNED] > 0)
        return false;
    const bool asks = is_wanting(s) && !s->options.graph && s->lead != SWARM_NONE &&
                      s->options.mode == ENX_SWARM_MODE_SWARM && s->round < ENX_SWARM_ROUNDS_MAX &&
                      s->plan_tries < ENX_SWARM_PLAN_TRIES;
    if (asks) swarm_ask_plan(s);
    else swarm_take_plan(s, deliver_plan, false);
    return !swarm_is_over(s);
}
