/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_graph.c - whatever is accepted as a plan can be carried out: each stage comes after what it
 * needs, its class is sound, and its tasks are parts of the inputs, in order. */
#include "base/check.h"
#include "base/mem.h"
#include "swarm/graph.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stage(const enx_stage *stage, uint32_t index)
{
    ENX_CHECK(enx_class_validate(&stage->task_class, NULL) == ENX_OK);
    ENX_CHECK(stage->need_count <= ENX_GRAPH_NEEDS_MAX);
    for (uint32_t i = 0; i < stage->need_count; i++) ENX_CHECK(stage->needs[i] < index);
    ENX_CHECK(stage->each != ENX_EACH_ANSWER || stage->need_count > 0);
}

/* The plan itself serves as two inputs. */
static void check_slices(const enx_stage *stage, const char *text, size_t size)
{
    const enx_span inputs[] = { { text, size / 2 }, { text + size / 2, size - size / 2 } };
    enx_span      *spans = enx_mem_new(ENX_GRAPH_TASKS_MAX + 1, sizeof *spans);
    ENX_CHECK(spans);
    const uint32_t count = enx_graph_slice(stage->each, inputs, 2, spans);
    ENX_CHECK(count <= ENX_GRAPH_TASKS_MAX + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (spans[i].size_bytes == 0) continue;
        ENX_CHECK(spans[i].text >= text && spans[i].text + spans[i].size_bytes <= text + size);
        ENX_CHECK(i == 0 || spans[i - 1].size_bytes == 0 || spans[i].text >= spans[i - 1].text);
    }
    enx_mem_free(spans);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_graph *graph = NULL;
    uint32_t   count;
    if (enx_graph_open(&graph, (const char *)data, size, NULL) != ENX_OK) return 0;
    const enx_stage *stages = enx_graph_stages(graph, &count);
    ENX_CHECK(count <= ENX_GRAPH_STAGES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        check_stage(&stages[i], i);
        if (stages[i].need_count == 0) check_slices(&stages[i], (const char *)data, size);
    }
    enx_graph_close(&graph);
    return 0;
}
