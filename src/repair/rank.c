/* SPDX-License-Identifier: Apache-2.0 */
/* rank.c - weights from a model file, and their sums. */
#include "repair/rank.h"

#include "base/mem.h"
#include "gguf/gguf.h"

#include <string.h>

struct enx_ranker {
    double         step;    /* of a weight */
    const uint8_t *weights; /* borrowed from the file; 128 is 0 */
};

static enx_status read_file(enx_ranker *r, const enx_gguf *gguf, enx_report *report)
{
    static const char kind[] = ENX_RANK_ARCHITECTURE;
    enx_gguf_str      is;
    enx_gguf_value    weights;
    ENX_TRY(enx_gguf_read_str(gguf, "general.architecture", &is, report));
    if (is.size_bytes != sizeof kind - 1 || memcmp(is.data, kind, sizeof kind - 1) != 0)
        return ENX_FAIL(report, FORMAT, "not a model that ranks edits: its architecture is not %s",
                        kind);
    ENX_TRY(enx_gguf_read_f64(gguf, "enxame.edits.step", &r->step, report));
    if (!enx_gguf_find(gguf, "enxame.edits.weights", &weights) || weights.type != ENX_GGUF_ARRAY ||
        weights.element_type != ENX_GGUF_U8 || weights.count != ENX_RANK_WEIGHTS)
        return ENX_FAIL(report, FORMAT, "enxame.edits.weights is not an array of %d bytes",
                        ENX_RANK_WEIGHTS);
    r->weights = weights.data;
    return ENX_OK;
}

enx_status enx_ranker_open(enx_ranker **out, const void *bytes, size_t size_bytes,
                           enx_report *report)
{
    enx_gguf   *gguf = NULL;
    enx_ranker *r = ENX_MEM_NEW(enx_ranker, 1);
    if (!r) return ENX_FAIL(report, NOMEM, "no memory for a ranker");
    enx_status status = enx_gguf_open(&gguf, bytes, size_bytes, report);
    if (status == ENX_OK) status = read_file(r, gguf, report);
    enx_gguf_close(&gguf);
    if (status != ENX_OK) enx_ranker_close(&r);
    else *out = r;
    return status;
}

void enx_ranker_close(enx_ranker **ranker)
{
    enx_mem_free(*ranker);
    *ranker = NULL;
}

double enx_ranker_score(const enx_ranker *ranker, enx_code code, const char *text,
                        uint32_t size_bytes, const enx_complaint *complaint, const enx_edit *edit,
                        enx_scan *scratch)
{
    uint32_t       features[ENX_RANK_FEATURES_MAX];
    const uint32_t count =
        enx_rank_features(features, code, text, size_bytes, complaint, edit, scratch);
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += ranker->weights[features[i]] - 128;
    return ranker->step * sum;
}
