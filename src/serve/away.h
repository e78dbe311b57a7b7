/* SPDX-License-Identifier: Apache-2.0 */
/* away.h - models behind other APIs in service: one thread, one libcurl multi handle.
 *
 * A turn becomes one call an answer (backend/remote.h), told in messages; tools go in words, since
 * nobody knows the form that a model was taught.  Seeds, likeliest tokens and biases stay here.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_AWAY_H
#define ENX_SERVE_AWAY_H

#include "backend/remote.h"
#include "serve/turn.h"

typedef struct enx_away enx_away;

typedef struct enx_away_options {
    const enx_remote_model *models; /* [model_count] */
    uint32_t                model_count;
    uint32_t                calls_max; /* in flight */
    uint32_t                tokens_max;
    uint64_t                salt, seed; /* of remote.h */
} enx_away_options;

/* The failures of enx_remote_open. */
ENX_MUST_USE enx_status enx_away_open(enx_away **out, const enx_away_options *options,
                                      enx_report *report);
void                    enx_away_close(enx_away **away);

/* Takes the turn, when it is ENX_OK.  ENX_AGAIN: too many calls; ENX_UNSUPPORTED: what only a model
 * of this machine can do. */
ENX_MUST_USE enx_status enx_away_submit(enx_away *away, uint32_t model, enx_turn *turn,
                                        enx_report *report);

#endif /* ENX_SERVE_AWAY_H */
