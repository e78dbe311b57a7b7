/* SPDX-License-Identifier: Apache-2.0 */
/* profile.c - a cell for each layer and phase. */
#include "model/profile.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

const char *enx_phase_text(enx_phase phase)
{
    static const char *const texts[ENX_PHASE_COUNT] = {
#define X(name, text) text,
        ENX_PHASE_MAP(X)
#undef X
    };
    return texts[phase];
}

static size_t cell_count(const enx_profile *p)
{
    return ((size_t)p->layer_count + 1) * ENX_PHASE_COUNT;
}

enx_status enx_profile_open(enx_profile **out, uint32_t layer_count, uint64_t (*now_ns)(void),
                            enx_report *report)
{
    ENX_CHECK(out && now_ns);
    enx_profile *p = ENX_MEM_NEW(enx_profile, 1);
    if (p) *p = (enx_profile){ .layer_count = layer_count, .now_ns = now_ns };
    if (p) p->cells = enx_mem_new(cell_count(p), sizeof *p->cells);
    if (!p || !p->cells) {
        enx_profile_close(&p);
        return ENX_FAIL(report, NOMEM, "no memory for a profile of %u layers", layer_count);
    }
    *out = p;
    return ENX_OK;
}

void enx_profile_close(enx_profile **profile)
{
    if (!*profile) return;
    enx_mem_free((*profile)->cells);
    enx_mem_free(*profile);
    *profile = NULL;
}

void enx_profile_clear(enx_profile *p) { memset(p->cells, 0, cell_count(p) * sizeof *p->cells); }

uint64_t enx_profile_now(const enx_profile *p) { return p && p->is_running ? p->now_ns() : 0; }

void enx_profile_add(enx_profile *p, uint32_t layer, enx_phase phase, uint64_t since_ns,
                     enx_profile_work work)
{
    if (!p || !p->is_running) return;
    ENX_CHECK(layer <= p->layer_count && phase < ENX_PHASE_COUNT);
    enx_profile_cell *cell = &p->cells[layer * ENX_PHASE_COUNT + phase];
    cell->time_ns += p->now_ns() - since_ns;
    cell->work.bytes += work.bytes;
    cell->work.operations += work.operations;
}

enx_profile_cell enx_profile_sum(const enx_profile *p, enx_phase phase)
{
    enx_profile_cell sum = { 0 };
    for (uint32_t layer = 0; layer <= p->layer_count; layer++) {
        const enx_profile_cell *cell = &p->cells[layer * ENX_PHASE_COUNT + phase];
        sum.time_ns += cell->time_ns;
        sum.work.bytes += cell->work.bytes;
        sum.work.operations += cell->work.operations;
    }
    return sum;
}
