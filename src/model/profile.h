/* SPDX-License-Identifier: Apache-2.0 */
/* profile.h - where the time of passes goes: by layer and by what is done in it.
 *
 *     enx_profile_open(&profile, layer_count, now_ns, report);
 *     profile->is_running = true;          // what is done from here on counts
 *     …                                    // options.profile of forward.h or engine.h
 *     enx_profile_sum(profile, phase);
 *
 * Time is that of the thread that owns the pass, between two meetings of all threads.  Bytes are
 * those of weights, and of keys and values, each once a product; operations are those of products
 * and of attention, a multiplication and an addition being two.  A layer's window is not taken off.
 *
 * Layer: model.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_MODEL_PROFILE_H
#define ENX_MODEL_PROFILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define ENX_PHASE_MAP(X) \
    X(NORM, "norms, quantizing") X(QKV, "queries, keys, values") X(PLACE, "rotation, storing") \
    X(ATTEND, "attention") X(OUT, "output of attention") X(ROUTE, "routing to experts") \
    X(GATE_UP, "gate, up") X(GATE, "gating") X(DOWN, "down") \
    X(HEAD, "head") X(SAMPLE, "sampling") X(MASK, "masks")
typedef enum enx_phase {
#define X(name, text) ENX_PHASE_##name,
    ENX_PHASE_MAP(X)
#undef X
    ENX_PHASE_COUNT
} enx_phase;
/* clang-format on */

typedef struct enx_profile_work {
    uint64_t bytes, operations;
} enx_profile_work;

typedef struct enx_profile_cell {
    uint64_t         time_ns;
    enx_profile_work work;
} enx_profile_cell;

typedef struct enx_profile {
    bool     is_running;
    uint32_t layer_count;
    uint64_t (*now_ns)(void);
    enx_profile_cell
        *cells; /* owned, [layer_count + 1][ENX_PHASE_COUNT]: the last outside layers */
} enx_profile;

const char *enx_phase_text(enx_phase phase);

/* ENX_NOMEM. */
ENX_MUST_USE enx_status enx_profile_open(enx_profile **out, uint32_t           layer_count,
                                         uint64_t (*now_ns)(void), enx_report *report);
void                    enx_profile_close(enx_profile **profile);
void                    enx_profile_clear(enx_profile *profile);

/* 0 where nothing runs: `profile` may be NULL. */
uint64_t enx_profile_now(const enx_profile *profile);
/* A phase of a layer has taken the time since `since_ns`; layer_count: of none. */
void     enx_profile_add(enx_profile *profile, uint32_t layer, enx_phase phase, uint64_t since_ns,
                         enx_profile_work work);

/* Over all layers, and outside them. */
enx_profile_cell enx_profile_sum(const enx_profile *profile, enx_phase phase);

#endif /* ENX_MODEL_PROFILE_H */
