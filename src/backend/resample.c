/* SPDX-License-Identifier: Apache-2.0 */
/* resample.c - does the certificate hold on answers whose truth is known? */
#include "backend/exam.h"

#include "base/mem.h"
#include "base/rng.h"
#include "swarm/certificate.h"

enum { RESAMPLE_LABELS = 60, RESAMPLE_BLOCK = 16 };

/* Certify one population by its true labels; adds to the tally. */
static enx_status certify(enx_resampling *tally, const bool *is_wrong, uint32_t count,
                          uint64_t seed, enx_report *report)
{
    const enx_certificate_options options = { .population = count,
                                              .delta = tally->delta,
                                              .labels_max = RESAMPLE_LABELS,
                                              .block = RESAMPLE_BLOCK,
                                              .seed = seed };
    enx_certificate              *certificate = NULL;
    uint32_t                      ranks[RESAMPLE_BLOCK], n, wrong = 0;
    ENX_TRY(enx_certificate_open(&certificate, &options, report));
    while ((n = enx_certificate_next(certificate, ranks, RESAMPLE_BLOCK)) > 0)
        for (uint32_t i = 0; i < n; i++)
            enx_certificate_label(certificate, ranks[i], is_wrong[ranks[i]]);
    const enx_certificate_claim claim = enx_certificate_result(certificate);
    enx_certificate_close(&certificate);
    for (uint32_t i = 0; i < count; i++) wrong += is_wrong[i];
    const double rate = (double)wrong / count;
    tally->rounds++;
    tally->certified += claim.is_certified;
    tally->violations += claim.is_certified && rate > claim.alpha;
    tally->mean_alpha += (claim.alpha - tally->mean_alpha) / tally->rounds;
    tally->mean_rate += (rate - tally->mean_rate) / tally->rounds;
    return ENX_OK;
}

enx_status enx_exam_resample(enx_resampling *out, const bool *is_wrong, size_t count,
                             uint32_t rounds, double delta, enx_report *report)
{
    enx_resampling tally = { .delta = delta };
    const uint32_t size = count < ENX_EXAM_RESAMPLE_SIZE ? (uint32_t)count : ENX_EXAM_RESAMPLE_SIZE;
    bool          *drawn = ENX_MEM_NEW(bool, (size_t)size + 1);
    enx_status     status = drawn ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory to resample");
    for (uint32_t round = 0; status == ENX_OK && count > 0 && round < rounds; round++) {
        enx_rng rng = enx_rng_open(1, round);
        for (uint32_t i = 0; i < size; i++) drawn[i] = is_wrong[enx_rng_below(&rng, count)];
        status = certify(&tally, drawn, size, enx_rng_u64(&rng), report);
    }
    enx_mem_free(drawn);
    if (status == ENX_OK) *out = tally;
    return status;
}
