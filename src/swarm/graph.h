/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - a plan for a goal: stages of tasks, and what each needs of others.
 *
 *     {"mode":"swarm","why":"…","advice":"…",
 *      "stages":[{"id":"dates","for_each":"chunk","needs":[],"instruction":"…",
 *                 "output":[{"name":"date","type":"text"}],
 *                 "checks":[{"kind":"citation","field":"date","text":""}],"on_fail":"escalate"}],
 *      "assembly":{"kind":"lead","instruction":"…"},"done_when":"…"}
 *
 * mode      "swarm": these stages; "single": the lead does the goal in one call; "deliver": what is
 *           done is enough; "ask_user": `why` is a question to the user.  The first plan is one of
 *           the first two; later ones answer a digest of how the stages went.
 * for_each  of the inputs, "once" (all of them together), "file", "chunk", "paragraph", "line"; or
 *           of what the stage needs, "answer" (a task an answer) or "once"
 * output    the members of an answer; none: text.  Types: text, number, integer, boolean, texts
 * assembly  "join": the answers of the last stages, in order; "reduce": a worker makes one of them;
 *           "lead": the lead does
 *
 * A stage is a class of tasks.  Whether there is one that can be done is judged here, what it costs
 * by the swarm, and whether its checks make sense by the port `admit`.
 *
 * Layer: swarm.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_SWARM_GRAPH_H
#define ENX_SWARM_GRAPH_H

#include "base/buf.h"
#include "base/span.h"
#include "swarm/class.h"

enum {
    ENX_GRAPH_BYTES_MAX = 1 << 16,
    ENX_GRAPH_STAGES_MAX = 16, /* of one plan */
    ENX_GRAPH_NEEDS_MAX = 8,
    ENX_GRAPH_FIELDS_MAX = 32,
    ENX_GRAPH_TASKS_MAX = 10000, /* of one plan */
    ENX_GRAPH_TOKENS_MAX = 2048, /* asked of the lead for one plan */
    ENX_GRAPH_CHUNK_BYTES = 4096,
    ENX_GRAPH_OVERLAP_BYTES = 256,
};

typedef enum enx_graph_mode {
    ENX_GRAPH_SWARM,
    ENX_GRAPH_SINGLE,
    ENX_GRAPH_DELIVER,
    ENX_GRAPH_ASK_USER,
} enx_graph_mode;

typedef enum enx_each {
    ENX_EACH_ONCE,
    ENX_EACH_FILE,
    ENX_EACH_CHUNK,
    ENX_EACH_PARAGRAPH,
    ENX_EACH_LINE,
    ENX_EACH_ANSWER,
} enx_each;

typedef enum enx_assembly {
    ENX_ASSEMBLY_JOIN,
    ENX_ASSEMBLY_REDUCE,
    ENX_ASSEMBLY_LEAD
} enx_assembly;

typedef struct enx_stage {
    enx_class task_class; /* its name is the stage's id */
    enx_each  each;
    uint32_t  needs[ENX_GRAPH_NEEDS_MAX]; /* [need_count] indices of stages before it */
    uint32_t  need_count;
    bool      is_last; /* no stage needs it */
} enx_stage;

typedef struct enx_graph enx_graph;

/* A JSON Schema that every plan fits; within what APIs allow. */
const char *enx_graph_schema(void);

/* Parse and judge.  Stages may come in any order; they are put into one in which each is after what
 * it needs.
 *
 * ENX_FORMAT   not JSON, or a key is missing, unknown or has a wrong value
 * ENX_NOTFOUND a stage needs one that there is not; a check names a field that there is not
 * ENX_INVALID  a cycle; two stages of one id; for_each that does not go with needs; a class that is
 *              not sound
 * ENX_LIMIT    too long, too many stages */
ENX_MUST_USE enx_status enx_graph_open(enx_graph **out, const char *text, size_t size_bytes,
                                       enx_report *report);
void                    enx_graph_close(enx_graph **graph);

enx_graph_mode   enx_graph_mode_get(const enx_graph *graph);
const char      *enx_graph_why(const enx_graph *graph);
const enx_stage *enx_graph_stages(const enx_graph *graph, uint32_t *count);
/* What makes one answer out of the last stages' (its needs are not set); NULL: they are joined. */
const enx_stage *enx_graph_assembly(const enx_graph *graph);

/* The parts of the inputs that a stage has a task for, into spans [ENX_GRAPH_TASKS_MAX + 1], which
 * borrow from them; returns how many, at most one too many.  ONCE over several inputs is one empty
 * span. */
uint32_t enx_graph_slice(enx_each each, const enx_span *inputs, uint32_t input_count,
                         enx_span *spans);

#endif /* ENX_SWARM_GRAPH_H */
